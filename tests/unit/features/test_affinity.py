import numpy as np
import pandas as pd
import pytest

from feature_repo.definitions import affinity


def _affinity(**row: object) -> pd.Series:
    known: dict[str, object] = {
        "category": "dresses",
        "brand": "Wren",
        "price": 20.0,
        "top_categories": np.array(["dresses", "shirts"], dtype=object),
        "top_category_scores": np.array([3.0, 1.0]),
        "top_brands": ["Teal"],
        "top_brand_scores": [1.0],
        "mean_price": 40.0,
    }
    features = pd.DataFrame([{**known, **row}])
    fit: pd.DataFrame = affinity.feature_transformation.udf(features)
    return fit.iloc[0]


def test_a_category_counts_by_its_share_of_the_profile() -> None:
    assert _affinity()["category_affinity"] == pytest.approx(0.75)


def test_an_unknown_brand_has_no_affinity() -> None:
    assert _affinity()["brand_affinity"] == 0.0


def test_twice_and_half_the_usual_price_fit_alike() -> None:
    assert _affinity(price=20.0)["price_affinity"] == pytest.approx(0.5)
    assert _affinity(price=80.0)["price_affinity"] == pytest.approx(0.5)


@pytest.mark.parametrize("price", [None, 0.0, -1.0])
def test_an_unknown_price_has_no_affinity(price: float | None) -> None:
    assert pd.isna(_affinity(price=price)["price_affinity"])


def test_a_subject_without_profile_has_no_affinity() -> None:
    row = _affinity(top_categories=None, top_category_scores=None, top_brands=None)
    assert row["category_affinity"] == 0.0
    assert row["brand_affinity"] == 0.0
