"""How much an asset holds now: rows and subjects, counted where they lie."""

from psycopg import sql

from privacy import lake
from privacy.contracts import AssetContract, DeltaStore, PostgresStore
from privacy.database import Role, connect
from privacy.duckdb_memory import duckdb_cursor
from privacy.stores.postgres import relation_exists

__all__ = ["volume"]


def volume(contract: AssetContract) -> dict[str, int | None]:
    """``rows`` and ``subjects`` of a table; None where the store has no rows to count or holds no subjects."""
    match contract.store:
        case PostgresStore():
            return _in_postgres(contract, contract.store)
        case DeltaStore(path=path) if lake.exists(path):
            return _in_lake(contract, path)
    return {"rows": None, "subjects": None}


def _subject(contract: AssetContract) -> str | None:
    """The column to count subjects by; records under a legal duty lead to nobody who could be counted."""
    countable = contract.holds_subjects and contract.handler != "retained"
    return contract.subject if countable else None


def _in_postgres(contract: AssetContract, store: PostgresStore) -> dict[str, int | None]:
    column = _subject(contract)
    subjects = (
        sql.SQL("count(distinct {})").format(sql.Identifier(column)) if column else sql.SQL("null")
    )
    query = sql.SQL("select count(*), {} from {}").format(
        subjects, sql.Identifier(store.schema_name, store.table)
    )
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(query).fetchone() if relation_exists(connection, store) else None
    return {"rows": row[0], "subjects": row[1]} if row else {"rows": 0, "subjects": None}


def _in_lake(contract: AssetContract, path: str) -> dict[str, int | None]:
    column, files = _subject(contract), list(lake.open_table(path).file_uris())
    if not files:
        return {"rows": 0, "subjects": 0 if column else None}
    subjects = f'count(distinct "{column}")' if column else "null"
    with duckdb_cursor() as database:
        row = database.execute(
            f"select count(*), {subjects} from read_parquet(?)",  # noqa: S608 (a column of the contract)
            [files],
        ).fetchone()
    assert row is not None
    return {"rows": row[0], "subjects": row[1]}
