"""The ZIP of an export: the document as JSON, its JSON Schema, and a page for people that asks nobody for anything."""

import io
import json
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from privacy.stores.base import plain

__all__ = ["DATA", "PAGE", "SCHEMA", "SCHEMA_FILE", "data_of", "packed", "page"]

DATA, SCHEMA, PAGE = "data.json", "schema.json", "index.html"
SCHEMA_FILE = Path(__file__).with_name("schema.json")
_SHOWN_ROWS = 100
_NOTHING = "\N{EN DASH}"
_NOBODY = "Nobody outside the shop."
_GROUPS = (
    ("What you gave and did", ("platform/vault", "shop/", "lake/interactions", "platform/rectifications")),
    ("What you agreed to and asked for", ("consent/", "platform/consent", "platform/objections", "platform/privacy_requests", "platform/exports")),
    ("What the shop made of it", ("",)),
)  # fmt: skip


def packed(document: Mapping[str, Any]) -> bytes:
    """The ZIP that holds `document`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(DATA, orjson.dumps(document, default=plain, option=orjson.OPT_INDENT_2))
        archive.writestr(SCHEMA, SCHEMA_FILE.read_text(encoding="utf-8"))
        archive.writestr(PAGE, page(document))
    return buffer.getvalue()


def data_of(archive: bytes) -> bytes:
    """The JSON document in a ZIP that `packed` made."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read(DATA)


def page(document: Mapping[str, Any]) -> str:
    """`document` as one self-contained HTML page; long tables are cut, the JSON holds all."""
    assets = document["assets"]
    held = [asset for asset in assets if asset["held"]]
    rendered: str = _template().render(
        document=document,
        groups=_grouped(held),
        empty=[asset for asset in assets if not asset["held"] and "reason" not in asset],
        impersonal=[asset for asset in assets if "reason" in asset],
        held=len(held),
        rows=sum(asset["held"] for asset in held),
        since=min((asset["held_since"] for asset in held if asset["held_since"]), default=None),
        nobody=_NOBODY,
        limit=_SHOWN_ROWS,
    )
    return rendered


def _grouped(assets: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The assets under the first heading of `_GROUPS` whose keys begin as theirs."""
    left, groups = list(assets), []
    for heading, prefixes in _GROUPS:
        chosen = [asset for asset in left if asset["asset"].startswith(prefixes)]
        left = [asset for asset in left if asset not in chosen]
        if chosen:
            groups.append((heading, chosen))
    return groups


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"columns": _columns, "cell": _cell, "day": _day}
    return environment.get_template("page.html.j2")


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """The columns that any row has a value in, in their first order."""
    return list(
        dict.fromkeys(
            name for row in rows for name, value in row.items() if value not in (None, "", [])
        )
    )


def _cell(value: Any) -> str:
    match value:
        case None:
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case list() if all(isinstance(item, str) for item in value):
            return ", ".join(value) or _NOTHING
        case list() | dict():
            return json.dumps(value, ensure_ascii=False)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _day(moment: str | None) -> str:
    return moment[:10] if moment else _NOTHING
