"""The first rows of a table as a picture for the Dagster UI, of assets about nobody alone."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from psycopg import sql
from psycopg.rows import dict_row

from privacy import lake
from privacy.contracts import AssetContract, Category, DeltaStore, PostgresStore
from privacy.database import Role, connect

__all__ = ["preview"]

ROWS, _WIDTH = 5, 60


def preview(contract: AssetContract) -> Mapping[str, dg.MetadataValue]:
    """Metadata entry `preview` with `ROWS` rows; empty where people stand behind the asset, aggregates included, or it is no table.

    It belongs after the scan for personal data: what a table must not hold must not be copied from it either.
    """
    rows = _rows(contract) if contract.category is Category.NONE else []
    if not rows:
        return {}
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(_cell(value) for value in row.values()) + " |" for row in rows]
    return {"preview": dg.MetadataValue.md("\n".join(lines))}


def _rows(contract: AssetContract) -> list[dict[str, Any]]:
    match contract.store:
        case DeltaStore(path=path):
            rows: list[dict[str, Any]] = lake.open_table(path).to_pyarrow_dataset().head(ROWS).to_pylist()  # fmt: skip
            return rows
        case PostgresStore(schema_name=schema, table=table):
            query = sql.SQL("select * from {} limit {}")
            with connect(Role.PRIVACY) as connection, connection.cursor(row_factory=dict_row) as cursor:  # fmt: skip
                cursor.execute(query.format(sql.Identifier(schema, table), sql.Literal(ROWS)))
                return cursor.fetchall()
        case _:
            return []


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    shown = text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
    return shown.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
