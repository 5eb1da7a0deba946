"""How trained models forget: a contract's `Unlearn` says which way, and an erasure acts on it.

exact      the model without the subject's rows is the model that never saw them: erasing the rows is enough.
fold_out   the subject's own vectors are taken out; what others share with them fades at the next training.
retrain    only training anew forgets: the erasure records by when, and the model is followed up until its every version was
           made from data read after the erasure.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from privacy.contracts import Artifacts, AssetContract, Unlearn
from privacy.database import Role, connect
from privacy.registry import Registry
from privacy.settings import platform_settings

__all__ = ["Due", "due_of", "overdue", "record_due", "settle"]

_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}_[0-9]{6}Z")


@dataclass(frozen=True)
class Due:
    """A model that must be trained without an erased subject; `retrained` is when that was seen to have happened."""

    asset_key: str
    erased_at: datetime
    due: datetime
    retrained: datetime | None


def record_due(contract: AssetContract, request_ids: Sequence[UUID]) -> int:
    """Note that the model must be trained again for these requests, counted from now; repeating it keeps the first time."""
    assert contract.retrain_within is not None
    with connect(Role.PRIVACY) as connection:
        return connection.execute(
            "insert into requests.retraining (request_id, asset_key, erased_at, due) "
            "select unnest(%s::uuid[]), %s, now(), now() + %s on conflict do nothing",
            [list(request_ids), contract.key, contract.retrain_within],
        ).rowcount


def due_of(request_id: UUID) -> list[Due]:
    """The models that one request waits for, or waited for."""
    return _select("request_id = %s", [request_id])


def overdue() -> list[Due]:
    """Models not trained again by when they had to be."""
    return _select("retrained is null and due < now()", [])


def settle(registry: Registry) -> int:
    """Note which models were trained anew since; returns how many erasures that settled."""
    settled = 0
    for contract in registry.contracts:
        if contract.unlearn is Unlearn.RETRAIN and (since := _read_since(contract)) is not None:
            with connect(Role.PRIVACY) as connection:
                settled += connection.execute(
                    "update requests.retraining set retrained = now() "
                    "where asset_key = %s and retrained is null and erased_at < %s",
                    [contract.key, since],
                ).rowcount
    return settled


def _select(condition: str, values: Sequence[Any]) -> list[Due]:
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select asset_key, erased_at, due, retrained from requests.retraining "  # noqa: S608 (constant conditions)
            f"where {condition} order by due, asset_key",
            values,
        ).fetchall()
    return [Due(*row) for row in rows]


def _read_since(contract: AssetContract) -> datetime | None:
    """Since when every version kept of the model has read its data; None where there is no version, and nothing to forget."""
    if not isinstance(contract.store, Artifacts):
        return None
    root = platform_settings().models_dir / contract.store.path
    manifests = sorted(root.glob("*/manifest.json")) if root.is_dir() else []
    return min((_began(path) for path in manifests), default=datetime.now(UTC))


def _began(manifest: Path) -> datetime:
    """When what a version is made of was read, as far as its manifest tells: the earliest time in it."""
    return min(_times(json.loads(manifest.read_text())))


def _times(manifest: dict[str, Any]) -> Iterator[datetime]:
    yield datetime.fromisoformat(manifest["created"])
    if at := manifest.get("consent_snapshot", {}).get("at"):
        yield datetime.fromisoformat(at)
    yield from _versions(manifest.get("parameters", {}).values())


def _versions(values: Iterable[Any]) -> Iterator[datetime]:
    """The times of the versions of other models that this one was made from."""
    for value in values:
        if isinstance(value, str) and _VERSION.fullmatch(value):
            yield datetime.strptime(value, "%Y%m%dT%H%M%S_%fZ").replace(tzinfo=UTC)
