"""Feast's Spark store, for a lake that one machine cannot join, gives what the DuckDB store gives, row for row."""

import warnings
from collections.abc import Iterator
from copy import copy
from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest
from feast import FeatureView, RepoConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkOfflineStoreConfig,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from pyspark.sql import SparkSession

from feature_repo.definitions import product_attributes, product_popularity, subject_profile
from orchestration.spark import read_delta
from recommenders.features import apply_definitions, feature_store
from tests.integration.features.conftest import NEWEST, WEEK

VIEWS = (subject_profile, product_popularity, product_attributes)
REFERENCES = [f"{view.name}:{feature.name}" for view in VIEWS for feature in view.features]
# Spark answers times without a zone, those of its session's: UTC.
_INSTANT = pl.col("event_timestamp").cast(pl.Datetime("us")).alias("event_timestamp")
_REGEX_NAMES = "spark.sql.parser.quotedRegexColumnNames"


@pytest.fixture(autouse=True)
def _session(spark: SparkSession, small_lake: None) -> Iterator[None]:
    """The run's session; the option that Feast sets on it would read other tests' column names as expressions."""
    apply_definitions()
    before = spark.conf.get(_REGEX_NAMES)
    yield
    spark.conf.set(_REGEX_NAMES, str(before))


def _entities() -> pd.DataFrame:
    """Subjects and products with and without features, at, between, before and after their snapshots; some rows twice."""
    chance = np.random.default_rng(7)
    rows = [
        (f"subject-{subject}", product, NEWEST - weeks * WEEK + offset)
        for subject in "abz"
        for product in ("p1", "p3", "p9")
        for weeks in (0, 1, 5, 6, 60)
        for offset in (
            timedelta(0),
            timedelta(microseconds=-1),
            timedelta(microseconds=int(chance.integers(WEEK // timedelta(microseconds=1)))),
        )
    ]
    frame = pd.DataFrame([*rows, *rows[:5]], columns=["pseudonym", "product_id", "event_timestamp"])
    return frame.assign(number=range(len(frame)))


def _on_spark(spark: SparkSession, view: FeatureView) -> FeatureView:
    source, on_spark = view.batch_source, copy(view)
    read_delta(spark, source.path).createOrReplaceTempView(f"lake_{source.path}")
    on_spark.batch_source = SparkSource(
        name=source.name,
        table=f"lake_{source.path}",
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        field_mapping=source.field_mapping,
    )
    return on_spark


def _spark_rows(spark: SparkSession, entities: pd.DataFrame) -> pl.DataFrame:
    store = feature_store()
    config = RepoConfig(
        project=store.project,
        provider="local",
        registry=store.config.registry,
        offline_store=SparkOfflineStoreConfig(),
        entity_key_serialization_version=3,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The spark .* is an experimental feature", RuntimeWarning)
        job = SparkOfflineStore.get_historical_features(
            config=config,
            feature_views=[_on_spark(spark, view) for view in VIEWS],
            feature_refs=REFERENCES,
            entity_df=entities,
            registry=store.registry,
            project=store.project,
        )
        return pl.DataFrame(job.to_arrow())


def test_both_stores_give_the_same_rows_and_drop_none(spark: SparkSession) -> None:
    entities = _entities()
    duckdb = pl.DataFrame(
        feature_store().get_historical_features(entities.copy(), REFERENCES).to_arrow()
    )
    on_spark = _spark_rows(spark, entities.copy())
    assert sorted(duckdb["number"]) == sorted(on_spark["number"]) == list(entities["number"])
    order = ["number", "pseudonym", "product_id", "event_timestamp"]
    names = [*order, *(reference.partition(":")[2] for reference in REFERENCES)]
    one, other = (
        frame.sort("number").select(names).with_columns(_INSTANT) for frame in (duckdb, on_spark)
    )
    differing = [name for name in names if not one[name].equals(other[name])]
    assert not differing
    assert one["interactions_30d"].n_unique() >= 5
    assert 0 < one["interactions_30d"].null_count() < one.height
