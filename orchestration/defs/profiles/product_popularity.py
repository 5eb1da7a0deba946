"""How wanted each product is as of each snapshot: counts, decayed popularity and trend.

A figure stands for ten people or more (`SMALLEST_GROUP`): a product that fewer showed interest in has no row, and a count of
fewer (but more than nobody) is unknown.
"""

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
from privacy.contracts import SMALLEST_GROUP
from recommenders.signals import signals

__all__ = ["COUNTS", "SCHEMA", "product_popularity"]

# Weeks after one with events until its counts have run out, and some more while its popularity fades.
WEEKS_AFTER = (0, 1, 2, 3, 4, 5, 8, 13)
# Column to the type of event and the days that it counts.
COUNTS = {
    "views_7d": ("page_view", 7),
    "carts_7d": ("add_to_cart", 7),
    "purchases_7d": ("purchase", 7),
    "purchases_30d": ("purchase", 30),
}
_TIME = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("event_timestamp", _TIME),
        ("created", _TIME),
        ("subjects", pa.int64()),
        ("views_7d", pa.int64()),
        ("carts_7d", pa.int64()),
        ("purchases_7d", pa.int64()),
        ("purchases_30d", pa.int64()),
        ("popularity", pa.float64()),
        ("trend", pa.float64()),
    ]
)


def product_popularity(interactions: DataFrame, clock: datetime) -> DataFrame:
    """Popularity in the columns of `SCHEMA`: every product of ten `subjects` or more as of `clock`, and weekly before it.

    `subjects` counts the people whose events (impressions aside) a snapshot knows. A count of the last days is null where
    some, but fewer than ten of them, stand behind it.
    `popularity` sums the weights of events (`recommenders.signals`), each halved every 14 days unless that file says otherwise, not below 0; a shop that knows
    purchases alone is ranked by them. `trend` is the weight per day of 7 days against that of 28, 1 where nothing changes or
    too few people stand behind one of the two.
    """
    events = _events(interactions, clock).repartition("product_id").cache()
    now = events.select("product_id").distinct().withColumn("snapshot", F.lit(0))
    due = due_snapshots(events, "product_id", WEEKS_AFTER).unionByName(now).cache()
    popular = as_of_snapshots(due, _known(events), "product_id").filter(
        F.col("subjects") >= SMALLEST_GROUP
    )
    windows = _windows(events, due)
    counted = popular.join(windows, ["product_id", "snapshot"], "left")
    figures = [name for name in windows.columns if name not in ("product_id", "snapshot")]
    return (
        counted.fillna(0, figures)
        .withColumns({name: F.when(_told(name), F.col(name)) for name in COUNTS})
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
        .select("product_id", "pseudonym", "event_type", "age_us", "week", "weight")
        .withColumn("decayed", F.col("weight") * decay(signals().popularity_half_life))
    )


def _known(events: DataFrame) -> DataFrame:
    """Per product and week with events: the sum of decayed weights until then, and how many subjects they are of."""
    so_far = (
        Window.partitionBy("product_id")
        .orderBy(F.col("week").desc())
        .rowsBetween(Window.unboundedPreceding, 0)
    )
    first = events.groupBy("product_id", "pseudonym").agg(F.max("week").alias("week"))
    arrivals = first.groupBy("product_id", "week").agg(F.count("pseudonym").alias("_arrived"))
    weekly = events.groupBy("product_id", "week").agg(F.sum("decayed").alias("_weekly"))
    return weekly.join(arrivals, ["product_id", "week"], "left").select(
        "product_id",
        "week",
        F.sum("_weekly").over(so_far).alias("decayed"),
        F.coalesce(F.sum("_arrived").over(so_far), F.lit(0)).alias("subjects"),
    )


def _at_snapshot(column: str) -> Column:
    """A sum decayed until snapshot 0, as it was at its own snapshot."""
    return F.col(column) * F.pow(
        F.lit(2.0), F.col("snapshot") * (WEEK / signals().popularity_half_life)
    )


def _windows(events: DataFrame, due: DataFrame) -> DataFrame:
    """Counts and weights in the 7, 28 and 30 days before each snapshot that is due, each with its people (`_people`)."""
    known_to = F.explode(F.sequence(F.greatest(F.lit(0), F.col("week") - 5), "week"))
    dated = events.withColumn("snapshot", known_to).withColumn("age", age_days(F.col("snapshot")))
    figures = {
        **{name: _count(event_type, days) for name, (event_type, days) in COUNTS.items()},
        "_week": _wanted(7),
        "_month": _wanted(28),
    }
    own = dated.groupBy("product_id", "snapshot", "pseudonym").agg(
        *[figure.alias(name) for name, figure in figures.items()]
    )
    counts = own.groupBy("product_id", "snapshot").agg(
        *[F.sum(name).alias(name) for name in figures],
        *[F.count_if(F.col(name) > 0).alias(_people(name)) for name in figures],
    )
    return counts.join(due, ["product_id", "snapshot"], "left_semi")


def _count(event_type: str, days: int) -> Column:
    return F.count_if((F.col("event_type") == event_type) & (F.col("age") <= days))


def _wanted(days: int) -> Column:
    return F.sum(F.when(F.col("age") <= days, F.greatest(F.lit(0.0), F.col("weight"))))


def _people(figure: str) -> str:
    return f"_people_{figure}"


def _told(figure: str) -> Column:
    """Whether nobody or enough people stand behind `figure`."""
    people = F.col(_people(figure))
    return (people == 0) | (people >= SMALLEST_GROUP)


def _trend() -> Column:
    """(week + prior / 4) / 7 over (month + prior) / 28; 1 where it would tell about few.

    The prior is as if every product had been bought once in each 28 days: with few events, the trend stays near 1.
    """
    prior = signals().weights["purchase"]
    trend = (F.col("_week") * 4 + prior) / (F.col("_month") + prior)
    return F.when(_told("_week") & _told("_month"), trend).otherwise(F.lit(1.0))
