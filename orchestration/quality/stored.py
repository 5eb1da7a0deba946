"""Batches of what is stored: the shop's tables and the ledger in Postgres, the interactions in the lake."""

from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
from psycopg import sql

from orchestration.ingest.interactions import PATH
from orchestration.sources.model import TABLES
from privacy import lake
from privacy.database import Role, connect

__all__ = ["BATCH_ROWS", "stored_batches", "stored_columns"]

BATCH_ROWS = 50_000


def _relation(table_name: str) -> tuple[Role, str, str]:
    if table_name == "consents":
        return Role.CONSENT, "consent", "records"
    return Role.INGEST, "shop", table_name


def stored_columns(table_name: str) -> list[str] | None:
    """Names of the columns of a stored canonical table; None where it is not stored yet."""
    if table_name == "interactions":
        return (
            lake.open_table(PATH).to_pyarrow_dataset().schema.names if lake.exists(PATH) else None
        )
    role, schema, table = _relation(table_name)
    with connect(role) as connection:
        rows = connection.execute(
            "select column_name from information_schema.columns where table_schema = %s and table_name = %s "
            "order by ordinal_position",
            [schema, table],
        ).fetchall()
    return [row[0] for row in rows] or None


def stored_batches(table_name: str, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Rows of a stored canonical table, `columns` alone, at most `BATCH_ROWS` at a time."""
    if table_name == "interactions":
        dataset = lake.open_table(PATH).to_pyarrow_dataset()
        for batch in dataset.to_batches(columns=columns, batch_size=BATCH_ROWS):
            yield batch.to_pandas()
    else:
        yield from _postgres_batches(table_name, columns)


def _expression(table_name: str, column: str) -> sql.Composable:
    """The column, decimals as floating point: rules compare them with plain numbers."""
    canonical = TABLES[table_name].columns.get(column)
    name = sql.Identifier(column)
    if canonical and pa.types.is_floating(canonical[0]):
        return sql.SQL("{}::float8").format(name)
    return name


def _postgres_batches(table_name: str, columns: list[str]) -> Iterator[pd.DataFrame]:
    role, schema, table = _relation(table_name)
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(_expression(table_name, column) for column in columns),
        sql.Identifier(schema, table),
    )
    with connect(role) as connection, connection.cursor("quality") as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield pd.DataFrame(rows, columns=columns)
