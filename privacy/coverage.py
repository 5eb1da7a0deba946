"""Which places exist, on disk, in Postgres and in Redis, and which of them the registry knows.

A search proves an erasure only where it reached everything. So each table, lake table, model, key, stream and folder that exists
must belong to a contract, or to a system that is named here with how it is searched; one that does not fails the verification.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from privacy.contracts import (
    Artifacts,
    AssetContract,
    DeltaStore,
    FeastOnlineStore,
    PostgresStore,
    RedisStore,
    RedisStream,
)
from privacy.database import Role, connect
from privacy.exports.recipients import recipients
from privacy.file_tree import walk
from privacy.registry import Registry
from privacy.settings import platform_settings
from privacy.stores import handler_for
from privacy.stores.redis import key_regex, redis_client

__all__ = [
    "STATE_FOLDERS",
    "SYSTEM_SCHEMAS",
    "SYSTEM_TABLES",
    "not_searched",
    "places",
    "unknown_places",
]

# Schemas of other systems: their tables come and go with versions of theirs, and every row of them is searched.
SYSTEM_SCHEMAS = {"dagster": "Dagster's run and event storage", "feast": "Feast's registry"}
SYSTEM_TABLES = {("public", "alembic_version"): "the revision of the schemas: one row, owned by the administrator"}  # fmt: skip
# What lies directly in the state folder; the bytes of every file in it are searched.
STATE_FOLDERS = {
    "postgres": "the embedded Postgres",
    "redis": "the embedded Redis",
    "lake": "Delta tables",
    "models": "model artefacts",
    "dagster": "Dagster's configuration and the logs of its runs",
    "dbt": "dbt's artefacts and logs, and the documentation of the warehouse",
    "duckdb-extensions": "extensions of DuckDB",
    "logs": "logs of the servers",
    "run": "process ids and ports",
    "secrets": "keys",
    "tmp": "short-lived files",
    "tombstones": "the journal of tombstones",
    "source.json": "which source is ingested",
}
_BUILDING = re.compile(
    r"__dbt_(tmp|backup)\w*$"
)  # a dbt model that is being built, beside its table
_TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'p', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by 1, 2
"""
# How a key of Feast's online store begins: one join key (serialisation version 3), as a number of four bytes.
_FEAST_KEY = "\x01\x00\x00\x00"
_VARYING = re.compile(r"[0-9a-f]{16,}|[0-9]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SCAN = 5_000
_LOCKS = ".locks"


def places(registry: Registry) -> Iterator[tuple[str, bool]]:
    """Every place that exists, and whether it is known; a place is described without anything of its content."""
    yield from _tables(registry.contracts)
    yield from _lake_tables(registry.contracts)
    yield from _models(registry.contracts)
    yield from _folders()
    yield from _keys(registry.contracts)


def unknown_places(registry: Registry) -> tuple[list[str], int]:
    """The places that nothing tells of, and how many places there are."""
    found = list(places(registry))
    return [place for place, known in found if not known], len(found)


def not_searched() -> list[str]:
    """What an erasure's search does not reach on this platform, for its certificate to say."""
    settings = platform_settings()
    beyond = [
        "the shop's own database and files, which the platform only reads",
        "backups: one that is put back is refused until it is erased again",
    ]
    if recipients():
        beyond.append("what recipients outside the shop were given")
    if settings.postgres_url:
        beyond.append(
            "the files of the Postgres server, which is not the platform's own: dead rows, statistics, write-ahead log, "
            "archive, replicas (every row of every table was searched)"
        )
    if settings.redis_url:
        beyond.append(
            "the files of the Redis server, which is not the platform's own: dump, append-only file, replicas, other "
            "databases (every key of this one was searched)"
        )
    return beyond


def _tables(contracts: Iterable[AssetContract]) -> Iterator[tuple[str, bool]]:
    known = set(SYSTEM_TABLES)
    for contract in contracts:
        if isinstance(contract.store, PostgresStore):
            known.add((contract.store.schema_name, contract.store.table))
        if contract.holds_subjects:
            known.update(handler_for(contract).tables(contract))
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(_TABLES).fetchall()
    for schema, table in rows:
        named = (schema, _BUILDING.sub("", table))
        yield f"table {schema}.{table}", schema in SYSTEM_SCHEMAS or named in known


def _lake_tables(contracts: Iterable[AssetContract]) -> Iterator[tuple[str, bool]]:
    """Delta tables, and folders of the lake in which there is none."""
    known = {c.store.path for c in contracts if isinstance(c.store, DeltaStore)}
    root, unlisted = platform_settings().lake_dir, list[Path]()
    for folder, folders, _ in walk(root, unlisted.append):
        path = str(folder.relative_to(root))
        if "_delta_log" in folders:
            yield f"Delta table {path}", path in known
            folders.clear()
        elif folder != root and not folders:
            yield f"folder lake/{path}", path == _LOCKS
    for folder in unlisted:
        yield f"folder lake/{folder.relative_to(root)}, which cannot be listed,", False


def _models(contracts: Iterable[AssetContract]) -> Iterator[tuple[str, bool]]:
    known = {c.store.path for c in contracts if isinstance(c.store, Artifacts)}
    root = platform_settings().models_dir
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.is_dir():
            yield f"models {path.name}", path.name in known


def _folders() -> Iterator[tuple[str, bool]]:
    home = platform_settings().home
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        yield f"{'folder' if path.is_dir() else 'file'} {path.name}", path.name in STATE_FOLDERS


def _keys(contracts: Iterable[AssetContract]) -> Iterator[tuple[str, bool]]:
    """The key patterns and streams in use, and each kind of key that no contract tells of."""
    patterns = [(name, key_regex(name)) for c in contracts for name in _key_patterns(c)]
    seen: dict[str, bool] = {}
    with redis_client() as client:
        for key in client.scan_iter(count=_SCAN):
            name = next((name for name, matches in patterns if matches.fullmatch(key)), None)
            seen[name or _kind_of_key(key)] = name is not None
    yield from ((f"Redis keys {name}", known) for name, known in sorted(seen.items()))


def _key_patterns(contract: AssetContract) -> list[str]:
    match contract.store:
        case RedisStore(pattern=pattern):
            return [pattern]
        case RedisStream(key=key):
            return [key, f"{key}:rebuilt"]
        case FeastOnlineStore(project=project):
            return [f"{_FEAST_KEY}*{project}"]
        case _:
            return []


def _kind_of_key(key: bytes) -> str:
    """An unknown key's name without what may stand for a person: what varies as ``*``, and no more than its first parts."""
    text = key.decode("ascii", "replace")
    parts = [_VARYING.sub("*", part) for part in re.split(r"[:{}]+", text)][:2]
    return ":".join(part if part.isprintable() and len(part) <= 32 else "*" for part in parts)
