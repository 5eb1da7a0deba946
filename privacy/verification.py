"""Searches every store for what should be gone: by the registry's handlers, and regardless of any registry.

The handlers ask each registered store. Then everything is searched that exists: every table of Postgres row by row, every key of
Redis with its value, every byte of every file of the platform's state. A place that cannot be searched counts as a finding.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from psycopg import sql

from privacy import folders
from privacy.coverage import SYSTEM_TABLES, unknown_places
from privacy.database import Role, connect
from privacy.file_search import counter, needles_of, search_files
from privacy.registry import Registry
from privacy.settings import platform_settings
from privacy.stores import handler_for
from privacy.stores.redis import read_keys, redis_client, server_logs

__all__ = [
    "Finding",
    "Verification",
    "search_postgres",
    "search_redis",
    "search_state",
    "unregistered",
    "verify",
]

_PIECE = 4 * 1024 * 1024
_KEYS = 5_000
_ATTEMPTS = 3


@dataclass(frozen=True)
class Finding:
    """A place that still holds a subject, or could not be searched."""

    place: str
    occurrences: int

    def __str__(self) -> str:
        return f"{self.place}: {self.occurrences} left" if self.occurrences else self.place


@dataclass
class Verification:
    """How many places were searched, of how many that exist, and what was found in them."""

    searched: int = 0
    existing: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: "Verification") -> None:
        """Take over another verification's result."""
        self.searched += other.searched
        self.existing += other.existing
        self.findings += other.findings


def verify(pseudonyms: Sequence[str], registry: Registry) -> Verification:
    """Search everything; nothing of the subjects is left where `findings` is empty."""
    result = Verification()
    for contract in registry.holding_subjects:
        left = handler_for(contract).verify(contract, pseudonyms)
        result.searched += 1
        result.existing += 1
        result.findings += [Finding(contract.key, left)] if left else []
    result.add(unregistered(registry))
    for search in (search_postgres, search_redis, search_state):
        result.add(search(needles_of(pseudonyms)))
    return result


def unregistered(registry: Registry) -> Verification:
    """Look for what exists, in Postgres, Redis and on disk, that no contract tells of (`privacy.coverage`).

    A folder that held data once and is empty now is not mounted: it exists, and cannot be searched (`privacy.folders`).
    """
    unknown, existing = unknown_places(registry)
    missing = folders.missing()
    findings = [Finding(f"{place} is in no contract", 0) for place in unknown]
    findings += [Finding(f"folder {name} held data and is not there", 0) for name in missing]
    return Verification(existing - len(unknown), existing + len(missing), findings)


def search_postgres(needles: Sequence[bytes]) -> Verification:
    """Search each row of each table of every schema, text and bytes, compressed values included."""
    result = Verification()
    count = counter(list({text for needle in needles for text in _spellings(needle)}))
    for role in (Role.PRIVACY, Role.FEAST, Role.DAGSTER):
        with connect(role) as connection:
            for schema, table in _readable(connection, role):
                found = sum(
                    count(piece) for piece in _rows(connection, schema, table, count.overlap)
                )
                result.searched += 1
                result.findings += [Finding(f"table {schema}.{table}", found)] if found else []
    unreadable = _unreadable()
    result.existing = result.searched + len(unreadable)
    result.findings += [
        Finding(f"table {schema}.{table} cannot be read, so it was not searched", 0)
        for schema, table in unreadable
    ]
    return result


def _spellings(needle: bytes) -> list[bytes]:
    """How a row shows `needle` as text: as it is, where it is text; as the digits of a bytea; as a UUID."""
    text = needle.decode("utf-8", "ignore")
    readable = text.isprintable() and text.encode() == needle
    whole = [needle] if readable else []
    digits = needle.hex().encode()
    return [*whole, digits, *([str(UUID(bytes=needle)).encode()] if len(needle) == 16 else [])]


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
    return [(schema, table) for schema, table in rows if (schema, table) not in SYSTEM_TABLES]


def _rows(
    connection: psycopg.Connection[Any], schema: str, table: str, overlap: int
) -> Iterator[bytes]:
    """A table's rows as text, in large pieces, each of which begins with the end of the one before."""
    query = sql.SQL("copy (select t_::text from {} as t_) to stdout (format binary)").format(
        sql.Identifier(schema, table)
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        parts: list[bytes] = []
        size = 0
        for part in copy:
            parts.append(bytes(part))
            size += len(part)
            if size >= _PIECE:
                whole = b"".join(parts)
                yield whole
                parts = [whole[-overlap:] if overlap else b""]
                size = 0
        yield b"".join(parts)


def search_redis(needles: Sequence[bytes]) -> Verification:
    """Search the name and the value of every key, and the server's logs of commands.

    As keys come and go, the search is repeated where it saw fewer than were there all the time.
    """
    count = counter(needles)
    with redis_client() as client:
        for _ in range(_ATTEMPTS):
            result = _searched_keys(client, count)
            if result.searched == result.existing:
                break
        else:
            missed = result.existing - result.searched
            result.findings.append(Finding(f"{missed} keys of Redis were not searched", 0))
        if logged := count(b"\n".join(_leaves(server_logs(client)))):
            result.findings.append(Finding("Redis's logs of commands", logged))
    return result


def _searched_keys(client: Any, count: Callable[[bytes], int]) -> Verification:
    """One pass over the keys. How many exist, the server says: those at the beginning that did not expire, or fewer at the end."""
    before, gone_before = client.dbsize(), _gone(client)
    found, seen = 0, array("q")
    for keys in _batches(client.scan_iter(count=_KEYS), _KEYS):
        values = read_keys(client, keys)
        seen.extend(hash(key) for key, value in zip(keys, values, strict=True) if value is not None)
        found += count(b"\n".join(_leaves([keys, values])))
    searched = len(np.unique(np.array(seen)))  # SCAN may give a key twice
    existing = min(before - (_gone(client) - gone_before), client.dbsize())
    findings = [Finding("Redis keys", found)] if found else []
    return Verification(searched, max(existing, searched), findings)


def _gone(client: Any) -> int:
    """How many keys have expired or were evicted since the server started."""
    stats = client.info("stats")
    return int(stats["expired_keys"]) + int(stats["evicted_keys"])


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch


def _leaves(value: Any) -> Iterator[bytes]:
    """Every piece of bytes in an answer of Redis."""
    match value:
        case bytes():
            yield value
        case dict():
            yield from _leaves(list(value.items()))
        case list() | tuple() | set():
            for item in value:
                yield from _leaves(item)


def search_state(needles: Sequence[bytes]) -> Verification:
    """Search the bytes of every file of the platform's state, wherever links lead: databases, logs, lake, models, anything."""
    settings = platform_settings()
    result = _searched_files(settings.home, needles)
    if not settings.tombstones_dir.is_relative_to(settings.home):
        result.add(_searched_files(settings.tombstones_dir, needles))
    return result


def _searched_files(folder: Path, needles: Sequence[bytes]) -> Verification:
    found = search_files(folder, needles)
    findings = [
        Finding(f"file {path.relative_to(folder)}", count) for path, count in found.holding.items()
    ]
    findings += [
        Finding(f"{path.relative_to(folder)} cannot be read, so it was not searched", 0)
        for path in found.unreadable
    ]
    return Verification(found.searched, found.searched + len(found.unreadable), findings)
