"""Makes deleted bytes leave the disk: Postgres tables, statistics and write-ahead log, Redis's files.

Deleting a row leaves its bytes in the table's pages, in the write-ahead log and, for a sampled column, in the planner's
statistics; deleting a Redis key leaves the command that wrote it in the append-only file, and its value in the last dump.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from privacy.contracts import PostgresStore
from privacy.database import Role, connect
from privacy.file_search import needles_of, search_files
from privacy.settings import platform_settings
from privacy.stores.base import StoreError, StoreLockedError
from privacy.stores.postgres import relation_exists
from privacy.stores.redis import empty_server_logs, redis_client

__all__ = [
    "forget_commands",
    "remove_built",
    "scrub_postgres",
    "scrub_redis",
    "trim_write_ahead_log",
]

_LOCK_TIMEOUT = "60s"
_BUILT = ("dbt", "dagster/storage", "dagster/compute-logs")
_REDIS_SECONDS = 300.0


def scrub_postgres(tables: Iterable[tuple[str, str]]) -> int:
    """Rewrite each (schema, table), drop its old log and files; returns how many tables there were.

    Raises StoreLockedError where a table stays in use for a minute.
    """
    count = 0
    with connect(Role.PRIVACY, autocommit=True) as connection:
        connection.execute("select set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
        for schema, table in sorted(set(tables)):
            if relation_exists(connection, PostgresStore(schema_name=schema, table=table)):
                _rewrite(connection, schema, table)
                count += 1
    trim_write_ahead_log()
    return count


def tables_with_bytes(needles: Sequence[bytes]) -> set[tuple[str, str]]:
    """Tables (schema, name) in whose files (embedded server only) `needles` are found, in rows that are dead as well."""
    data = platform_settings().home / "postgres"
    nodes = {_file_node(path) for path in search_files(data, needles).holding}
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select n.nspname, coalesce(owner.relname, c.relname) "
            "from unnest(%s::oid[]) as f join pg_class c on c.oid = pg_filenode_relation(0, f) "
            "left join pg_index i on i.indexrelid = c.oid left join pg_class t on t.reltoastrelid = c.oid "
            "left join pg_class owner on owner.oid = coalesce(i.indrelid, t.oid) "
            "join pg_namespace n on n.oid = coalesce(owner.relnamespace, c.relnamespace) "
            "where n.nspname !~ '^pg_' and pg_has_role(coalesce(owner.relowner, c.relowner), 'member')",
            [[node for node in nodes if node]],
        ).fetchall()
    return {(schema, table) for schema, table in rows}


def _file_node(path: Path) -> int | None:
    """The file node of a relation's file ``base/<database>/<node>[_fork][.segment]``; None for any other file."""
    node = path.name.partition(".")[0].partition("_")[0]
    return int(node) if path.parent.parent.name == "base" and node.isdigit() else None


def _rewrite(connection: psycopg.Connection[Any], schema: str, table: str) -> None:
    try:
        connection.execute(
            sql.SQL("vacuum (full, analyze) {}").format(sql.Identifier(schema, table))
        )
    except psycopg.errors.LockNotAvailable as error:
        raise StoreLockedError(
            f"Table {schema}.{table} is in use, so its deleted rows could not leave the disk: try again later."
        ) from error


def trim_write_ahead_log() -> None:
    """Begin a new log segment and let a checkpoint remove the ones before it, with the files of rewritten tables."""
    with connect(Role.PRIVACY, autocommit=True) as connection:
        connection.execute("select pg_switch_wal()")
        connection.execute("checkpoint")


def scrub_redis() -> int:
    """Rewrite the append-only file and the dump where Redis keeps them, and empty its logs of commands; returns how many files.

    A log of slow commands holds the keys that they named.
    """
    with redis_client() as client:
        empty_server_logs(client)
        appends = bool(client.info("persistence")["aof_enabled"])
        dumps = bool(client.config_get("save").get("save"))
        if appends:
            _wait(client, _idle)
            client.bgrewriteaof()
            _wait(client, _idle)
            _check(client, "aof_last_bgrewrite_status")
        if dumps:
            client.bgsave()
            _wait(client, _idle)
            _check(client, "rdb_last_bgsave_status")
    return int(appends) + int(dumps)


def forget_commands() -> int:
    """Empty Redis's logs of commands: a search by handlers names whom it searches for; returns how many logs."""
    with redis_client() as client:
        empty_server_logs(client)
    return 1


def remove_built(pseudonyms: Sequence[str]) -> int:
    """Delete the artefacts of builds and the logs of runs that hold a pseudonym, which none should; returns how many.

    They are made anew: dbt's compiled models and results, and what Dagster keeps of a run in files.
    """
    home, needles = platform_settings().home, needles_of(pseudonyms)
    held = [path for name in _BUILT for path in search_files(home / name, needles).holding]
    for path in held:
        path.resolve().unlink(missing_ok=True)  # where a link leads
        path.unlink(missing_ok=True)
    return len(held)


def _persistence(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.info("persistence")
    return found


def _idle(client: Any) -> bool:
    state = _persistence(client)
    busy = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
    return not any(state.get(name) for name in busy)


def _wait(client: Any, condition: Callable[[Any], bool]) -> None:
    deadline = time.monotonic() + _REDIS_SECONDS
    while not condition(client):
        if time.monotonic() > deadline:
            raise StoreLockedError(
                f"Redis did not finish writing its files within {_REDIS_SECONDS:.0f} s: try again later."
            )
        time.sleep(0.05)


def _check(client: Any, field: str) -> None:
    if _persistence(client).get(field) != "ok":
        raise StoreError(
            f"Redis could not rewrite its files ({field}): see its log, then try again."
        )
