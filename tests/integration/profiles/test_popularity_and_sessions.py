"""Popularity, visits and the interaction matrix, against a few events worked out by hand."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from orchestration.defs.profiles import interaction_matrix, product_popularity, sessions
from orchestration.spark import to_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NEWEST = datetime(2017, 6, 1, 12, tzinfo=UTC)
CLOCK = NEWEST + timedelta(microseconds=1)
SUBJECT, OTHER = "a" * 32, "b" * 32
EVENTS = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("session", pa.string()),
        ("event_type", pa.string()),
        ("product_id", pa.string()),
        ("dwell_seconds", pa.float32()),
        ("event_timestamp", pa.timestamp("us", tz="UTC")),
    ]
)


def _events(
    spark: "SparkSession", *events: tuple[str, str | None, str, str | None, float]
) -> "DataFrame":
    rows = [
        {
            "pseudonym": pseudonym,
            "session": session,
            "event_type": kind,
            "product_id": product,
            "dwell_seconds": 10.0 if kind == "page_view" else None,
            "event_timestamp": NEWEST - timedelta(days=days),
        }
        for pseudonym, session, kind, product, days in events
    ]
    return spark.createDataFrame(pa.Table.from_pylist(rows, schema=EVENTS))


def _popularity(events: "DataFrame") -> dict[tuple[str, datetime], dict[str, Any]]:
    table = to_table(
        product_popularity.product_popularity(events, CLOCK), product_popularity.SCHEMA
    )
    events.sparkSession.catalog.clearCache()
    return {(row["product_id"], row["event_timestamp"]): row for row in table.to_pylist()}


def _each(
    people: range, kind: str, product: str, days: float
) -> list[tuple[str, str | None, str, str | None, float]]:
    """The same event of each of `people`."""
    return [(f"{number:032x}", None, kind, product, days) for number in people]


TEN, TEN_OTHERS = range(10), range(10, 20)


def test_a_shop_that_knows_purchases_alone_is_ranked_by_them(spark: "SparkSession") -> None:
    rows = _popularity(
        _events(
            spark,
            *_each(TEN, "purchase", "coat", 0.0),
            *_each(TEN_OTHERS, "purchase", "coat", 20.0),
            *_each(TEN_OTHERS, "purchase", "dress", 400.0),
        )
    )
    coat, dress = rows["coat", CLOCK], rows["dress", CLOCK]
    assert (coat["views_7d"], coat["carts_7d"], coat["purchases_7d"], coat["purchases_30d"]) == (
        0,
        0,
        10,
        20,
    )
    assert coat["subjects"] == 20
    assert coat["popularity"] == pytest.approx(10 * (8 + 8 * 2 ** (-20 / 14)))
    assert coat["trend"] == pytest.approx((4 * 80 + 8) / (160 + 8))
    assert 0 < dress["popularity"] < 1e-6
    assert dress["trend"] == 1.0
    earlier = rows["coat", CLOCK - timedelta(weeks=1)]
    assert (earlier["purchases_7d"], earlier["purchases_30d"]) == (0, 10)
    assert earlier["subjects"] == 10
    assert earlier["popularity"] == pytest.approx(10 * 8 * 2 ** (-13 / 14))


def test_what_was_only_shown_or_put_back_is_not_popular(spark: "SparkSession") -> None:
    rows = _popularity(
        _events(
            spark,
            *_each(TEN, "impression", "coat", 0.0),
            *_each(TEN, "remove_from_cart", "dress", 0.0),
            (SUBJECT, None, "search", None, 0.0),
        )
    )
    assert {key[0] for key in rows} == {"dress"}
    assert rows["dress", CLOCK]["popularity"] == 0.0


def test_a_product_has_a_row_from_the_tenth_person_on(spark: "SparkSession") -> None:
    rows = _popularity(
        _events(
            spark,
            *_each(range(9), "page_view", "coat", 20.0),
            *_each(range(9), "page_view", "coat", 10.0),
            *_each(range(9, 10), "page_view", "coat", 1.0),
            *_each(range(9), "purchase", "dress", 20.0),
        )
    )
    assert list(rows) == [("coat", CLOCK)]
    assert rows["coat", CLOCK]["subjects"] == 10


def test_a_count_of_few_people_is_unknown_and_the_trend_does_not_tell_it(
    spark: "SparkSession",
) -> None:
    often = [event for _ in range(30) for event in _each(range(9), "page_view", "coat", 1.0)]
    rows = _popularity(
        _events(
            spark,
            *_each(TEN, "add_to_cart", "coat", 20.0),
            *_each(range(3), "purchase", "coat", 20.0),
            *often,
        )
    )
    coat = rows["coat", CLOCK]
    assert (coat["views_7d"], coat["carts_7d"], coat["purchases_7d"]) == (None, 0, 0)
    assert coat["purchases_30d"] is None
    assert coat["trend"] == 1.0


def test_a_trend_is_told_where_nobody_is_left_or_ten_came(spark: "SparkSession") -> None:
    rows = _popularity(
        _events(
            spark,
            *_each(TEN, "page_view", "quiet", 20.0),
            *_each(TEN, "page_view", "loud", 20.0),
            *_each(TEN_OTHERS, "page_view", "loud", 1.0),
            *_each(range(9), "page_view", "faint", 20.0),
            *_each(TEN_OTHERS, "page_view", "faint", 300.0),
        )
    )
    assert rows["quiet", CLOCK]["trend"] == pytest.approx(8 / (10 + 8))
    assert rows["loud", CLOCK]["trend"] == pytest.approx((4 * 10 + 8) / (20 + 8))
    assert rows["loud", CLOCK]["views_7d"] == 10
    assert rows["faint", CLOCK]["trend"] == 1.0


def test_visits_follow_the_source_or_a_pause_of_half_an_hour(spark: "SparkSession") -> None:
    minute = 1 / 1440
    events = _events(
        spark,
        (SUBJECT, "named", "page_view", "coat", 90 * minute),
        (SUBJECT, "named", "purchase", "coat", 10 * minute),
        (OTHER, None, "page_view", "coat", 100 * minute),
        (OTHER, None, "page_view", "coat", 71 * minute),
        (OTHER, None, "click", "coat", 40 * minute),
    )
    rows = to_table(sessions.sessions(events), sessions.SCHEMA).to_pylist()
    found = {(row["pseudonym"], row["started_at"]): row for row in rows}
    assert len(found) == 3
    named = found[SUBJECT, NEWEST - timedelta(minutes=90)]
    assert (named["session"], named["events"], named["page_views"], named["purchases"]) == (
        "named",
        2,
        1,
        1,
    )
    assert named["ended_at"] == named["event_timestamp"] == NEWEST - timedelta(minutes=10)
    assert named["dwell_seconds"] == 10.0
    first, second = (found[OTHER, NEWEST - timedelta(minutes=minutes)] for minutes in (100, 40))
    assert (first["session"], first["events"], first["dwell_seconds"]) == (None, 2, 20.0)
    assert (second["events"], second["dwell_seconds"]) == (1, None)


def test_the_matrix_holds_positive_interest_and_when_it_was(spark: "SparkSession") -> None:
    events = _events(
        spark,
        (SUBJECT, None, "page_view", "coat", 9.0),
        (SUBJECT, None, "purchase", "coat", 2.0),
        (SUBJECT, None, "impression", "coat", 1.0),
        (SUBJECT, None, "remove_from_cart", "dress", 1.0),
        (SUBJECT, None, "search", None, 1.0),
    )
    matrix = interaction_matrix.interaction_matrix(events, CLOCK)
    assert to_table(matrix, interaction_matrix.SCHEMA).to_pylist() == [
        {
            "pseudonym": SUBJECT,
            "product_id": "coat",
            "weight": 9.0,
            "interactions": 2,
            "first_event": NEWEST - timedelta(days=9),
            "last_event": NEWEST - timedelta(days=2),
            "event_timestamp": NEWEST - timedelta(days=2),
        }
    ]
