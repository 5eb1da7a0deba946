"""What the ledger needs each day: agreements that ran out expire, and its end is signed."""

import dagster as dg

from consent import chain, expiry
from orchestration.retries import retrying

__all__ = ["consent_daily", "consent_daily_schedule"]


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Record that agreements ran out, and drop at once what serving holds of them.",
)
@retrying
def expire_agreements(context: dg.OpExecutionContext) -> None:
    """Append the expiries that are due; serving refuses from the moment this ends."""
    context.add_output_metadata({"expired": expiry.expire()})


@dg.op(
    ins={"expired": dg.In(dg.Nothing)},
    description="Sign the end of the consent ledger's chain, so that nothing before it can be cut off unseen.",
)
@retrying
def sign_consent_head(context: dg.OpExecutionContext) -> None:
    """Sign and keep the chain's head; its metadata is worth keeping elsewhere."""
    head = chain.sign_head()
    context.add_output_metadata(
        {name: str(value) for name, value in head.document().items()}, output_name="result"
    )


@dg.job(
    description="Expire agreements that ran out and sign the end of the consent ledger.",
    executor_def=dg.in_process_executor,
)
def consent_daily() -> None:
    """First the expiries, so that the day's head is over them too."""
    sign_consent_head(expire_agreements())


consent_daily_schedule = dg.ScheduleDefinition(
    name="consent_daily",
    job=consent_daily,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The ledger's day ends at 03:30 UTC, before the whole graph runs.",
)
