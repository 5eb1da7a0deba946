"""The assets of the profiles group: Spark over the interactions, each result a Delta table of the lake."""

from collections.abc import Callable, Mapping

import dagster as dg
import pyarrow as pa
from pyspark.sql import DataFrame

from consent.spark import consented
from orchestration.contracted import contracted_asset
from orchestration.defs.profiles import (
    contracts,
    interaction_matrix,
    product_popularity,
    products,
    sessions,
    subject_profile,
)
from orchestration.defs.profiles.publish import publish, publish_of_subjects
from orchestration.defs.profiles.snapshots import data_clock
from orchestration.lineage.of_spark import spark_lineage
from orchestration.spark import get_spark, read_delta, to_table
from privacy.contracts import AssetContract, Purpose

_SPARK = ("spark", "deltalake")
_BEHAVIOUR = ("lake/interactions", "consent/records")
KEY_CHECK = "one_row_per_key"


def _asset(
    contract: AssetContract,
    schema: pa.Schema,
    key: tuple[str, ...],
    *,
    kinds: tuple[str, ...] = _SPARK,
    deps: tuple[str, ...] = _BEHAVIOUR,
) -> Callable[[Callable[[], dg.MaterializeResult[None]]], dg.AssetsDefinition]:
    check = dg.AssetCheckSpec(
        name=KEY_CHECK,
        asset=contract.key.split("/"),
        description=f"Each row has its own {', '.join(key)}, none of them null.",
    )
    columns: Mapping[str, str] = {field.name: str(field.type) for field in schema}
    return contracted_asset(
        contract, group="profiles", kinds=kinds, deps=deps, columns=columns, check_specs=[check]
    )


def _interactions(contract: AssetContract, purpose: Purpose) -> tuple[DataFrame, DataFrame]:
    """All interactions (for the data clock alone), and those that serve `purpose` in the contract's asset."""
    everything = read_delta(get_spark(), "interactions")
    return everything, consented(everything, purpose, "event_timestamp", contract.key)


_PRODUCT_KEY = ("product_id",)


@_asset(
    contracts.PRODUCTS,
    products.SCHEMA,
    _PRODUCT_KEY,
    kinds=("python", "deltalake"),
    deps=("marts/dim_products",),
)
def lake_products() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Publish the warehouse's catalogue to the lake."""
    rows = products.catalogue()
    return publish(contracts.PRODUCTS, rows, _PRODUCT_KEY).result(KEY_CHECK, products.LINEAGE)


# A source may name its sessions or not, and a subject's unnamed ones never begin at once.
_SESSION_KEY = ("pseudonym", "session", "started_at")


@_asset(contracts.SESSIONS, sessions.SCHEMA, _SESSION_KEY)
def lake_sessions() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Cut the interactions of subjects who agree to analytics into visits."""
    _, agreed = _interactions(contracts.SESSIONS, Purpose.ANALYTICS)
    visits = sessions.sessions(agreed)
    rows = to_table(visits, sessions.SCHEMA)
    published = publish_of_subjects(contracts.SESSIONS, rows, _SESSION_KEY, Purpose.ANALYTICS)
    return published.result(KEY_CHECK, spark_lineage(visits))


_PROFILE_KEY = ("pseudonym", "event_timestamp")


@_asset(
    contracts.PROFILE,
    subject_profile.SCHEMA,
    _PROFILE_KEY,
    deps=(*_BEHAVIOUR, "lake/products"),
)
def lake_subject_profile() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Compute every subject's profile as of the newest interaction, and the weekly ones before it."""
    everything, agreed = _interactions(contracts.PROFILE, Purpose.PERSONALISATION)
    clock = data_clock(everything)
    trainable = consented(agreed, Purpose.MODEL_TRAINING, "event_timestamp", contracts.PROFILE.key)
    known = read_delta(get_spark(), "products")
    profiles = subject_profile.subject_profiles(agreed, trainable, known, clock)
    rows = to_table(profiles, subject_profile.SCHEMA)
    get_spark().catalog.clearCache()
    published = publish_of_subjects(contracts.PROFILE, rows, _PROFILE_KEY, Purpose.PERSONALISATION)
    return published.result(KEY_CHECK, spark_lineage(profiles), as_of=clock.isoformat())


_POPULARITY_KEY = ("product_id", "event_timestamp")


@_asset(contracts.POPULARITY, product_popularity.SCHEMA, _POPULARITY_KEY)
def lake_product_popularity() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Count and weigh the events of each product as of each snapshot."""
    everything, agreed = _interactions(contracts.POPULARITY, Purpose.ANALYTICS)
    clock = data_clock(everything)
    popularity = product_popularity.product_popularity(agreed, clock)
    rows = to_table(popularity, product_popularity.SCHEMA)
    get_spark().catalog.clearCache()
    return publish(contracts.POPULARITY, rows, _POPULARITY_KEY).result(
        KEY_CHECK, spark_lineage(popularity), as_of=clock.isoformat()
    )


_MATRIX_KEY = ("pseudonym", "product_id")


@_asset(contracts.INTERACTION_MATRIX, interaction_matrix.SCHEMA, _MATRIX_KEY)
def lake_interaction_matrix() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Sum up the interest of each subject who agrees to model training in each product."""
    everything, agreed = _interactions(contracts.INTERACTION_MATRIX, Purpose.MODEL_TRAINING)
    clock = data_clock(everything)
    matrix = interaction_matrix.interaction_matrix(agreed, clock)
    rows = to_table(matrix, interaction_matrix.SCHEMA)
    published = publish_of_subjects(
        contracts.INTERACTION_MATRIX, rows, _MATRIX_KEY, Purpose.MODEL_TRAINING
    )
    return published.result(KEY_CHECK, spark_lineage(matrix), as_of=clock.isoformat())
