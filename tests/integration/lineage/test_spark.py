"""What the columns of a Spark result are made of, read off its plan."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812

from orchestration.lineage.columns import Source
from orchestration.lineage.of_spark import spark_lineage
from orchestration.spark import read_delta
from privacy import lake
from privacy.settings import PlatformSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
VISITS = pa.table({"who": ["a"], "item": ["coat"], "seconds": [3.0], "at": pa.array([NOON], pa.timestamp("us", "UTC"))})  # fmt: skip
ITEMS = pa.table({"item": ["coat"], "price": [90.0], "tags": [["warm"]]})


@pytest.fixture
def tables(servers: PlatformSettings, spark: "SparkSession") -> Iterator[None]:
    lake.replace("lineage_visits", VISITS)
    lake.replace("lineage_items", ITEMS)
    yield
    for name in ("lineage_visits", "lineage_items"):
        shutil.rmtree(lake.table_path(name))


def _visit(*columns: str) -> set[Source]:
    return {Source("lake/lineage_visits", column) for column in columns}


def _item(*columns: str) -> set[Source]:
    return {Source("lake/lineage_items", column) for column in columns}


@pytest.mark.usefixtures("tables")
def test_joins_sums_and_windows_are_followed(spark: "SparkSession") -> None:
    visits, items = read_delta(spark, "lineage_visits"), read_delta(spark, "lineage_items")
    newest = Window.partitionBy("who").orderBy(F.col("at").desc())
    made = (
        visits.join(items, "item", "left")
        .withColumn("rank", F.row_number().over(newest))
        .filter(F.col("rank") <= 3)
        .groupBy("who", F.col("item").alias("what"))
        .agg(
            F.sum(F.col("seconds") * F.col("price")).alias("worth"),
            F.count("*").alias("times"),
            F.max("at").alias("last"),
        )
        .cache()
    )
    assert spark_lineage(made) == {
        "who": _visit("who"),
        "what": _visit("item"),
        "worth": _visit("seconds") | _item("price"),
        "times": set(),
        "last": _visit("at"),
    }
    made.unpersist()


@pytest.mark.usefixtures("tables")
def test_unions_generators_and_a_table_joined_to_itself_are_followed(spark: "SparkSession") -> None:
    visits, items = read_delta(spark, "lineage_visits"), read_delta(spark, "lineage_items")
    tags = items.select("item", F.explode("tags").alias("word"))
    words = visits.select("item", F.col("who").alias("word")).unionByName(tags)
    other = visits.select(F.col("who").alias("_who"), F.col("item").alias("other"))
    pairs = visits.join(other, F.col("who") == F.col("_who")).select("item", "other")
    made = words.join(pairs, "item")
    assert spark_lineage(made) == {
        "item": _visit("item") | _item("item"),
        "word": _visit("who") | _item("tags"),
        "other": _visit("item"),
    }


def test_rows_from_memory_have_no_source(spark: "SparkSession") -> None:
    assert spark_lineage(spark.createDataFrame(VISITS)) == {
        name: set() for name in VISITS.column_names
    }
