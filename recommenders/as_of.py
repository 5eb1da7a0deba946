"""The features of an interaction computed a second way: a plain as-of join in Polars over the lake's tables.

Nothing of Feast takes part, so that what Feast retrieved can be held against it (`recommenders.training_audit`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl
import pyarrow.dataset as ds

from privacy import lake

__all__ = ["SOURCES", "Source", "joined", "later", "with_affinities"]

_TIME, _CREATED, _TAKEN = "event_timestamp", "created", "taken"


@dataclass(frozen=True)
class Source:
    """A Delta table of snapshots, and what the training set takes from it.

    Attributes
    ----------
    table, key: its path in the lake, and the column that names the entity.
    features: columns of the training set.
    renamed: those of them that the table calls otherwise.
    """

    table: str
    key: str
    features: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)

    def snapshots(self, entities: pl.Series) -> pl.DataFrame:
        """The snapshots of `entities`: key, `taken` (their time) and features, oldest first.

        Of several of the same instant the one that was computed last.
        """
        columns = [self.renamed.get(name, name) for name in self.features]
        wanted = ds.field(self.key).isin(entities.unique().to_arrow())
        table = (
            lake.open_table(self.table)
            .to_pyarrow_dataset()
            .to_table(columns=[self.key, _TIME, _CREATED, *columns], filter=wanted)
        )
        frame = pl.DataFrame(table).sort(_TIME, _CREATED)
        return (
            frame.unique([self.key, _TIME], keep="last", maintain_order=True)
            .select(self.key, pl.col(_TIME).alias(_TAKEN), *columns)
            .rename(dict(zip(columns, self.features, strict=True)))
        )


SOURCES = (
    Source(
        "subject_profile",
        "pseudonym",
        (
            "interactions_30d",
            "purchases_90d",
            "views_7d",
            "days_since_last_event",
            "mean_price",
            "mean_sustainability",
            "top_categories",
            "top_category_scores",
            "top_brands",
            "top_brand_scores",
            "top_sizes",
            "top_size_scores",
            "recent_products",
        ),
    ),
    Source(
        "product_popularity",
        "product_id",
        (
            "product_views_7d",
            "carts_7d",
            "purchases_7d",
            "purchases_30d",
            "popularity",
            "trend",
        ),
        {"product_views_7d": "views_7d"},
    ),
    Source("products", "product_id", ("brand", "category", "price", "sustainability_rating")),
)


def joined(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Of each of `rows` (key, `event_timestamp`), in their order: `taken` and the features of the newest snapshot before it.

    A snapshot of the very instant is not before it. Null where there is none.
    """
    snapshots = source.snapshots(rows[source.key]).sort(_TAKEN)
    found = (
        rows.select(source.key, _TIME)
        .with_row_index("row")
        .sort(_TIME)
        .join_asof(
            snapshots.with_columns(at=pl.col(_TAKEN)),
            left_on=_TIME,
            right_on="at",
            by=source.key,
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
    )
    return found.sort("row").select(_TAKEN, *source.features)


def later(rows: pl.DataFrame, source: Source) -> pl.Series:
    """Whether each of `rows` (key, `event_timestamp`, features) has the features of a snapshot that is not before it."""
    held = rows.select(source.key, _TIME, *source.features).with_row_index("row")
    pairs = held.join(source.snapshots(rows[source.key]), on=source.key, suffix="_then")
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_then")) for name in source.features
    )
    found = pairs.filter((pl.col(_TAKEN) >= pl.col(_TIME)) & same)["row"].unique()
    return held["row"].is_in(found.implode())


def with_affinities(features: pl.DataFrame) -> pl.DataFrame:
    """`features` (of a profile and a product) with `category_affinity`, `brand_affinity` and `price_affinity`.

    A share of the sum of a profile's scores; the smaller of two prices over the larger, null where one is unknown.
    """
    price, mean = pl.col("price"), pl.col("mean_price")
    ratio = pl.min_horizontal(price, mean) / pl.max_horizontal(price, mean)
    return features.with_columns(
        _shares(features, "category", "top_categories", "top_category_scores"),
        _shares(features, "brand", "top_brands", "top_brand_scores"),
        pl.when((price > 0) & (mean > 0)).then(ratio).alias("price_affinity"),
    )


def _shares(features: pl.DataFrame, attribute: str, names: str, scores: str) -> pl.Series:
    columns = (features[name].to_list() for name in (attribute, names, scores))
    found = []
    for value, known, weights in zip(*columns, strict=True):
        total, weight = 0.0, 0.0
        # In order, as any sum of floats must be that another one is to equal.
        for name, score in zip(known or (), weights or (), strict=True):
            total += score
            weight = score if name == value else weight
        found.append(weight / total if total else 0.0)
    return pl.Series(f"{attribute}_affinity", found, pl.Float64)
