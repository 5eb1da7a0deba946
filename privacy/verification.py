"""Searches every store for what should be gone: by the registry's handlers, and regardless of any registry.

The handlers ask each registered store. Then everything is searched that exists: every table of Postgres row by row, every key of
Redis with its value, every byte of every file of the platform's state. A place that cannot be searched counts as a finding.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from privacy import lake
from privacy.contracts import DeltaStore
from privacy.database import Role, connect
from privacy.file_search import needles_of, search_files
from privacy.registry import Registry
from privacy.settings import platform_settings
from privacy.stores import handler_for
from privacy.stores.redis import read_key, redis_client

__all__ = [
    "Finding",
    "Verification",
    "search_postgres",
    "search_redis",
    "search_state",
    "unregistered",
    "verify",
]

# Written by the migrations' tool, which owns it: one row with the schema's revision.
_REVISIONS = ("public", "alembic_version")
_SUBJECT_COLUMN = "pseudonym"
_LIKE_SPECIAL = re.compile(r"[\\%_]")


@dataclass(frozen=True)
class Finding:
    """A place that still holds a subject, or could not be searched."""

    place: str
    occurrences: int

    def __str__(self) -> str:
        return f"{self.place}: {self.occurrences} left" if self.occurrences else self.place


@dataclass
class Verification:
    """How many places were searched, and what was found in them."""

    searched: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: "Verification") -> None:
        """Take over another verification's result."""
        self.searched += other.searched
        self.findings += other.findings


def verify(pseudonyms: Sequence[str], registry: Registry) -> Verification:
    """Search everything; nothing of the subjects is left where `findings` is empty."""
    result = Verification()
    for contract in registry.holding_subjects:
        left = handler_for(contract).verify(contract, pseudonyms)
        result.searched += 1
        result.findings += [Finding(contract.key, left)] if left else []
    result.add(unregistered(registry))
    for search in (search_postgres, search_redis, search_state):
        result.add(search(needles_of(pseudonyms)))
    return result


def unregistered(registry: Registry) -> Verification:
    """Look for tables with a pseudonym column, in Postgres and in the lake, that no contract tells of."""
    tables = {
        table
        for contract in registry.holding_subjects
        for table in handler_for(contract).tables(contract)
    }
    paths = {c.store.path for c in registry.holding_subjects if isinstance(c.store, DeltaStore)}
    held, stored = _subject_tables(), _subject_paths()
    unknown = [f"table {schema}.{table}" for schema, table in held if (schema, table) not in tables]
    unknown += [f"Delta table {path}" for path in stored if path not in paths]
    findings = [Finding(f"{place} is in no contract", 0) for place in unknown]
    return Verification(len(held) + len(stored), findings)


def _subject_tables() -> list[tuple[str, str]]:
    with connect(Role.PRIVACY) as connection:
        return connection.execute(
            _TABLES + " and exists (select from pg_attribute a where a.attrelid = c.oid "
            "and a.attname = %s and not a.attisdropped) order by 1, 2",
            [_SUBJECT_COLUMN],
        ).fetchall()


def _subject_paths() -> list[str]:
    """Delta tables under the lake's root, relative to it, that have a pseudonym column."""
    root = platform_settings().lake_dir
    folders = sorted(log.parent for log in root.rglob("_delta_log")) if root.is_dir() else []
    return [
        str(folder.relative_to(root))
        for folder in folders
        if _SUBJECT_COLUMN in {field.name for field in lake.open_table(folder).schema().fields}
    ]


def search_postgres(needles: Sequence[bytes]) -> Verification:
    """Search each row of each table of every schema, text and bytes, compressed values included."""
    result = Verification()
    patterns = [f"%{text}%" for needle in needles for text in _spellings(needle)]
    for role in (Role.PRIVACY, Role.FEAST, Role.DAGSTER):
        with connect(role) as connection:
            for schema, table in _readable(connection, role):
                found = _rows_like(connection, schema, table, patterns)
                result.searched += 1
                result.findings += [Finding(f"table {schema}.{table}", found)] if found else []
    result.findings += [
        Finding(f"table {schema}.{table} cannot be read, so it was not searched", 0)
        for schema, table in _unreadable()
    ]
    return result


def _spellings(needle: bytes) -> list[str]:
    """How a row shows `needle` as text: as it is, where it is text, and as the hexadecimal digits of a bytea."""
    text = needle.decode("utf-8", "ignore")
    readable = text.isprintable() and text.encode() == needle
    literal = [_LIKE_SPECIAL.sub(r"\\\g<0>", text)] if readable else []
    return [*literal, needle.hex()]


_TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""


def _readable(connection: psycopg.Connection[Any], role: Role) -> list[tuple[str, str]]:
    """Tables that `role` owns or takes part in owning."""
    return connection.execute(
        _TABLES + " and pg_has_role(%s, c.relowner, 'member') order by 1, 2", [role.value]
    ).fetchall()


def _unreadable() -> list[tuple[str, str]]:
    roles = [role.value for role in (Role.PRIVACY, Role.FEAST, Role.DAGSTER)]
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            _TABLES
            + " and not exists (select from unnest(%s::text[]) as r where pg_has_role(r, c.relowner, 'member'))",
            [roles],
        ).fetchall()
    return [(schema, table) for schema, table in rows if (schema, table) != _REVISIONS]


def _rows_like(
    connection: psycopg.Connection[Any], schema: str, table: str, patterns: Sequence[str]
) -> int:
    row = connection.execute(
        sql.SQL(
            "select count(*) from {table} as searched_row_ where searched_row_::text like any(%s)"
        ).format(table=sql.Identifier(schema, table)),
        [list(patterns)],
    ).fetchone()
    return int(row[0]) if row else 0


def search_redis(needles: Sequence[bytes]) -> Verification:
    """Search the name and the value of every key."""
    result, found = Verification(), 0
    with redis_client() as client:
        for key in client.scan_iter(count=5_000):
            result.searched += 1
            found += _holds([key, read_key(client, key)], needles)
    result.findings += [Finding("Redis keys", found)] if found else []
    return result


def _holds(value: Any, needles: Sequence[bytes]) -> bool:
    match value:
        case bytes():
            return any(needle in value for needle in needles)
        case dict():
            return _holds(list(value.items()), needles)
        case list() | tuple() | set():
            return any(_holds(item, needles) for item in value)
        case _:
            return False


def search_state(needles: Sequence[bytes]) -> Verification:
    """Search the bytes of every file of the platform's state: databases, logs, lake, models, anything."""
    home = platform_settings().home
    found = search_files(home, needles)
    findings = [
        Finding(f"file {path.relative_to(home)}", count) for path, count in found.holding.items()
    ]
    findings += [
        Finding(f"file {path.relative_to(home)} cannot be read, so it was not searched", 0)
        for path in found.unreadable
    ]
    return Verification(found.searched, findings)
