"""How wanted each product is as of each snapshot: counts, decayed popularity and trend."""

from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from orchestration.defs.profiles.snapshots import (
    WEEK,
    age_days,
    as_of_snapshots,
    decay,
    due_snapshots,
    on_the_grid,
    snapshot_time,
)
from orchestration.defs.profiles.weights import EVENT_WEIGHTS, POPULARITY_HALF_LIFE

__all__ = ["SCHEMA", "product_popularity"]

# Weeks after one with events until its counts have run out, and some more while its popularity fades.
WEEKS_AFTER = (0, 1, 2, 3, 4, 5, 8, 13)
# As if every product had been bought once in each 28 days: with few events, the trend stays near 1.
TREND_PRIOR = EVENT_WEIGHTS["purchase"]
_TIME = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("event_timestamp", _TIME),
        ("created", _TIME),
        ("views_7d", pa.int64()),
        ("carts_7d", pa.int64()),
        ("purchases_7d", pa.int64()),
        ("purchases_30d", pa.int64()),
        ("popularity", pa.float64()),
        ("trend", pa.float64()),
    ]
)


def product_popularity(interactions: DataFrame, clock: datetime) -> DataFrame:
    """Popularity in the columns of `SCHEMA`: every product as of `clock`, and weekly before it.

    `popularity` sums the weights of events (`EVENT_WEIGHTS`), each halved every 14 days, not below 0; a shop that knows
    purchases alone is ranked by them. `trend` is the weight per day of 7 days against that of 28, 1 where nothing changes.
    """
    events = _events(interactions, clock).repartition("product_id").cache()
    now = events.select("product_id").distinct().withColumn("snapshot", F.lit(0))
    due = due_snapshots(events, "product_id", WEEKS_AFTER).unionByName(now).cache()
    popular = as_of_snapshots(due, _decayed(events), "product_id")
    counted = popular.join(_windows(events, due), ["product_id", "snapshot"], "left")
    counts = ["views_7d", "carts_7d", "purchases_7d", "purchases_30d", "_week", "_month"]
    return (
        counted.fillna(0, counts)
        .withColumn("popularity", F.greatest(F.lit(0.0), _at_snapshot("decayed")))
        .withColumn("trend", _trend())
        .withColumn("event_timestamp", snapshot_time(F.col("snapshot"), clock))
        .withColumn("created", F.lit(datetime.now(UTC)))
        .select(*SCHEMA.names)
    )


def _events(interactions: DataFrame, clock: datetime) -> DataFrame:
    told = F.col("product_id").isNotNull() & (F.col("event_type") != "impression")
    return (
        on_the_grid(interactions.filter(told), clock)
        .select("product_id", "event_type", "age_us", "week", "weight")
        .withColumn("decayed", F.col("weight") * decay(POPULARITY_HALF_LIFE))
    )


def _decayed(events: DataFrame) -> DataFrame:
    """Per product and week with events: the sum of decayed weights until then."""
    so_far = (
        Window.partitionBy("product_id")
        .orderBy(F.col("week").desc())
        .rowsBetween(Window.unboundedPreceding, 0)
    )
    weekly = events.groupBy("product_id", "week").agg(F.sum("decayed").alias("_weekly"))
    return weekly.select("product_id", "week", F.sum("_weekly").over(so_far).alias("decayed"))


def _at_snapshot(column: str) -> Column:
    """A sum decayed until snapshot 0, as it was at its own snapshot."""
    return F.col(column) * F.pow(F.lit(2.0), F.col("snapshot") * (WEEK / POPULARITY_HALF_LIFE))


def _windows(events: DataFrame, due: DataFrame) -> DataFrame:
    """Counts and weights in the 7, 28 and 30 days before each snapshot that is due."""
    known_to = F.explode(F.sequence(F.greatest(F.lit(0), F.col("week") - 5), "week"))
    dated = events.withColumn("snapshot", known_to).withColumn("age", age_days(F.col("snapshot")))
    wanted = F.greatest(F.lit(0.0), F.col("weight"))
    counts = dated.groupBy("product_id", "snapshot").agg(
        _count("page_view", 7).alias("views_7d"),
        _count("add_to_cart", 7).alias("carts_7d"),
        _count("purchase", 7).alias("purchases_7d"),
        _count("purchase", 30).alias("purchases_30d"),
        F.sum(F.when(F.col("age") <= 7, wanted)).alias("_week"),
        F.sum(F.when(F.col("age") <= 28, wanted)).alias("_month"),
    )
    return counts.join(due, ["product_id", "snapshot"], "left_semi")


def _count(event_type: str, days: int) -> Column:
    return F.count_if((F.col("event_type") == event_type) & (F.col("age") <= days))


def _trend() -> Column:
    """(week + prior / 4) / 7 over (month + prior) / 28."""
    return (F.col("_week") * 4 + TREND_PRIOR) / (F.col("_month") + TREND_PRIOR)
