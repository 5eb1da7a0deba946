"""The asset of the training set: point-in-time retrieval, written to the lake."""

from dataclasses import asdict

import dagster as dg
import pyarrow.compute as pc

from feature_repo.definitions import training_v1
from orchestration.contracted import contracted_asset
from orchestration.lineage.columns import ColumnLineage, Source, lineage_metadata
from orchestration.lineage.of_features import service_lineage
from orchestration.retention_clock import counted_from
from privacy import lake
from recommenders.training_audit import SAMPLE, audit
from recommenders.training_set import (
    COLUMN_TYPES,
    SERVICE,
    TRAINING_SET,
    retrieve_training_set,
    training_set_contract,
)

CHECK = dg.AssetCheckSpec(
    name="every_row_has_a_time_and_keys",
    asset=training_set_contract.key.split("/"),
    description="No row lacks its subject, product or time.",
)


@contracted_asset(
    training_set_contract,
    group="features",
    kinds={"feast", "duckdb", "deltalake"},
    deps=[
        "features/registry",
        "lake/interaction_matrix",
        "lake/subject_profile",
        "lake/product_popularity",
        "lake/products",
    ],
    columns={name: str(kind) for name, kind in COLUMN_TYPES.items()},
    check_specs=[CHECK],
)
def training_set() -> dg.MaterializeResult[None]:
    """Retrieve the features of `training_v1` for the interaction matrix and replace the Delta table."""
    retention = training_set_contract.retention
    assert retention is not None
    rows = retrieve_training_set(since=counted_from(retention.days))
    version = lake.replace(TRAINING_SET, rows)
    missing = sum(rows[name].null_count for name in ("pseudonym", "product_id", "event_timestamp"))
    with_profile = pc.sum(pc.is_valid(rows["interactions_30d"])).as_py() or 0
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.num_rows,
            "rows_with_profile": with_profile,
            "delta_version": version,
            "feature_service": SERVICE,
            **lineage_metadata(_lineage()),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=CHECK.name, passed=missing == 0, metadata={"missing": missing}
            )
        ],
    )


def _lineage() -> ColumnLineage:
    """Of the columns that name an interaction, the matrix; of features, what their views are made of."""
    features = service_lineage(training_v1)
    named = [name for name in COLUMN_TYPES if name not in features]
    return {**features, **{name: {Source("lake/interaction_matrix", name)} for name in named}}


@dg.asset_check(
    asset=training_set_contract.key.split("/"),
    description=f"{SAMPLE:,} rows joined a second way, without Feast, have the same features, each older than its row; no "
    "interaction is left out.",
)
def no_feature_from_the_future() -> dg.AssetCheckResult:
    """Recompute a sample of the rows from the lake; counts alone are told."""
    retention = training_set_contract.retention
    assert retention is not None
    found = audit(since=counted_from(retention.days))
    return dg.AssetCheckResult(
        passed=found.holds,
        metadata={**asdict(found), "differing": dg.MetadataValue.json(found.differing)},
    )
