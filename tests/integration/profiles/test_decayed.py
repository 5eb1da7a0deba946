"""Spark keeps decayed affinities as Polars does, and both as the whole history says."""

from functools import reduce
from typing import TYPE_CHECKING

import polars as pl
from hypothesis import HealthCheck, given, settings

from recommenders import decayed, decayed_spark
from recommenders.signals import signals
from tests.unit.recommenders.histories import END, assert_equal, batches, full

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SCHEMA = (
    "event_id string, pseudonym string, attribute string, value string, signal string, "
    "event_timestamp timestamp"
)


def _state(spark: "SparkSession", part: pl.DataFrame) -> "DataFrame":
    events = spark.createDataFrame(
        part.to_arrow(compat_level=pl.CompatLevel.oldest()), schema=_SCHEMA
    )
    return decayed_spark.state_of(events, signals())


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(parts=batches(most=60))
def test_spark_polars_and_the_whole_history_agree(
    spark: "SparkSession", parts: list[pl.DataFrame]
) -> None:
    states = [_state(spark, part) for part in parts]
    state = decayed_spark.merged(reduce(lambda known, more: known.unionByName(more), states))
    found = pl.DataFrame(pl.from_arrow(decayed_spark.scores(state, END).toArrow()))
    events = pl.concat(parts)
    assert_equal(found, full(events, END))
    held = decayed.merged(*(decayed.state_of(part, signals()) for part in parts))
    assert_equal(decayed.scores(held, END), full(events, END))
    spark_state = pl.DataFrame(pl.from_arrow(state.toArrow())).select(*decayed.KEY, "as_of")
    assert set(spark_state.rows()) == set(held.select(*decayed.KEY, "as_of").rows())
