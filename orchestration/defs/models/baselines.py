"""The assets of the baselines: popularity and trending, from the aggregate counts of the lake."""

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestration.contracted import contracted_asset
from orchestration.defs.models.contracts import POPULARITY, TRENDING
from orchestration.defs.models.inputs import (
    catalogue,
    data_versions,
    item_column,
    popularity_snapshot,
)
from orchestration.defs.models.lineage import BASELINE_SCORES, TRENDING_SCORES
from orchestration.lineage.columns import ColumnLineage, lineage_metadata
from privacy.contracts import AssetContract
from recommenders.artifacts import save_artifact
from recommenders.catalogue import Catalogue
from recommenders.model_files import write_item_scores
from recommenders.signals import signals
from recommenders.trending import surprise

__all__ = ["popularity", "trending"]

_DEPS = ("lake/product_popularity", "lake/products")
_COLUMNS = {"product_id": "string", "score": "float"}


def trending_scores(items: Catalogue, snapshot: pl.DataFrame) -> NDArray[np.float64]:
    """Shape (items,): `surprise` of the last week's weighted counts, expected from the snapshot's trend.

    A count that is unknown, because few people stand behind it, adds nothing: the item is judged by its other counts.
    """
    counts = {"views_7d": "page_view", "carts_7d": "add_to_cart", "purchases_7d": "purchase"}
    weighted = pl.sum_horizontal(
        pl.col(column).fill_null(0) * signals().weights[kind] for column, kind in counts.items()
    )
    week = item_column(items, snapshot, weighted)
    trend = item_column(items, snapshot, pl.col("trend"))
    return surprise(week, np.divide(week, trend, out=week.copy(), where=trend > 0))


def _stored(
    contract: AssetContract,
    items: Catalogue,
    snapshot: pl.DataFrame,
    scores: NDArray[np.float64],
    lineage: ColumnLineage,
) -> dg.MaterializeResult[None]:
    manifest = save_artifact(
        contract,
        lambda folder: write_item_scores(items, scores, folder),
        data_versions=data_versions("product_popularity", "products"),
        smallest_group=_smallest_group(snapshot),
    )
    best = np.argsort(-scores, kind="stable")[:10]
    rows = [f"| {items.product_ids[row]} | {scores[row]:.2f} |" for row in best]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(items),
            "version": manifest.version,
            "scored_items": int((scores > 0).sum()),
            **lineage_metadata(lineage),
            "top": dg.MetadataValue.md("\n".join(["| product | score |", "|---|---:|", *rows])),
        }
    )


def _smallest_group(snapshot: pl.DataFrame) -> int | None:
    """Fewest people behind a score; None where nothing is scored."""
    fewest = snapshot["subjects"].min()
    return fewest if isinstance(fewest, int) else None


@contracted_asset(
    POPULARITY, group="models", kinds={"polars", "numpy"}, deps=_DEPS, columns=_COLUMNS
)
def popularity() -> dg.MaterializeResult[None]:
    """Keep the newest popularity of each product as a model version."""
    items, snapshot = catalogue(), popularity_snapshot()
    scores = item_column(items, snapshot, pl.col("popularity"))
    return _stored(POPULARITY, items, snapshot, scores, BASELINE_SCORES)


@contracted_asset(TRENDING, group="models", kinds={"polars", "numpy"}, deps=_DEPS, columns=_COLUMNS)
def trending() -> dg.MaterializeResult[None]:
    """Keep how far each product's last week stands out as a model version."""
    items, snapshot = catalogue(), popularity_snapshot()
    return _stored(TRENDING, items, snapshot, trending_scores(items, snapshot), TRENDING_SCORES)
