"""Subject by product: how much interest there was, and when. The matrix that models are trained on."""

from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from orchestration.defs.profiles.snapshots import on_the_grid

__all__ = ["SCHEMA", "interaction_matrix"]

_TIME = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("product_id", pa.string()),
        ("weight", pa.float64()),
        ("interactions", pa.int64()),
        ("first_event", _TIME),
        ("last_event", _TIME),
        ("event_timestamp", _TIME),
    ]
)


def interaction_matrix(interactions: DataFrame, clock: datetime) -> DataFrame:
    """One row per subject and product with a positive sum of event weights, in the columns of `SCHEMA`.

    `weight` is the plain sum of the events' weights (`recommenders.signals`): how it fades is the model's choice, with `last_event` at hand.
    `interactions` counts the events that weigh something; `event_timestamp` is the last of them.
    """
    told = on_the_grid(interactions, clock).filter(
        (F.col("weight") != 0) & F.col("product_id").isNotNull()
    )
    return (
        told.groupBy("pseudonym", "product_id")
        .agg(
            F.sum("weight").alias("weight"),
            F.count("*").alias("interactions"),
            F.min("event_timestamp").alias("first_event"),
            F.max("event_timestamp").alias("last_event"),
        )
        .filter(F.col("weight") > 0)
        .withColumn("event_timestamp", F.col("last_event"))
        .select(*SCHEMA.names)
    )
