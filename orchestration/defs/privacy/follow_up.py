"""What an erasure leaves to be done later: models to be trained again by a deadline, records whose legal duty ends."""

import dagster as dg

from orchestration.retries import retrying
from privacy import duties, registry, unlearning

__all__ = ["privacy_follow_up", "privacy_follow_up_hourly"]


@dg.op(
    name="follow_up_erasures",
    description="Note which models were trained without erased subjects, fail for those that are late, and delete records "
    "whose legal duty has ended.",
)
@retrying
def follow_up_erasures(context: dg.OpExecutionContext) -> None:
    """Settle what is due; logs counts and asset keys only."""
    released = duties.release()
    settled = unlearning.settle(registry.load())
    late = sorted({due.asset_key for due in unlearning.overdue()})
    context.add_output_metadata(
        {"records_released": released, "erasures_settled": settled, "models_late": len(late)}
    )
    if late:
        raise dg.Failure(
            description=f"{', '.join(late)} should have been trained without subjects who were erased, and was not: "
            f"./selvedge materialize {' '.join(late)}",
            allow_retries=False,
        )


@dg.job(
    description="What erasures leave to be done later: models trained again in time, retained records released.",
    executor_def=dg.in_process_executor,
)
def privacy_follow_up() -> None:
    """Follow up on erasures."""
    follow_up_erasures()


privacy_follow_up_hourly = dg.ScheduleDefinition(
    name="privacy_follow_up_hourly",
    job=privacy_follow_up,
    cron_schedule="45 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Follows up on erasures every hour.",
)
