"""The asset of the consent masks: what serving reads, written from the ledger."""

from datetime import timedelta

import dagster as dg

from consent import masks
from orchestration.contracted import contracted_asset
from privacy.contracts import (
    AssetContract,
    Category,
    LegalBasis,
    Purpose,
    RedisStore,
    Retention,
    Withhold,
)

CONTRACT = AssetContract(
    key=masks.ASSET_KEY,
    owner="team:privacy",
    description="What each subject agrees to and objects to, as bits that serving reads with every request. Without one a "
    "subject agrees to nothing.",
    category=Category.PSEUDONYMOUS,
    purposes=tuple(Purpose),
    legal_basis=LegalBasis.LEGAL_OBLIGATION,
    retention=Retention(days=masks.TTL.days),
    store=RedisStore(pattern=masks.mask_key("{pseudonym}")),
    subject="pseudonym",
    withhold=Withhold(at="materialisation", within=timedelta(days=1)),
)


@contracted_asset(
    CONTRACT,
    group="consent",
    kinds={"python", "redis"},
    deps=["consent/records"],
    columns={"mask": "int", "objections": "string", "records": "int", "objection_id": "int"},
)
def consent_masks() -> dg.MaterializeResult[None]:
    """Write every subject's mask with a fresh expiry."""
    return dg.MaterializeResult(metadata={"dagster/row_count": masks.write_all()})
