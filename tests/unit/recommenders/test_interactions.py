from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recommenders.catalogue import Catalogue, CatalogueError
from recommenders.interactions import Interactions, InteractionsError, split_by_time
from recommenders.profile import SubjectProfile, profile_features, profiles_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WEIGHTS = {"page_view": 1.0, "remove_from_cart": -2.0, "add_to_cart": 4.0, "purchase": 8.0}
PRODUCTS = pl.DataFrame(
    {
        "product_id": ["b", "a", "c"],
        "category": ["dress", "shirt", "dress"],
        "brand": ["Moss", "Moss", None],
        "released_at": [NOW - timedelta(days=9), None, NOW + timedelta(days=1)],
        "in_stock_sizes": [[], None, ["M"]],
    }
)


def events(*rows: tuple[str, str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "pseudonym": [row[0] for row in rows],
            "product_id": [row[1] for row in rows],
            "event_type": [row[2] for row in rows],
            "size": ["M"] * len(rows),
            "event_timestamp": [NOW - timedelta(days=row[3]) for row in rows],
        },
        schema_overrides={"event_timestamp": pl.Datetime("us", "UTC")},
    )


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.from_products(PRODUCTS)


def test_the_catalogue_is_ordered_by_product_and_unknown_stays_unknown(
    catalogue: Catalogue,
) -> None:
    assert catalogue.product_ids == ["a", "b", "c"]
    assert catalogue.items["price"].to_list() == [None, None, None]
    assert catalogue.in_stock().tolist() == [True, False, True]
    assert catalogue.on_sale(NOW).tolist() == [True, True, False]


def test_a_product_that_appears_twice_is_refused() -> None:
    with pytest.raises(CatalogueError, match="1 products appear twice"):
        Catalogue.from_products(pl.DataFrame({"product_id": ["a", "a"]}))


def test_a_product_that_is_gone_counts_as_out_of_stock(catalogue: Catalogue) -> None:
    aligned = catalogue.aligned_to(["a", "b", "d"])
    assert aligned.product_ids == ["a", "b", "d"]
    assert aligned.in_stock().tolist() == [True, False, False]


def test_weights_are_summed_and_decay_with_a_half_life_of_thirty_days(catalogue: Catalogue) -> None:
    data = Interactions.from_events(
        events(("s", "a", "page_view", 0), ("s", "a", "purchase", 30)), catalogue, weights=WEIGHTS
    )
    assert data.as_of == NOW
    np.testing.assert_allclose(data.matrix.toarray(), [[1 + 8 / 2, 0, 0]], rtol=1e-6)


def test_what_was_taken_back_is_no_pair_and_unknown_products_are_left_out(
    catalogue: Catalogue,
) -> None:
    data = Interactions.from_events(
        events(
            ("s", "a", "remove_from_cart", 1),
            ("s", "b", "add_to_cart", 1),
            ("s", "z", "purchase", 1),
        ),
        catalogue,
        weights=WEIGHTS,
    )
    assert data.pairs["item"].to_list() == [1]
    assert data.purchased.nnz == 0
    assert data.touched.toarray().tolist() == [[True, True, False]]


def test_no_event_of_a_catalogued_product_says_what_to_check(catalogue: Catalogue) -> None:
    with pytest.raises(InteractionsError, match="model_training"):
        Interactions.from_events(events(("s", "z", "purchase", 1)), catalogue, weights=WEIGHTS)


def test_the_split_counts_from_the_newest_event_not_from_today() -> None:
    split = split_by_time(
        events(("s", "a", "purchase", 40), ("s", "b", "purchase", 33), ("s", "c", "purchase", 30)),
        timedelta(days=7),
    )
    assert split.until == NOW - timedelta(days=30)
    assert split.before["product_id"].to_list() == ["a"]
    assert split.after["product_id"].to_list() == ["b", "c"]


def test_a_history_within_the_held_out_week_is_refused() -> None:
    with pytest.raises(InteractionsError, match="longer"):
        split_by_time(events(("s", "a", "purchase", 1)), timedelta(days=7))


def test_profile_shares_sum_to_one_and_agree_with_the_matrix(catalogue: Catalogue) -> None:
    data = Interactions.from_events(
        events(("s", "a", "purchase", 0), ("s", "b", "page_view", 0), ("s", "c", "page_view", 0)),
        catalogue,
        weights=WEIGHTS,
    )
    names, matrix = profile_features(data)
    profile = profiles_of(data, ["s"])["s"]
    assert profile.shares["category"] == pytest.approx({"shirt": 0.8, "dress": 0.2})
    assert profile.shares["brand"] == pytest.approx({"Moss": 1.0})
    assert profile.tokens() == pytest.approx(
        dict(zip([names[i] for i in matrix[0].indices], matrix[0].data.tolist(), strict=True))
    )
    assert set(profile.recent_products) == {"a", "b", "c"}


def test_a_profile_reads_feature_columns_and_survives_their_absence() -> None:
    profile = SubjectProfile.from_features(
        {
            "top_categories": ["dress", "shirt"],
            "top_category_scores": [3.0, 1.0],
            "top_brands": None,
            "recent_products": ("b",),
        }
    )
    assert profile.shares == {"category": {"dress": 0.75, "shirt": 0.25}, "brand": {}, "size": {}}
    assert profile.recent_products == ("b",)
    assert SubjectProfile.from_features({}).is_empty
