"""Checks that the online store holds what the offline store says, value by value."""

from dataclasses import asdict

import dagster as dg
from feast import FeatureView

from feature_repo.definitions import product_attributes, product_popularity, subject_profile
from recommenders.consented_online_store import contract_of
from recommenders.parity import SAMPLE, compare


def _parity_check(view: FeatureView) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=contract_of(view).key.split("/"),
        name="online_equals_offline",
        description=f"Every value of {SAMPLE:,} sampled entities is online exactly as it is offline; who withholds is absent.",
    )
    def check() -> dg.AssetCheckResult:
        counts = compare(view)
        return dg.AssetCheckResult(
            passed=counts.holds,
            metadata={**asdict(counts), "differing": dg.MetadataValue.json(dict(counts.differing))},
        )

    return check


subject_profile_parity = _parity_check(subject_profile)
product_popularity_parity = _parity_check(product_popularity)
product_attributes_parity = _parity_check(product_attributes)
