"""Contracts, statements and feature rows of made-up people, for tests that fill stores by hand."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pandas as pd

from privacy.contracts import (
    AssetContract,
    Category,
    LegalBasis,
    Purpose,
    Retention,
    Store,
    Unlearn,
    Withhold,
)
from privacy.database import Role, connect

__all__ = ["agree", "contract", "profile"]


def contract(
    key: str,
    store: Store,
    unlearn: Unlearn | None = None,
    *,
    purpose: Purpose = Purpose.PERSONALISATION,
    column: str | None = None,
    days: int = 365,
    provided: bool = False,
) -> AssetContract:
    """A contract of pseudonymous data that rests on consent."""
    return AssetContract(
        key=key,
        owner="team:data-platform",
        description=f"What {key} holds.",
        category=Category.PSEUDONYMOUS,
        purposes=(purpose,),
        legal_basis=LegalBasis.CONSENT,
        retention=Retention(days=days, column=column),
        store=store,
        subject="pseudonym",
        withhold=Withhold(at="materialisation", within=timedelta(hours=24)),
        unlearn=unlearn,
        provided=provided,
    )


def agree(pseudonym: str, purpose: Purpose, at: datetime, decision: str = "opt_in") -> None:
    """Put a statement of one subject into the ledger."""
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.records (pseudonym, purpose, decision, stated_at, mechanism, policy_version, "
            "source, source_key) values (%s, %s, %s, %s, 'banner', '1', 'test', %s)",
            [pseudonym, purpose.value, decision, at, str(uuid4())],
        )


def profile(pseudonym: str, at: datetime) -> dict[str, Any]:
    """A row of the feature view `subject_profile`, made at `at`."""
    return {
        "pseudonym": pseudonym,
        "event_timestamp": pd.Timestamp(at),
        "created": pd.Timestamp(at),
        "interactions_30d": 12,
        "purchases_90d": 2,
        "views_7d": 4,
        "days_since_last_event": 1.5,
        "mean_price": 40.0,
        "mean_sustainability": 3.5,
        "top_categories": ["dresses"],
        "top_category_scores": [1.0],
        "top_brands": ["Loom"],
        "top_brand_scores": [1.0],
        "top_sizes": ["M"],
        "top_size_scores": [1.0],
        "recent_products": ["P1", "P2"],
    }
