"""The assets of the online store: each feature view's newest values in Redis."""

from collections.abc import Mapping
from dataclasses import asdict

import dagster as dg
from feast import FeatureView

from feature_repo.definitions import product_attributes, product_popularity, subject_profile
from feature_repo.views import product_popularity_contract
from orchestration.contracted import contracted_asset
from orchestration.lineage.columns import lineage_metadata
from orchestration.lineage.of_features import view_lineage
from privacy.contracts import SMALLEST_GROUP
from recommenders.consented_online_store import contract_of
from recommenders.features import COUNTS, feature_store, latest
from recommenders.materialisation import materialise

# Products asked for in one call.
_ASKED = 500


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
            metadata={
                "dagster/row_count": counts.online,
                **asdict(counts),
                **lineage_metadata(view_lineage(view)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=check.name,
                    passed=counts.rows == counts.online + counts.withheld,
                    metadata=asdict(counts),
                )
            ],
        )

    return materialised


@dg.asset_check(
    asset=product_popularity_contract.key.split("/"),
    blocking=True,
    description="No count that is online lies from 1 to 9: fewer than ten people would stand behind it.",
)
def no_count_of_few_people() -> dg.AssetCheckResult:
    """Ask the online store for every product of the lake, as a reader of it would."""
    products = latest(product_popularity)["product_id"].to_pylist()
    features = [f"{product_popularity.name}:{name}" for name in COUNTS]
    broken = dict.fromkeys(COUNTS, 0)
    for start in range(0, len(products), _ASKED):
        rows = [{"product_id": name} for name in products[start : start + _ASKED]]
        found = feature_store().get_online_features(features, rows).to_dict()
        for name in COUNTS:
            broken[name] += sum(0 < (count or 0) < SMALLEST_GROUP for count in found[name])
    return dg.AssetCheckResult(passed=not any(broken.values()), metadata=broken)


subject_profile_online = _online_asset(subject_profile, "lake/subject_profile")
product_popularity_online = _online_asset(product_popularity, "lake/product_popularity")
product_attributes_online = _online_asset(product_attributes, "lake/products")
