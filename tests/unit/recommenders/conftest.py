"""A small shop with clustered tastes: subjects of a cluster like its categories and brands, and some items sell to all."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recommenders.catalogue import Catalogue
from recommenders.interactions import Interactions

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
WEIGHTS = {
    "page_view": 1.0,
    "wishlist": 3.0,
    "add_to_cart": 4.0,
    "purchase": 8.0,
    "impression": 0.0,
}


def make_products(items: int, clusters: int = 6) -> pl.DataFrame:
    rows = np.arange(items)
    return pl.DataFrame(
        {
            "product_id": [f"P{row:05d}" for row in rows],
            "brand": [f"brand-{row % clusters}-{row // clusters % 4}" for row in rows],
            "category": [f"category-{row % clusters}" for row in rows],
            "price": (20.0 + rows % 97).astype(float),
            "sustainability_rating": (rows % 10).astype(float),
            "season_tags": [["summer"] if row % 2 else ["winter", "autumn"] for row in rows],
            "in_stock_sizes": [None if row % 5 else ([] if row % 2 else ["M"]) for row in rows],
            "released_at": [UNTIL - timedelta(days=200)] * items,
        }
    )


def make_events(
    subjects: int, items: int, per_subject: int, *, seed: int, clusters: int = 6
) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    fame = random.lognormal(0, 0.7, items)
    taste = random.integers(0, clusters, subjects)
    liked = np.where(np.arange(items) % clusters == taste[:, None], 12.0, 1.0) * fame
    liked /= liked.sum(axis=1, keepdims=True)
    kinds = np.array(["page_view", "add_to_cart", "wishlist", "purchase"])
    rows = []
    for subject in range(subjects):
        chosen = random.choice(items, per_subject, p=liked[subject])
        age = random.uniform(0, 90 * 86_400e6, per_subject)
        kind = random.choice(kinds, per_subject, p=[0.6, 0.15, 0.05, 0.2])
        rows += [
            (
                f"{subject:032x}",
                f"P{item:05d}",
                str(what),
                "M" if subject % 2 else "S",
                UNTIL - timedelta(microseconds=int(ago)),
            )
            for item, what, ago in zip(chosen, kind, age, strict=True)
        ]
    return pl.DataFrame(
        rows,
        schema={
            "pseudonym": pl.String,
            "product_id": pl.String,
            "event_type": pl.String,
            "size": pl.String,
            "event_timestamp": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.from_products(make_products(120))


@pytest.fixture(scope="session")
def events() -> pl.DataFrame:
    return make_events(300, 120, 25, seed=3)


@pytest.fixture(scope="session")
def interactions(events: pl.DataFrame, catalogue: Catalogue) -> Interactions:
    return Interactions.from_events(events, catalogue, weights=WEIGHTS)


class Shop:
    """The makers above, for tests that need a shop of another size."""

    until = UNTIL
    weights = WEIGHTS
    products = staticmethod(make_products)
    events = staticmethod(make_events)


@pytest.fixture(scope="session")
def shop() -> type[Shop]:
    return Shop
