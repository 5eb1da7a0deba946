"""k-anonymity and l-diversity of a table, counted where it lies: no row leaves the store.

A group is the rows with equal quasi-identifiers, unknown values being a value of their own. *k* is the smallest number of distinct
subjects in a group (Sweeney, k-Anonymity, 2002; of subjects and not of rows, as a subject may have several). *l* of a
sensitive column is the smallest number of distinct known values in a group (distinct l-diversity: Machanavajjhala et al.,
l-Diversity, 2007, section 4.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from privacy import lake
from privacy.contracts import AssetContract, DeltaStore, PostgresStore
from privacy.database import Role, connect
from privacy.duckdb_memory import duckdb_cursor
from privacy.stores.base import StoreError, subject_column
from privacy.stores.postgres import relation_exists

__all__ = ["SMALL", "Anonymity", "measure"]

SMALL = 10


@dataclass(frozen=True)
class Anonymity:
    """How well subjects hide among each other in one asset.

    Attributes
    ----------
    k: subjects in the smallest group; None for an empty or missing table.
    diversity: each sensitive column's l.
    groups: number of groups.
    small_groups: those with fewer than `SMALL` subjects.
    exposed: share of rows' subjects (counted in each group) that are in a small group, 0 to 1.
    """

    asset: str
    quasi_identifiers: tuple[str, ...]
    k: int | None
    diversity: dict[str, int]
    groups: int
    small_groups: int
    exposed: float


def measure(contract: AssetContract) -> Anonymity | None:
    """The asset's anonymity by the quasi-identifiers that its contract names; None where it names none."""
    if not contract.quasi_identifiers:
        return None
    row = _row(contract)
    groups = int(row[0]) if row else 0
    if not row or not groups:
        return Anonymity(contract.key, contract.quasi_identifiers, None, {}, 0, 0, 0.0)
    _, k, small, exposed, *diversity = row
    return Anonymity(
        asset=contract.key,
        quasi_identifiers=contract.quasi_identifiers,
        k=int(k),
        diversity=dict(zip(contract.sensitive, map(int, diversity), strict=True)),
        groups=groups,
        small_groups=int(small),
        exposed=float(exposed or 0),
    )


def _row(contract: AssetContract) -> Sequence[Any] | None:
    """(groups, k, small groups, exposed share, l of each sensitive column); None where there is no table."""
    match contract.store:
        case PostgresStore(schema_name=schema, table=table):
            with connect(Role.PRIVACY) as connection:
                if not relation_exists(connection, contract.store):
                    return None
                query = _query(contract, sql.Identifier(schema, table))
                return connection.execute(query).fetchone()
        case DeltaStore(path=path):
            files = list(lake.open_table(path).file_uris()) if lake.exists(path) else []
            if not files:
                return None
            with duckdb_cursor() as database:
                text = _query(contract, sql.SQL("read_parquet(?)")).as_string()
                found: Sequence[Any] | None = database.execute(text, [files]).fetchone()
                return found
    raise StoreError(f"Asset {contract.key} is no table: its anonymity cannot be counted.")


def _query(contract: AssetContract, table: sql.Composable) -> sql.Composed:
    sensitive = list(contract.sensitive)
    per_group = [
        sql.SQL("count(distinct {}) as {}").format(sql.Identifier(name), sql.Identifier(f"l_{n}"))
        for n, name in enumerate(sensitive)
    ]
    smallest = [sql.SQL("min({})").format(sql.Identifier(f"l_{n}")) for n in range(len(sensitive))]
    return sql.SQL(
        "with groups as (select {columns} from {table} group by {quasi}) "
        "select count(*), min(subjects), count(*) filter (where subjects < {small}), "
        "coalesce(sum(subjects) filter (where subjects < {small}), 0) * 1.0 / nullif(sum(subjects), 0){smallest} from groups"
    ).format(
        columns=sql.SQL(", ").join(
            [
                sql.SQL("count(distinct {}) as subjects").format(
                    sql.Identifier(subject_column(contract))
                ),
                *per_group,
            ]
        ),
        table=table,
        quasi=sql.SQL(", ").join(map(sql.Identifier, contract.quasi_identifiers)),
        small=sql.Literal(SMALL),
        smallest=sql.SQL("").join(sql.SQL(", {}").format(part) for part in smallest),
    )
