"""The assets of the online store: each feature view's newest values in Redis."""

from collections.abc import Mapping
from dataclasses import asdict

import dagster as dg
from feast import FeatureView

from feature_repo.definitions import product_attributes, product_popularity, subject_profile
from orchestration.contracted import contracted_asset
from recommenders.consented_online_store import contract_of
from recommenders.materialisation import materialise


def _columns(view: FeatureView) -> Mapping[str, str]:
    return {field.name: str(field.dtype) for field in (*view.entity_columns, *view.features)}


def _online_asset(view: FeatureView, source: str) -> dg.AssetsDefinition:
    contract = contract_of(view)
    check = dg.AssetCheckSpec(
        name="online_rows_match_source",
        asset=contract.key.split("/"),
        description="Every entity of the source is online or counted as withheld.",
    )

    @contracted_asset(
        contract,
        group="features",
        kinds={"feast", "redis"},
        deps=["features/registry", source],
        columns=_columns(view),
        check_specs=[check],
    )
    def materialised() -> dg.MaterializeResult[None]:
        counts = materialise(view)
        return dg.MaterializeResult(
            metadata={"dagster/row_count": counts.online, **asdict(counts)},
            check_results=[
                dg.AssetCheckResult(
                    check_name=check.name,
                    passed=counts.rows == counts.online + counts.withheld,
                    metadata=asdict(counts),
                )
            ],
        )

    return materialised


subject_profile_online = _online_asset(subject_profile, "lake/subject_profile")
product_popularity_online = _online_asset(product_popularity, "lake/product_popularity")
product_attributes_online = _online_asset(product_attributes, "lake/products")
