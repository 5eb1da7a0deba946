"""`recommenders.decayed` as Spark column expressions: states merged and read with built-in functions alone, on any number of machines."""

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from recommenders.decayed import DAY_US, KEY, STATE
from recommenders.signals import Signals

__all__ = ["merged", "scores", "state_of"]


def state_of(events: DataFrame, signals: Signals) -> DataFrame:
    """The state of a batch of `events`, in the columns of `recommenders.decayed.STATE`; see `recommenders.decayed.state_of`."""
    told = (
        events.dropDuplicates(["event_id", "pseudonym", "attribute", "value"])
        .select(
            "pseudonym",
            "attribute",
            "value",
            _looked_up("signal", signals.half_lives_days).alias("half_life_days"),
            _looked_up("signal", dict(signals.weights)).alias("score"),
            F.col("event_timestamp").alias("as_of"),
        )
        .filter((F.col("score") != 0) & F.col("pseudonym").isNotNull() & F.col("value").isNotNull())
    )
    return merged(told)


def _looked_up(column: str, values: dict[str, float | None]) -> Column:
    pairs = [F.lit(item).cast(kind) for name, number in values.items() for item, kind in ((name, "string"), (number, "double"))]  # fmt: skip
    return F.create_map(*pairs)[F.col(column)]


def merged(states: DataFrame) -> DataFrame:
    """One row per key out of the rows of any number of states (`unionByName`); one shuffle by key."""
    newest = F.max("as_of").over(Window.partitionBy(*KEY))
    return (
        states.withColumn("_newest", newest)
        .groupBy(*KEY)
        .agg(
            F.sum(F.col("score") * _left(F.col("_newest"))).alias("score"),
            F.max("as_of").alias("as_of"),
        )
        .select(*STATE)
    )


def scores(state: DataFrame, at: datetime) -> DataFrame:
    """Each value's score at time `at` (UTC), which must not lie before the state's newest `as_of`."""
    return state.groupBy("pseudonym", "attribute", "value").agg(
        F.sum(F.col("score") * _left(F.lit(at))).alias("score")
    )


def _left(at: Column) -> Column:
    """What is left at time `at` of a score of 1 at `as_of`; all of it where the row has no half-life."""
    age_days = (F.unix_micros(at) - F.unix_micros("as_of")) / F.lit(DAY_US)
    return F.coalesce(F.pow(F.lit(2.0), -age_days / F.col("half_life_days")), F.lit(1.0))
