"""Postgres tables and views: rows found by the contract's subject column.

A view is searched and exported; it is erased through the tables it reads.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import dict_row

from privacy.contracts import AssetContract, PostgresStore
from privacy.database import Role, connect
from privacy.stores.base import BATCH_ROWS, StoreError, StoreHandler, plain, subject_column

__all__ = ["PostgresHandler", "postgres_store", "relation_exists"]


def postgres_store(contract: AssetContract) -> PostgresStore:
    """The table or view of `contract`; raises StoreError where it has another kind of store."""
    if not isinstance(contract.store, PostgresStore):
        raise StoreError(f"Asset {contract.key} does not lie in Postgres ({contract.store.kind}).")
    return contract.store


def relation_exists(connection: psycopg.Connection[Any], store: PostgresStore) -> bool:
    """Whether the table or view is there (an asset that never ran has none)."""
    row = connection.execute(
        "select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = %s and c.relname = %s",
        [store.schema_name, store.table],
    ).fetchone()
    return row is not None


class PostgresHandler(StoreHandler):
    """Rows of a table whose subject column holds the pseudonym."""

    def find(self, contract: AssetContract, pseudonyms: Sequence[str]) -> dict[str, int]:
        """Rows per subject."""
        store = postgres_store(contract)
        with connect(Role.PRIVACY) as connection:
            if not relation_exists(connection, store):
                return {}
            query = _statement(
                "select {subject}, count(*) from {table} where {subject} = any(%s) group by 1",
                contract,
            )
            return dict(connection.execute(query, [list(pseudonyms)]).fetchall())

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The subject's rows, every column but the pseudonym."""
        store = postgres_store(contract)
        with connect(Role.PRIVACY) as connection, connection.cursor(row_factory=dict_row) as cursor:
            if not relation_exists(connection, store):
                return []
            cursor.execute(
                _statement("select * from {table} where {subject} = %s", contract), [pseudonym]
            )
            rows = cursor.fetchall()
        column = subject_column(contract)
        return [
            {name: plain(value) for name, value in row.items() if name != column} for row in rows
        ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Delete the rows; their bytes go when `privacy.stores.scrub` rewrites the table."""
        store = postgres_store(contract)
        if store.is_view:
            return 0
        with connect(Role.PRIVACY) as connection:
            if not relation_exists(connection, store):
                return 0
            query = _statement("delete from {table} where {subject} = any(%s)", contract)
            return connection.execute(query, [list(pseudonyms)]).rowcount

    def held(self, contract: AssetContract) -> Iterator[pa.Array]:
        """The subject column of every row."""
        with connect(Role.PRIVACY) as connection:
            if not relation_exists(connection, postgres_store(contract)):
                return
            with connection.cursor("held") as cursor:
                cursor.execute(_statement("select {subject}::text from {table}", contract))
                while rows := cursor.fetchmany(BATCH_ROWS):
                    yield pa.array([row[0] for row in rows], pa.string())

    def tables(self, contract: AssetContract) -> tuple[tuple[str, str], ...]:
        """The table itself; a view has no bytes of its own."""
        store = postgres_store(contract)
        return () if store.is_view else ((store.schema_name, store.table),)


def _statement(template: str, contract: AssetContract) -> sql.Composed:
    store = postgres_store(contract)
    return sql.SQL(template).format(
        table=sql.Identifier(store.schema_name, store.table),
        subject=sql.Identifier(subject_column(contract)),
    )
