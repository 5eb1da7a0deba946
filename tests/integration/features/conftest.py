"""A small lake of the profiles' schemas, and consents of its subjects."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from privacy import lake
from privacy.database import Role, connect
from privacy.settings import PlatformSettings

TIME = pa.timestamp("us", tz="UTC")
NEWEST = datetime(2024, 6, 30, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
STRINGS, NUMBERS = pa.list_(pa.string()), pa.list_(pa.float64())
PROFILE_SCHEMA = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("event_timestamp", TIME),
        ("created", TIME),
        ("interactions_30d", pa.int64()),
        ("purchases_90d", pa.int64()),
        ("views_7d", pa.int64()),
        ("days_since_last_event", pa.float64()),
        ("mean_price", pa.float64()),
        ("mean_sustainability", pa.float64()),
        ("top_categories", STRINGS),
        ("top_category_scores", NUMBERS),
        ("top_brands", STRINGS),
        ("top_brand_scores", NUMBERS),
        ("top_sizes", STRINGS),
        ("top_size_scores", NUMBERS),
        ("recent_products", STRINGS),
    ]
)
POPULARITY_SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("event_timestamp", TIME),
        ("created", TIME),
        ("subjects", pa.int64()),
        ("views_7d", pa.int64()),
        ("carts_7d", pa.int64()),
        ("purchases_7d", pa.int64()),
        ("purchases_30d", pa.int64()),
        ("popularity", pa.float64()),
        ("trend", pa.float64()),
    ]
)
PRODUCT_SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("name", pa.string()),
        ("brand", pa.string()),
        ("category", pa.string()),
        ("sustainability_rating", pa.float64()),
        ("price", pa.float64()),
        ("currency", pa.string()),
        ("sizes", STRINGS),
        ("in_stock_sizes", STRINGS),
        ("season_tags", STRINGS),
        ("description", pa.string()),
        ("released_at", TIME),
        ("event_timestamp", TIME),
        ("created", TIME),
    ]
)
MATRIX_SCHEMA = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("product_id", pa.string()),
        ("weight", pa.float64()),
        ("interactions", pa.int64()),
        ("first_event", TIME),
        ("last_event", TIME),
        ("event_timestamp", TIME),
    ]
)

Consent = Callable[..., None]


def profile(pseudonym: str, weeks_ago: int, **values: object) -> dict[str, object]:
    """A snapshot of `pseudonym`; `interactions_30d` tells its age in weeks."""
    at = NEWEST - weeks_ago * WEEK
    return {
        "pseudonym": pseudonym,
        "event_timestamp": at,
        "created": at + timedelta(hours=1),
        "interactions_30d": weeks_ago,
        "purchases_90d": 2,
        "views_7d": 3,
        "days_since_last_event": 0.5,
        "mean_price": 40.0,
        "mean_sustainability": None,
        "top_categories": ["dresses", "shirts"],
        "top_category_scores": [3.0, 1.0],
        "top_brands": ["Wren"],
        "top_brand_scores": [2.0],
        "top_sizes": [],
        "top_size_scores": [],
        "recent_products": ["p2", "p1"],
        **values,
    }


def write(path: str, schema: pa.Schema, rows: Sequence[dict[str, object]]) -> None:
    """Replace the Delta table `path` by `rows`."""
    lake.replace(path, pa.Table.from_pylist(list(rows), schema))


def _products() -> list[dict[str, object]]:
    return [
        {
            "product_id": f"p{number}",
            "name": f"Product {number}",
            "brand": "Wren" if number == 1 else "Teal",
            "category": "dresses",
            "sustainability_rating": 4.0,
            "price": 20.0 if number == 1 else None,
            "currency": "EUR",
            "sizes": ["S", "M"],
            "in_stock_sizes": ["S"] if number == 1 else None,
            "season_tags": [],
            "description": "A product.",
            "released_at": NEWEST - 52 * WEEK,
            "event_timestamp": NEWEST - 52 * WEEK,
            "created": NEWEST,
        }
        for number in (1, 2, 3)
    ]


def _popularity() -> list[dict[str, object]]:
    return [
        {
            "product_id": f"p{number}",
            "event_timestamp": NEWEST - weeks * WEEK,
            "created": NEWEST,
            "subjects": 40,
            "views_7d": 10 * weeks,
            "carts_7d": None,
            "purchases_7d": None,
            "purchases_30d": 20,
            "popularity": 1.5,
            "trend": 1.0,
        }
        for number in (1, 2)
        for weeks in range(6)
    ]


@pytest.fixture
def small_lake(clean_database: None) -> None:
    """Three subjects with six weekly snapshots each, three products, no interactions yet."""
    write(
        "subject_profile",
        PROFILE_SCHEMA,
        [profile(f"subject-{name}", weeks) for name in "abc" for weeks in range(6)],
    )
    write("product_popularity", POPULARITY_SCHEMA, _popularity())
    write("products", PRODUCT_SCHEMA, _products())
    write("interaction_matrix", MATRIX_SCHEMA, [])


@pytest.fixture
def consent(servers: PlatformSettings) -> Consent:
    """Record a decision of a subject about a purpose, the later one counting."""
    stated = NEWEST

    def record(pseudonym: str, purpose: str, decision: str = "opt_in") -> None:
        nonlocal stated
        stated += timedelta(seconds=1)
        key = f"{pseudonym}|{purpose}|{stated.isoformat()}"
        with connect(Role.CONSENT) as connection:
            connection.execute(
                "insert into consent.records (pseudonym, purpose, decision, stated_at, mechanism, policy_version, "
                "source, source_key) values (%s, %s, %s, %s, 'test', '1', 'test', %s)",
                [pseudonym, purpose, decision, stated, key],
            )

    return record


@pytest.fixture
def objection(servers: PlatformSettings) -> Consent:
    """Record the objection of a subject to an asset."""

    def record(pseudonym: str, asset_key: str) -> None:
        with connect(Role.CONSENT) as connection:
            connection.execute(
                "insert into consent.objections (pseudonym, asset_key, decision, mechanism) "
                "values (%s, %s, 'object', 'test')",
                [pseudonym, asset_key],
            )

    return record
