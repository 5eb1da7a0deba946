"""Delta tables of the lake: created, appended to, replaced and erased so that no pseudonym outlives its rows.

Two places keep copies of column values apart from the rows: per-file statistics in the transaction log, which
`create_or_open` switches off for columns that find a person or hold their words, and the predicate of a ``DELETE``, which the log records
literally. So rows are erased by a merge with a table of pseudonyms, and the files that held them are vacuumed at once.
Merges stream their source (``streamed_exec=True``): without it delta-rs derives a range of keys from the source to prune
files, and writes that range, which for one erased subject is the pseudonym itself, into the log.

A vacuum is full: it lists the table's folder, so that a Parquet file that a crashed write left without ever naming it in the
log goes too. A write under way has such files as well, so writers hold a shared lock of the table until they
have committed, and a vacuum an exclusive one. Lock files lie in ``.locks`` beside the tables, are empty, and hold
processes of one machine apart, which is where the lake lies.
"""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from privacy.duckdb_memory import duckdb_cursor
from privacy.folders import note_writing
from privacy.settings import platform_settings

__all__ = [
    "IDENTIFYING_COLUMNS",
    "LakeError",
    "append_new",
    "correct",
    "count",
    "create_or_open",
    "erase",
    "exists",
    "expire",
    "holds",
    "open_table",
    "overdue",
    "replace",
    "table_path",
]

IDENTIFYING_COLUMNS = frozenset({"pseudonym", "session", "source_key", "query"})
_LOCKS = ".locks"
_STATISTICS = "delta.dataSkippingStatsColumns"
_KEEP_OLD_FILES_HOURS = 24
_ATTEMPTS = 5
_Result = TypeVar("_Result")


class LakeError(RuntimeError):
    """A Delta table cannot be read or written as asked; says which table and what to do."""


def table_path(path: str | Path) -> Path:
    """Where the Delta table `path` lies; a relative one is taken from the lake's root."""
    return platform_settings().lake_dir / path


def exists(path: str | Path) -> bool:
    """Whether a Delta table lies at `path`."""
    return bool(DeltaTable.is_deltatable(str(table_path(path))))


def open_table(path: str | Path) -> DeltaTable:
    """The newest version of the Delta table at `path`; LakeError where there is none."""
    try:
        return DeltaTable(str(table_path(path)))
    except TableNotFoundError as error:
        raise LakeError(
            f"No Delta table '{path}' in the lake: materialise the asset that writes it first."
        ) from error


def create_or_open(path: str | Path, schema: pa.Schema) -> DeltaTable:
    """The Delta table at `path`, made with `schema` where there is none.

    Its transaction log keeps statistics only for the other columns than `IDENTIFYING_COLUMNS`.
    """
    location = table_path(path)
    if not exists(path):
        note_writing(location)
    location.parent.mkdir(parents=True, exist_ok=True)
    return DeltaTable.create(
        str(location), schema, mode="ignore", configuration=_configuration(schema)
    )


def append_new(path: str | Path, rows: pa.Table, key: str = "source_key") -> int:
    """Add the rows of `rows` whose `key` is not in the table yet; returns how many (0: no new version).

    Safe to repeat and to run beside other writers: what one of them adds first is not added again.
    """

    def attempt() -> int:
        table = create_or_open(path, rows.schema)
        fresh = _absent(table, rows, key)
        if fresh.num_rows == 0:
            return 0
        merge = table.merge(
            fresh, f"t.{key} = s.{key}", source_alias="s", target_alias="t", streamed_exec=True
        )
        return int(merge.when_not_matched_insert_all().execute()["num_target_rows_inserted"])

    return _writing(path, attempt)


def replace(path: str | Path, rows: pa.Table) -> int:
    """Make `rows` the table's whole content; returns the new version. Files a day out of use are deleted."""

    def attempt() -> None:
        create_or_open(path, rows.schema)
        write_deltalake(str(table_path(path)), rows, mode="overwrite", schema_mode="overwrite")
        table = open_table(path)
        wanted = _configuration(rows.schema)
        if table.metadata().configuration.get(_STATISTICS) != wanted[_STATISTICS]:
            table.alter.set_table_properties(wanted)

    _writing(path, attempt)
    _vacuum(path, _KEEP_OLD_FILES_HOURS)
    return int(open_table(path).version())


