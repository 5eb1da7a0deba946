"""Pseudonymous rows into the tables of Postgres' schema `shop`: COPY, then one statement that changes what differs."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from orchestration.ingest.summary import IngestError
from orchestration.sources.batch import QuarantinedRow
from orchestration.sources.model import Table
from privacy.database import Role, connect

__all__ = ["count_rows", "delete_subjects", "quarantine", "upsert"]

_SCHEMA = "shop"


def upsert(table: Table, rows: pa.Table) -> int:
    """Add or change rows of ``shop.<table>``; returns how many differ from what was there.

    A row that is older than the one it would replace (by the table's time column) changes nothing, and of several rows
    with one key in `rows` the newest counts, so that repeating an ingest changes nothing.
    """
    key = _key(table)
    latest = _newest_per_key(rows, key, table.time)
    target = sql.Identifier(_SCHEMA, table.name)
    with (
        _without_row_content(table),
        connect(Role.INGEST) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            sql.SQL(
                "create temporary table incoming (like {} including defaults) on commit drop"
            ).format(target)
        )
        _copy(cursor, latest)
        cursor.execute(_upsert_statement(target, latest.column_names, key, table.time))
        return cursor.rowcount


def delete_subjects(table: Table, pseudonyms: Iterable[str]) -> int:
    """Delete the rows of these subjects from ``shop.<table>``; returns how many."""
    with connect(Role.INGEST) as connection:
        return connection.execute(
            sql.SQL("delete from {} where pseudonym = any(%s)").format(
                sql.Identifier(_SCHEMA, table.name)
            ),
            [list(pseudonyms)],
        ).rowcount


def count_rows(table: Table) -> int:
    """Rows in ``shop.<table>``."""
    with connect(Role.INGEST) as connection:
        row = connection.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(_SCHEMA, table.name))
        ).fetchone()
    assert row is not None
    return int(row[0])


def quarantine(source: str, rows: Sequence[QuarantinedRow]) -> None:
    """List refused rows in ``shop.quarantine``, each reason once."""
    if not rows:
        return
    with connect(Role.INGEST) as connection, connection.cursor() as cursor:
        cursor.execute(
            "create temporary table refused (like shop.quarantine including defaults) on commit drop"
        )
        with cursor.copy(
            "copy refused (source, table_name, file_name, row_number, reason) from stdin"
        ) as copy:
            for row in rows:
                copy.write_row((source, row.table, row.file_name, row.row_number, row.reason))
        cursor.execute(
            "insert into shop.quarantine select distinct * from refused on conflict do nothing"
        )


@contextmanager
def _without_row_content(table: Table) -> Iterator[None]:
    """Say which constraint a row breaks, and leave out the row, which Postgres quotes in its error."""
    try:
        yield
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        about = error.diag.constraint_name or error.diag.column_name or "a value"
        raise IngestError(
            f"shop.{table.name} refuses rows of the source ({type(error).__name__}, {about}): correct the source's "
            "mapping or its data, and run the ingest again."
        ) from None


def _key(table: Table) -> list[str]:
    return ["pseudonym" if name == "subject_id" else name for name in table.key]


def _newest_per_key(rows: pa.Table, key: Sequence[str], time: str) -> pa.Table:
    order = pl.DataFrame(
        {"row": range(rows.num_rows), **{name: pl.from_arrow(rows[name]) for name in {*key, time}}}
    )
    kept = order.sort([time, "row"]).unique(subset=list(key), keep="last").sort(list(key))
    return rows.take(pa.array(kept["row"].to_list(), pa.int64()))


def _copy(cursor: psycopg.Cursor[Any], rows: pa.Table) -> None:
    """COPY `rows` into the temporary table `incoming`, as CSV that Arrow writes."""
    buffer = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    pyarrow.csv.write_csv(_with_json(rows), buffer, options)
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    with cursor.copy(sql.SQL("copy incoming ({}) from stdin (format csv)").format(columns)) as copy:
        # Postgres has no text with NUL in it; no other value of the CSV can hold one.
        copy.write(buffer.getvalue().replace(b"\0", b""))


def _with_json(rows: pa.Table) -> pa.Table:
    for position, column in enumerate(rows.schema):
        if pa.types.is_list(column.type):
            values = rows[column.name].to_pylist()
            texts = [None if value is None else json.dumps(value) for value in values]
            rows = rows.set_column(position, column.name, pa.array(texts, pa.string()))
    return rows


def _upsert_statement(
    target: sql.Identifier, names: Sequence[str], key: Sequence[str], time: str
) -> sql.Composed:
    def listed(pattern: str) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(pattern).format(sql.Identifier(name)) for name in names)

    keys = sql.SQL(", ").join(map(sql.Identifier, key))
    return sql.SQL(
        "insert into {target} as held ({columns}) select {columns} from incoming order by {keys} "
        "on conflict ({keys}) do update set {changes}, ingested_at = now() "
        "where ({held}) is distinct from ({offered}) and excluded.{time} >= held.{time}"
    ).format(
        target=target,
        columns=listed("{}"),
        keys=keys,
        changes=listed("{0} = excluded.{0}"),
        held=listed("held.{}"),
        offered=listed("excluded.{}"),
        time=sql.Identifier(time),
    )
