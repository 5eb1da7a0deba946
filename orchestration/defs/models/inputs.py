"""What models are made from: consented events, the catalogue and popularity snapshots of the lake."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from consent.models import snapshot
from consent.spark import consented
from orchestration.spark import get_spark, read_delta, to_table
from privacy import lake
from privacy.contracts import Purpose
from recommenders.catalogue import Catalogue

__all__ = [
    "catalogue",
    "consent_snapshot",
    "data_versions",
    "item_column",
    "popularity_snapshot",
    "training_events",
]

_EVENTS = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("product_id", pa.string()),
        ("event_type", pa.string()),
        ("size", pa.string()),
        ("event_timestamp", pa.timestamp("us", tz="UTC")),
    ]
)


def training_events(*asset_keys: str) -> pl.DataFrame:
    """Events that may train models: agreed to when they happened and now, of subjects not left out of `asset_keys`."""
    rows = read_delta(get_spark(), "interactions").where("product_id is not null")
    for key in asset_keys:
        rows = consented(rows, Purpose.MODEL_TRAINING, "event_timestamp", key)
    return cast(pl.DataFrame, pl.from_arrow(to_table(rows, _EVENTS)))


def catalogue() -> Catalogue:
    """The products of the lake, each in its newest version."""
    products = _frame("products").sort("event_timestamp")
    return Catalogue.from_products(products.unique("product_id", keep="last", maintain_order=True))


def popularity_snapshot() -> pl.DataFrame:
    """The newest snapshot of `lake/product_popularity`, one row per product."""
    rows = _frame("product_popularity").sort("event_timestamp")
    return rows.unique("product_id", keep="last", maintain_order=True)


def item_column(items: Catalogue, snapshot: pl.DataFrame, value: pl.Expr) -> NDArray[np.float64]:
    """`value` of each catalogued product, shape (items,); 0 where the snapshot lacks the product or the value."""
    values: Mapping[str, float | None] = dict(
        snapshot.select("product_id", value.cast(pl.Float64).alias("value")).iter_rows()
    )
    return np.array([values.get(name) or 0.0 for name in items.product_ids])


def data_versions(*tables: str) -> dict[str, int]:
    """Versions of the Delta tables as they are now."""
    return {table: int(lake.open_table(table).version()) for table in tables}


def consent_snapshot() -> dict[str, int | str]:
    """How far the consent ledger reaches now: newest record, newest objection and time."""
    return snapshot().as_json()


def _frame(table: str) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(lake.open_table(table).to_pyarrow_table()))
