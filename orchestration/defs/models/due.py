"""The check that trained models forget who left, in time."""

from datetime import UTC, datetime

import dagster as dg

from consent import models
from orchestration.defs.models.contracts import LIGHTFM

__all__ = ["subjects_due"]


@dg.asset_check(
    asset=LIGHTFM.key.split("/"),
    name="subjects_due",
    description="Nobody whom the model used and who has left since waits longer for the next training than its contract says.",
)
def subjects_due() -> dg.AssetCheckResult:
    """Count those who wait; overdue after the time within which the contract lets an opt-out take effect."""
    waiting = models.due().get(LIGHTFM.key)
    assert LIGHTFM.withhold is not None
    overdue = waiting is not None and datetime.now(UTC) - waiting.since > LIGHTFM.withhold.within
    return dg.AssetCheckResult(
        passed=not overdue,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "subjects_due": waiting.subjects if waiting else 0,
            "waiting_since": waiting.since.isoformat() if waiting else "nobody waits",
        },
    )
