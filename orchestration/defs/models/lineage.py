"""What the columns of the models are made of: declared, for a model is fitted, not derived row by row."""

from orchestration.lineage.columns import ColumnLineage, Source

__all__ = ["BASELINE_SCORES", "ITEM_VECTORS", "SUBJECT_VECTORS", "TRENDING_SCORES"]


def _of(asset: str, *columns: str) -> frozenset[Source]:
    return frozenset(Source(asset, column) for column in columns)


_PRODUCT = _of("lake/products", "product_id")
_EVENTS = _of(
    "lake/interactions", "pseudonym", "product_id", "event_type", "size", "event_timestamp"
)
# What `recommenders.lightfm_model` makes features of.
_ATTRIBUTES = _of(
    "lake/products",
    "product_id",
    "brand",
    "category",
    "season_tags",
    "price",
    "sustainability_rating",
)
_LATEST = _of("lake/interactions", "product_id", "event_type", "event_timestamp")

SUBJECT_VECTORS: ColumnLineage = {
    "pseudonym": _of("lake/interactions", "pseudonym"),
    "purchased": _of("lake/interactions", "product_id", "event_type"),
    "recent": _LATEST,
    "subject_vector": _EVENTS | _ATTRIBUTES,
}
ITEM_VECTORS: ColumnLineage = {
    "product_id": _PRODUCT,
    "item_vector": _EVENTS | _ATTRIBUTES,
}
BASELINE_SCORES: ColumnLineage = {
    "product_id": _PRODUCT,
    "score": _of("lake/product_popularity", "popularity"),
}
TRENDING_SCORES: ColumnLineage = {
    "product_id": _PRODUCT,
    "score": _of("lake/product_popularity", "views_7d", "carts_7d", "purchases_7d", "trend"),
}
