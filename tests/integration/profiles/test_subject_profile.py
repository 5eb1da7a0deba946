"""Subject profiles: what a snapshot says, and that it knows nothing of what came after it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from orchestration.defs.profiles.snapshots import data_clock
from orchestration.defs.profiles.subject_profile import SCHEMA, subject_profiles
from orchestration.spark import to_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NEWEST = datetime(2026, 6, 1, 12, tzinfo=UTC)
CLOCK = NEWEST + timedelta(microseconds=1)
ANNA, BEN = "a" * 32, "b" * 32
TIME = pa.timestamp("us", tz="UTC")
EVENTS = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("event_type", pa.string()),
        ("product_id", pa.string()),
        ("size", pa.string()),
        ("event_timestamp", TIME),
    ]
)
PRODUCTS = pa.table(
    {
        "product_id": ["coat", "dress", "scarf"],
        "category": ["outdoor", "dresses", None],
        "brand": ["Linden", "Rosa", "Linden"],
        "price": [200.0, 100.0, None],
        "sustainability_rating": pa.array([None, None, None], pa.float64()),
    }
)
Profiles = dict[tuple[str, datetime], dict[str, Any]]
Event = tuple[str, str, str | None, str | None, float]
HISTORY: list[Event] = [
    (ANNA, "purchase", "coat", "M", 30.0),
    (ANNA, "page_view", "dress", None, 3.0),
    (ANNA, "page_view", "scarf", None, 2.0),
    (ANNA, "impression", "dress", None, 1.0),
    (ANNA, "search", None, None, 0.5),
    (BEN, "add_to_cart", "dress", "S", 0.0),
    (BEN, "remove_from_cart", "dress", "S", 0.0),
    (BEN, "remove_from_cart", "coat", "L", 0.0),
]


def _events(spark: "SparkSession", events: Iterable[Event]) -> "DataFrame":
    rows = [
        {
            **dict(zip(EVENTS.names, event, strict=False)),
            "event_timestamp": NEWEST - timedelta(days=event[4]),
        }
        for event in events
    ]
    return spark.createDataFrame(pa.Table.from_pylist(rows, schema=EVENTS))


def _profiles(
    spark: "SparkSession",
    events: Iterable[Event],
    trainable: Iterable[Event] | None = None,
    clock: datetime = CLOCK,
) -> Profiles:
    current = _events(spark, events)
    training = current if trainable is None else _events(spark, trainable)
    known = spark.createDataFrame(PRODUCTS)
    rows = to_table(subject_profiles(current, training, known, clock), SCHEMA).to_pylist()
    spark.catalog.clearCache()
    return {(row["pseudonym"], row["event_timestamp"]): row for row in rows}


@pytest.fixture(scope="module")
def told(spark: "SparkSession") -> Profiles:
    """The profiles of `HISTORY`, all of it serving training."""
    return _profiles(spark, HISTORY)


def test_the_latest_profile_counts_decays_and_ranks(told: Profiles) -> None:
    anna = told[ANNA, CLOCK]
    assert (anna["interactions_30d"], anna["purchases_90d"], anna["views_7d"]) == (3, 1, 2)
    assert anna["days_since_last_event"] == pytest.approx(0.5)
    coat, dress = 8 * 2 ** (-30 / 30), 2 ** (-3 / 30)
    scarf = 2 ** (-2 / 30)
    assert anna["top_categories"] == ["outdoor", "dresses"]
    assert anna["top_category_scores"] == pytest.approx(
        [coat / (coat + dress), dress / (coat + dress)]
    )
    assert anna["top_brands"] == ["Linden", "Rosa"]
    assert anna["top_brand_scores"][0] == pytest.approx((coat + scarf) / (coat + scarf + dress))
    assert anna["top_sizes"] == ["M"]
    assert anna["recent_products"] == ["scarf", "dress", "coat"]
    assert anna["mean_price"] == pytest.approx((200 * coat + 100 * dress) / (coat + dress))
    assert anna["mean_sustainability"] is None


def test_what_was_put_back_is_no_taste(told: Profiles) -> None:
    ben = told[BEN, CLOCK]
    assert ben["top_categories"] == ["dresses"]
    assert ben["top_category_scores"] == [1.0]
    assert ben["top_sizes"] == ["S"]


def test_the_past_is_told_from_what_serves_training_and_the_present_is_not(
    spark: "SparkSession", told: Profiles
) -> None:
    refused = [event for event in HISTORY if event[0] != ANNA]
    times = {at for subject, at in _profiles(spark, HISTORY, refused) if subject == ANNA}
    assert times == {CLOCK}
    times = {at for subject, at in told if subject == ANNA}
    assert times == {CLOCK - timedelta(weeks=weeks) for weeks in (4, 3, 2, 0)}


def test_a_snapshot_lies_after_the_events_it_knows(spark: "SparkSession") -> None:
    on_the_edge: list[Event] = [
        (ANNA, "purchase", "coat", "M", 7.0),
        (BEN, "click", "coat", None, 0.0),
    ]
    before = CLOCK - timedelta(weeks=1)
    known = _profiles(spark, on_the_edge)[ANNA, before]
    assert known["days_since_last_event"] == pytest.approx(1e-6 / 86_400, rel=1e-3)
    assert before > NEWEST - timedelta(days=7)


def test_a_snapshot_of_the_past_is_what_was_known_then(spark: "SparkSession") -> None:
    """Leave out all that came later, compute the profile of that day, and find it among today's snapshots."""
    history = _random_history()
    today = _profiles(spark, history)
    for weeks in (2, 9):
        then = CLOCK - timedelta(weeks=weeks)
        before = [event for event in history if NEWEST - timedelta(days=event[4]) < then]
        known_then = {
            key: row for key, row in _profiles(spark, before, clock=then).items() if key[1] == then
        }
        compared = [key for key in today if key[1] == then]
        assert len(compared) > 20
        for key in compared:
            _assert_same(today[key], known_then[key])


def _random_history() -> list[Event]:
    random = np.random.default_rng(3)
    kinds = [
        "page_view",
        "click",
        "wishlist",
        "add_to_cart",
        "remove_from_cart",
        "purchase",
        "search",
    ]
    return [
        (
            f"{random.integers(60):032x}",
            str(random.choice(kinds)),
            str(random.choice(["coat", "dress", "scarf", "unlisted"])),
            [None, "S", "M", "L"][random.integers(4)],
            float(random.uniform(0, 160)),
        )
        for _ in range(1_500)
    ]


def _assert_same(row: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in set(SCHEMA.names) - {"created"}:
        if isinstance(row[name], float) or name.endswith("_scores"):
            assert row[name] == pytest.approx(expected[name], rel=1e-6), name
        else:
            assert row[name] == expected[name], name


def test_the_clock_is_the_newest_event_and_no_time_that_cannot_be(spark: "SparkSession") -> None:
    absurd: Event = (ANNA, "click", "coat", None, -36_500.0)
    assert data_clock(_events(spark, [*HISTORY, absurd])) == CLOCK
    assert data_clock(_events(spark, [])) == datetime(1970, 1, 1, tzinfo=UTC)
    assert _profiles(spark, [], clock=datetime(1970, 1, 1, tzinfo=UTC)) == {}
