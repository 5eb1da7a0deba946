"""The check that no count of `lake/product_popularity` can be one of few people."""

import dagster as dg
import pyarrow.dataset as ds

from orchestration.defs.profiles.contracts import POPULARITY
from orchestration.defs.profiles.product_popularity import COUNTS
from privacy import lake
from privacy.contracts import SMALLEST_GROUP

__all__ = ["no_count_of_few_people"]


@dg.asset_check(
    asset=POPULARITY.key.split("/"),
    blocking=True,
    description="No count of events lies from 1 to 9: fewer than ten people would stand behind it.",
)
def no_count_of_few_people() -> dg.AssetCheckResult:
    """Look through every snapshot."""
    rows = lake.open_table("product_popularity").to_pyarrow_dataset()
    broken = {
        name: rows.count_rows(filter=(ds.field(name) > 0) & (ds.field(name) < SMALLEST_GROUP))
        for name in COUNTS
    }
    return dg.AssetCheckResult(passed=not any(broken.values()), metadata=broken)