def correct(path: str | Path, rows: pa.Table, key: Sequence[str]) -> int:
    """Change rows found by the columns `key` to the other columns of `rows`, where those are not null; returns how many.

    The files that held the old values are deleted once they are a day out of use.
    """
    if not exists(path) or not rows.num_rows:
        return 0
    changed = {
        name: f"coalesce(s.{name}, t.{name})" for name in rows.column_names if name not in key
    }

    def attempt() -> int:
        merge = open_table(path).merge(
            rows,
            " and ".join(f"t.{name} = s.{name}" for name in key),
            source_alias="s",
            target_alias="t",
            streamed_exec=True,
        )
        return int(merge.when_matched_update(changed).execute()["num_target_rows_updated"])

    corrected = _writing(path, attempt)
    _vacuum(path, _KEEP_OLD_FILES_HOURS)
    return corrected


def erase(path: str | Path, column: str, pseudonyms: Sequence[str]) -> int:
    """Delete the rows whose `column` is one of `pseudonyms`, and every file not in use; returns how many rows.

    The files are vacuumed even where no row is left to delete, so that an erasure cut short is finished by the next.
    Waits for writes of the table that are under way.
    """
    if not exists(path):
        return 0
    doomed = pa.table({column: pa.array(sorted(set(pseudonyms)), pa.string())})

    def attempt() -> int:
        table = open_table(path)
        if not _matches(table, column, doomed):
            return 0
        merge = table.merge(
            doomed,
            f"t.{column} = s.{column}",
            source_alias="s",
            target_alias="t",
            streamed_exec=True,
        )
        return int(merge.when_matched_delete().execute()["num_target_rows_deleted"])

    deleted = _writing(path, attempt)
    _vacuum(path, 0)
    return deleted


def overdue(
    path: str | Path, column: str, before: datetime, subject: str | None, held: Sequence[str] = ()
) -> tuple[int, int]:
    """Rows whose `column` lies before `before`: of everybody but `held`, and of `held` (pseudonyms in `subject`)."""
    files = _files(open_table(path)) if exists(path) else []
    if not files:
        return 0, 0
    kept = f'coalesce("{subject}" in (select held from held), false)' if subject else "false"  # noqa: S608
    with duckdb_cursor() as database:
        database.register("held", pa.table({"held": pa.array(held, pa.string())}))
        row = database.execute(
            f"select count(*) filter (where not {kept}), count(*) filter (where {kept}) "  # noqa: S608 (columns of the contract)
            f'from read_parquet(?) where "{column}" < ?::timestamptz',
            [files, before],
        ).fetchone()
    return row or (0, 0)


def expire(
    path: str | Path, column: str, before: datetime, subject: str | None, held: Sequence[str] = ()
) -> int:
    """Delete the rows whose `column` lies before `before`, but for those of `held`, and every file not in use.

    The log learns the moment and no subject: rows of subjects go by a merge with a table of them. Returns how many rows.
    """
    if not exists(path):
        return 0
    due = pa.scalar(before, pa.timestamp("us", tz="UTC"))

    def attempt() -> int:
        return _expire_subjects(path, column, due, subject, held) + _expire_nobodys(
            path, column, due, subject
        )

    deleted = _writing(path, attempt)
    _vacuum(path, 0)
    return deleted


def _expire_subjects(
    path: str | Path, column: str, due: pa.Scalar, subject: str | None, held: Sequence[str]
) -> int:
    table = open_table(path)
    files = _files(table)
    if not subject or not files:
        return 0
    with duckdb_cursor() as database:
        database.register("held", pa.table({"held": pa.array(held, pa.string())}))
        doomed = database.execute(
            f'select distinct "{subject}" from read_parquet(?) where "{column}" < ?::timestamptz '  # noqa: S608
            f'and "{subject}" is not null and "{subject}" not in (select held from held)',
            [files, due.as_py()],
        ).to_arrow_table()
    if not doomed.num_rows:
        return 0
    moments = pa.repeat(due, doomed.num_rows)
    merge = table.merge(
        doomed.append_column("due", moments),
        f"t.{subject} = s.{subject} and t.{column} < s.due",
        source_alias="s",
        target_alias="t",
        streamed_exec=True,
    )
    return int(merge.when_matched_delete().execute()["num_target_rows_deleted"])


def _expire_nobodys(path: str | Path, column: str, due: pa.Scalar, subject: str | None) -> int:
    """Delete the overdue rows that are about no subject."""
    nobodys = f"t.{subject} is null and " if subject else ""
    merge = open_table(path).merge(
        pa.table({"due": pa.array([due.as_py()], due.type)}),
        f"{nobodys}t.{column} < s.due",
        source_alias="s",
        target_alias="t",
        streamed_exec=True,
    )
    return int(merge.when_matched_delete().execute()["num_target_rows_deleted"])


