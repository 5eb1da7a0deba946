"""The catalogue of the warehouse as an Arrow table for the lake."""

import pyarrow as pa
from psycopg.rows import dict_row

from orchestration.lineage.columns import ColumnLineage, Source
from privacy.database import Role, connect

__all__ = ["LINEAGE", "SCHEMA", "catalogue"]

_STRINGS, _TIME = pa.list_(pa.string()), pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("name", pa.string()),
        ("brand", pa.string()),
        ("category", pa.string()),
        ("sustainability_rating", pa.float64()),
        ("price", pa.float64()),
        ("currency", pa.string()),
        ("sizes", _STRINGS),
        ("in_stock_sizes", _STRINGS),
        ("season_tags", _STRINGS),
        ("description", pa.string()),
        ("released_at", _TIME),
        ("event_timestamp", _TIME),
        ("created", _TIME),
    ]
)
_MART = "marts/dim_products"
_TIMES = ("released_at", "event_timestamp", "created")
LINEAGE: ColumnLineage = {
    **{name: {Source(_MART, name)} for name in SCHEMA.names},
    "event_timestamp": {Source(_MART, name) for name in _TIMES},
}


def catalogue() -> pa.Table:
    """The rows of ``marts.dim_products`` in `SCHEMA`; what is unknown there is null here.

    `event_timestamp` is the release where it is known: brand, category and the like hold from then on, and point-in-time
    retrieval must find them for interactions that happened before the stock was last counted.
    """
    with connect(Role.DBT) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select product_id, name, brand, category, sustainability_rating::float8, price::float8, currency, sizes, "
            "in_stock_sizes, season_tags, description, released_at, "
            "coalesce(released_at, event_timestamp, created) as event_timestamp, "
            "created from marts.dim_products order by product_id"
        )
        return pa.Table.from_pylist(cursor.fetchall(), schema=SCHEMA)
