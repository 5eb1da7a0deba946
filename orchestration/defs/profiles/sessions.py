"""Visits: what happened between arriving and leaving."""

from datetime import timedelta

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

__all__ = ["SCHEMA", "sessions"]

# The gap after which web analytics customarily counts a new visit.
GAP = timedelta(minutes=30)
_TIME = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("session", pa.string()),
        ("started_at", _TIME),
        ("ended_at", _TIME),
        ("events", pa.int64()),
        ("page_views", pa.int64()),
        ("purchases", pa.int64()),
        ("dwell_seconds", pa.float64()),
        ("event_timestamp", _TIME),
    ]
)


def sessions(interactions: DataFrame) -> DataFrame:
    """The visits of `interactions`, in the columns of `SCHEMA`.

    Events of a session that the source named belong together. Without a name (`session` stays null), a subject's events
    do, up to a gap of 30 minutes. `dwell_seconds` is null where none of the events says how long; `event_timestamp` is
    the visit's end.
    """
    in_time = Window.partitionBy("pseudonym", "session").orderBy("event_timestamp")
    apart = F.unix_micros("event_timestamp") - F.unix_micros(F.lag("event_timestamp").over(in_time))
    begins = F.col("session").isNull() & (apart > F.lit(GAP // timedelta(microseconds=1)))
    numbered = interactions.withColumn("_begins", begins.cast("int")).withColumn(
        "_visit", F.sum(F.coalesce("_begins", F.lit(0))).over(in_time)
    )
    return (
        numbered.groupBy("pseudonym", "session", "_visit")
        .agg(
            F.min("event_timestamp").alias("started_at"),
            F.max("event_timestamp").alias("ended_at"),
            F.count("*").alias("events"),
            F.count_if(F.col("event_type") == "page_view").alias("page_views"),
            F.count_if(F.col("event_type") == "purchase").alias("purchases"),
            F.sum(F.col("dwell_seconds").cast("double")).alias("dwell_seconds"),
        )
        .withColumn("event_timestamp", F.col("ended_at"))
        .select(*SCHEMA.names)
    )
