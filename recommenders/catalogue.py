"""The products a recommender can rank, in one fixed order, with what ranking needs to know of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["Catalogue", "CatalogueError"]

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "product_id": pl.String,
    "brand": pl.String,
    "category": pl.String,
    "sustainability_rating": pl.Float64,
    "price": pl.Float64,
    "season_tags": pl.List(pl.String),
    "in_stock_sizes": pl.List(pl.String),
    "released_at": pl.Datetime("us", "UTC"),
}


class CatalogueError(ValueError):
    """The products table cannot serve as a catalogue; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Products by ascending `product_id`; a product's row number is its index in every model.

    Attributes
    ----------
    items: one row per product (columns of `lake/products` that ranking uses; null means unknown).
    rows: product_id to row number.
    """

    items: pl.DataFrame
    rows: dict[str, int] = field(repr=False)

    @classmethod
    def from_products(cls, products: pl.DataFrame) -> "Catalogue":
        """Build from rows of `lake/products`; columns that a source lacks become null.

        Raises CatalogueError where product_id is missing or not unique.
        """
        if "product_id" not in products.columns or products["product_id"].null_count():
            raise CatalogueError(
                "Products need a product_id in every row: materialise lake/products again."
            )
        columns = [
            (pl.col(name) if name in products.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in _SCHEMA.items()
        ]
        items = products.select(columns).sort("product_id")
        if items["product_id"].n_unique() != items.height:
            raise CatalogueError(
                f"{items.height - items['product_id'].n_unique()} products appear twice: keep each "
                "product's latest version only."
            )
        return cls(items, {name: row for row, name in enumerate(items["product_id"].to_list())})

    def __len__(self) -> int:
        return self.items.height

    @property
    def product_ids(self) -> list[str]:
        """Product ids by row number."""
        return self.items["product_id"].to_list()

    def index(self, product_ids: Sequence[str]) -> NDArray[np.intp]:
        """Row numbers of those `product_ids` that are in the catalogue, in the given order."""
        found = (self.rows.get(product_id) for product_id in product_ids)
        return np.fromiter((row for row in found if row is not None), dtype=np.intp)

    def aligned_to(self, product_ids: Sequence[str]) -> "Catalogue":
        """These products for `product_ids` in ascending order; one that is gone is kept as out of stock."""
        gone = [name for name in product_ids if name not in self.rows]
        kept = self.items.filter(pl.col("product_id").is_in(list(product_ids)))
        missing = pl.DataFrame(
            {"product_id": gone, "in_stock_sizes": [[]] * len(gone)},
            schema={name: _SCHEMA[name] for name in ("product_id", "in_stock_sizes")},
        )
        return Catalogue.from_products(pl.concat([kept, missing], how="diagonal"))

    def on_sale(self, at: datetime) -> NDArray[np.bool_]:
        """Shape (items,): released by `at`; an unknown release date counts as released."""
        return (
            self.items.select((pl.col("released_at") <= at).fill_null(value=True))
            .to_series()
            .to_numpy()
            .astype(bool)
        )

    def in_stock(self) -> NDArray[np.bool_]:
        """Shape (items,): some size in stock; unknown stock counts as in stock."""
        return (
            self.items.select((pl.col("in_stock_sizes").list.len() > 0).fill_null(value=True))
            .to_series()
            .to_numpy()
            .astype(bool)
        )
