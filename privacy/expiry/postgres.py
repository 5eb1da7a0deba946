"""Rows of Postgres tables, by the contract's column; a table without one ages as a whole since it was last written."""

from psycopg import sql

from privacy.contracts import AssetContract
from privacy.database import Role, connect
from privacy.expiry.base import Due, Expiry, Overdue
from privacy.stores.base import StoreError
from privacy.stores.postgres import postgres_store, relation_exists

__all__ = ["PostgresExpiry"]

_VIEW = "a view; its tables are cleared"
_REBUILT = "rebuilt as a whole, counted from its last materialisation"


class PostgresExpiry(Expiry):
    """Rows older than the contract's column allows; null times are not overdue."""

    def overdue(self, contract: AssetContract, due: Due) -> Overdue:
        """Rows past the retention; a view's count is what shines through it and must be zero.

        Raises StoreError where there are rows whose age nothing tells.
        """
        store = postgres_store(contract)
        with connect(Role.PRIVACY) as connection:
            if not relation_exists(connection, store):
                return Overdue(why="no such table yet")
            query = _statement(
                "select count(*) filter (where {old} and not {held}), count(*) filter (where {old} and {held}), count(*) "
                "from {table}",
                contract,
            )
            row = connection.execute(query, _parameters(due)).fetchone()
        found, held, rows = row or (0, 0, 0)
        if rows and not store.is_view and not _tells_age(contract, due):
            raise StoreError(
                f"the age of its {rows} rows cannot be told: its contract's retention names no column, and no materialisation "
                "is known. Name the column, or materialise it"
            )
        return Overdue(found, held, why=_why(contract, due))

    def expire(self, contract: AssetContract, due: Due) -> int:
        """Delete the rows; their bytes go when `privacy.stores.scrub` rewrites the table."""
        store = postgres_store(contract)
        if store.is_view:
            return 0
        with connect(Role.PRIVACY) as connection:
            if not relation_exists(connection, store):
                return 0
            query = _statement("delete from {table} where {old} and not {held}", contract)
            return connection.execute(query, _parameters(due)).rowcount


def _why(contract: AssetContract, due: Due) -> str:
    store, retention = postgres_store(contract), contract.retention
    if store.is_view:
        return _VIEW
    return "" if retention and retention.column else _REBUILT


def _tells_age(contract: AssetContract, due: Due) -> bool:
    return bool(contract.retention and contract.retention.column) or due.written is not None


def _parameters(due: Due) -> dict[str, object]:
    return {"before": due.before, "held": sorted(due.held), "written": due.written}


def _statement(template: str, contract: AssetContract) -> sql.Composed:
    store, retention = postgres_store(contract), contract.retention
    old: sql.Composable = sql.SQL("coalesce(%(written)s::timestamptz < %(before)s, false)")
    if retention and retention.column:
        old = sql.SQL("{} < %(before)s").format(sql.Identifier(retention.column))
    held: sql.Composable = sql.SQL("(false and %(held)s::text[] is null)")
    if contract.subject:
        held = sql.SQL("coalesce({} = any(%(held)s::text[]), false)").format(
            sql.Identifier(contract.subject)
        )
    return sql.SQL(template).format(
        table=sql.Identifier(store.schema_name, store.table), old=old, held=held
    )
