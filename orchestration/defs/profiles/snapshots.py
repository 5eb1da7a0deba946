"""The grid of snapshots: when a profile is computed, and which events it may know.

Snapshot 0 lies one microsecond after the newest interaction (the data clock; the wall clock plays no part), snapshot *i*
lies *i* weeks before it. A snapshot at time S knows the events before S and no other, so a training row at time t that takes the
newest snapshot not after t never sees its own event or a later one.

An event's `week` is the highest number of a snapshot that knows it: snapshot *i* knows it if and only if
``i <= week``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from recommenders.signals import signals

__all__ = [
    "age_days",
    "as_of_snapshots",
    "data_clock",
    "decay",
    "due_snapshots",
    "on_the_grid",
    "snapshot_time",
]

WEEK = timedelta(days=7)
MICROSECOND = timedelta(microseconds=1)
_DAY_US = timedelta(days=1) // MICROSECOND
_WEEK_US = WEEK // MICROSECOND
# A time further ahead of the wall clock than this is an error of its source, not the newest interaction.
_TOLERATED = timedelta(days=1)


def data_clock(events: DataFrame) -> datetime:
    """Time of snapshot 0 (UTC): one microsecond after the newest of `events`; the epoch where there is none."""
    limit = datetime.now(UTC) + _TOLERATED
    newest = events.filter(F.col("event_timestamp") <= F.lit(limit)).agg(
        F.max(F.unix_micros("event_timestamp"))
    )
    microseconds = newest.first()[0]
    epoch = datetime.fromtimestamp(0, UTC)
    return epoch if microseconds is None else epoch + (microseconds + 1) * MICROSECOND


def on_the_grid(events: DataFrame, clock: datetime) -> DataFrame:
    """`events` before `clock`, with `age_us` (microseconds before it), `week` and `weight` (of the event's type)."""
    clock_us = (clock - datetime.fromtimestamp(0, UTC)) // MICROSECOND
    pairs = [F.lit(item) for pair in signals().weights.items() for item in pair]
    weight = F.coalesce(F.create_map(*pairs)[F.col("event_type")], F.lit(0.0))
    return (
        events.withColumn("age_us", F.lit(clock_us) - F.unix_micros("event_timestamp"))
        .filter(F.col("age_us") > 0)
        .withColumn("week", F.expr(f"cast((age_us - 1) div {_WEEK_US} as int)"))
        .withColumn("weight", weight)
    )


def age_days(snapshot: Column) -> Column:
    """Days (fractions included) between an event and the snapshot numbered `snapshot`."""
    return (F.col("age_us") - snapshot * F.lit(_WEEK_US)) / F.lit(_DAY_US)


def snapshot_time(snapshot: Column, clock: datetime) -> Column:
    """Time of the snapshot numbered `snapshot` (UTC, microseconds)."""
    clock_us = (clock - datetime.fromtimestamp(0, UTC)) // MICROSECOND
    return F.timestamp_micros(F.lit(clock_us) - snapshot * F.lit(_WEEK_US))


def decay(half_life: timedelta) -> Column:
    """What is left at snapshot 0 of an event's weight; at snapshot *i* it is larger by ``2 ** (i * week / half_life)``."""
    return F.pow(F.lit(2.0), -F.col("age_us") / F.lit(half_life // MICROSECOND))


def due_snapshots(weekly: DataFrame, key: str, weeks_after: Sequence[int]) -> DataFrame:
    """The snapshots (`key`, `snapshot` >= 1) that are stored: those so many weeks after one with events.

    Where nothing happens, only time passes, and a snapshot each week would repeat the last one; the shop's whole past with
    every subject in every week would be hundreds of times the events.
    """
    snapshots = F.array(*[F.col("week") - weeks for weeks in weeks_after])
    return (
        weekly.select(key, "week")
        .distinct()
        .select(key, F.explode(snapshots).alias("snapshot"))
        .filter(F.col("snapshot") >= 1)
        .distinct()
    )


def as_of_snapshots(due: DataFrame, states: DataFrame, key: str, *more: str) -> DataFrame:
    """Each snapshot of `due` (`key`, `snapshot`) with the newest state that it may know.

    `states` holds one row per `key`, `more` and `week`; the state of week w holds from snapshot w until the next week
    with a state of the same `key` and `more` (weeks are numbered backwards).
    """
    newer_first = Window.partitionBy(key, *more).orderBy("week")
    valid = states.withColumn("_until", F.lag("week", 1, -1).over(newer_first)).withColumnRenamed(
        key, "_key"
    )
    within = (F.col("snapshot") <= F.col("week")) & (F.col("snapshot") > F.col("_until"))
    return due.join(valid, (F.col(key) == F.col("_key")) & within).drop("_key", "_until", "week")
