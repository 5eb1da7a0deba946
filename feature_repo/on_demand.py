"""How well a product fits a subject's profile, computed when both are read."""

import numpy as np
import pandas as pd
from feast import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from feature_repo.views import OWNER, product_attributes, subject_profile
from privacy.contracts import NoStore, no_personal_data

affinity_contract = no_personal_data(
    "features/affinity",
    owner=OWNER,
    description="Fit of a product's category, brand and price to a subject's profile.",
    reason="Computed in memory for one request or one training set; nothing is stored.",
    store=NoStore(),
)


# The fields carry no descriptions: Feast compares them with fields that it infers from a trial run, which have none.
@on_demand_feature_view(  # type: ignore[untyped-decorator]
    sources=[
        subject_profile[
            [
                "top_categories",
                "top_category_scores",
                "top_brands",
                "top_brand_scores",
                "mean_price",
            ]
        ],
        product_attributes[["category", "brand", "price"]],
    ],
    schema=[
        Field(name="category_affinity", dtype=Float64),
        Field(name="brand_affinity", dtype=Float64),
        Field(name="price_affinity", dtype=Float64),
    ],
    mode="pandas",
    owner=OWNER,
    description=affinity_contract.description,
    tags={"contract": affinity_contract.model_dump_json()},
)
def affinity(features: pd.DataFrame) -> pd.DataFrame:
    """Fit of each row's product to its profile.

    The affinity to a category or brand is its score over the sum of the profile's scores. That to a price is
    exp(-|ln(price / mean price)|), the smaller of the two prices over the larger one. All lie in 0 to 1; that to a price is
    null where one of the two is unknown.
    """

    def share(value: object, names: object, scores: object) -> float:
        if not isinstance(names, (list, np.ndarray)) or not isinstance(scores, (list, np.ndarray)):
            return 0.0
        known = dict(zip(names, scores, strict=False))
        total = sum(known.values())
        return float(known.get(value, 0.0) / total) if total else 0.0

    def shares(value: str, names: str, scores: str) -> list[float]:
        return [
            share(*row)
            for row in zip(features[value], features[names], features[scores], strict=True)
        ]

    price = pd.to_numeric(features["price"], errors="coerce")
    mean = pd.to_numeric(features["mean_price"], errors="coerce")
    known = (price > 0) & (mean > 0)
    prices = pd.DataFrame({"price": price, "mean": mean})
    ratio = prices.min(axis="columns") / prices.max(axis="columns")
    return pd.DataFrame(
        {
            "category_affinity": shares("category", "top_categories", "top_category_scores"),
            "brand_affinity": shares("brand", "top_brands", "top_brand_scores"),
            "price_affinity": ratio.where(known).astype("float64"),
        },
        index=features.index,
    )