def count(path: str | Path, column: str | None = None, pseudonym: str | None = None) -> int:
    """Rows in the table at `path` (0 where there is none), or those whose `column` is `pseudonym`."""
    if not exists(path):
        return 0
    table = open_table(path)
    if column is None:
        return int(table.count())
    found = pa.table({column: pa.array([pseudonym], pa.string())})
    return _matches(table, column, found)


def holds(path: str | Path, column: str, pseudonyms: Sequence[str]) -> bool:
    """Whether the table at `path` has a row whose `column` is one of `pseudonyms`."""
    if not pseudonyms or not exists(path):
        return False
    wanted = pa.table({column: pa.array(sorted(set(pseudonyms)), pa.string())})
    return _matches(open_table(path), column, wanted) > 0


def _configuration(schema: pa.Schema) -> dict[str, str]:
    kept = [
        field.name
        for field in schema
        if field.name not in IDENTIFYING_COLUMNS and not pa.types.is_nested(field.type)
    ]
    return {_STATISTICS: ",".join(kept)}


def _files(table: DeltaTable) -> list[str]:
    return list(table.file_uris())


def _absent(table: DeltaTable, rows: pa.Table, key: str) -> pa.Table:
    """Rows of `rows` with a new `key`, the first of each; one bounded pass over the table's key column."""
    with duckdb_cursor() as database:
        database.register("batch", rows.append_column("_row", pa.array(range(rows.num_rows))))
        held = "select null::varchar as key where false"
        parameters: list[object] = []
        if files := _files(table):
            held = f'select "{key}" as key from read_parquet(?)'  # noqa: S608 (a column name of ours)
            parameters = [files]
        found = database.execute(
            f'select min(_row) as row from batch where "{key}" not in '  # noqa: S608
            f'(select held.key from ({held}) held where held.key in (select "{key}" from batch)) '
            f'group by "{key}" order by row',
            parameters,
        ).to_arrow_table()
    return rows.take(found["row"].combine_chunks())


def _matches(table: DeltaTable, column: str, wanted: pa.Table) -> int:
    files = _files(table)
    if not files:
        return 0
    with duckdb_cursor() as database:
        database.register("wanted", wanted)
        found = database.execute(
            f'select count(*) from read_parquet(?) where "{column}" in (select "{column}" from wanted)',  # noqa: S608
            [files],
        ).fetchone()
    return int(found[0]) if found else 0


def _writing(path: str | Path, attempt: Callable[[], _Result]) -> _Result:
    """Run `attempt` while no vacuum of the table runs; other writers may run beside it."""

    def locked() -> _Result:
        with _locked(path, fcntl.LOCK_SH):
            return attempt()

    return _with_retries(path, locked)


def _vacuum(path: str | Path, retention_hours: int) -> None:
    """Delete the files that are in no version younger than `retention_hours`, named in the log or not."""

    def attempt() -> None:
        with _locked(path, fcntl.LOCK_EX):
            # Opened under the lock: an older version does not know what was committed since.
            open_table(path).vacuum(
                retention_hours=retention_hours,
                enforce_retention_duration=False,
                dry_run=False,
                full=True,
            )

    _with_retries(path, attempt)


@contextmanager
def _locked(path: str | Path, operation: int) -> Iterator[None]:
    """Hold the table's lock, shared (`fcntl.LOCK_SH`) or exclusive (`fcntl.LOCK_EX`); waits for it."""
    root, table = platform_settings().lake_dir.resolve(), table_path(path).resolve()
    name = table.relative_to(root) if table.is_relative_to(root) else table
    folder = root / _LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    # Each opening has a lock of its own, so threads of one process are held apart as well.
    with (folder / f"{quote(str(name), safe='')}.lock").open("ab") as file:
        fcntl.flock(file, operation)
        yield


def _with_retries(path: str | Path, attempt: Callable[[], _Result]) -> _Result:
    """Run `attempt`, again from the newest version where another writer committed in between."""
    for wait in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except CommitFailedError:
            time.sleep(0.1 * 2**wait)
    try:
        return attempt()
    except CommitFailedError as error:
        raise LakeError(
            f"Delta table '{path}' was changed by other writers {_ATTEMPTS} times in a row; try again."
        ) from error
