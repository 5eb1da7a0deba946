"""The watch over the time limits of privacy requests (Art. 12(3)): it fails, loudly, a week before one passes."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.retries import retrying
from privacy.database import Role, connect

__all__ = ["WARNING", "privacy_deadlines", "privacy_deadlines_sensor"]

WARNING = timedelta(days=7)


def _urgent(now: datetime) -> list[tuple[str, str, datetime]]:
    """(request id, status, deadline) of each request to be worked on that is due within `WARNING`, the most urgent first."""
    with connect(Role.DAGSTER) as connection:
        return connection.execute(
            "select request_id::text, status, expected_completion_time from requests.privacy_requests "
            "where status in ('received', 'in_progress', 'incomplete') and expected_completion_time < %s "
            "order by expected_completion_time, request_id",
            [now + WARNING],
        ).fetchall()


@dg.op(
    name="no_privacy_request_is_due",
    description="Fails while a privacy request is due within seven days, and names each.",
)
@retrying
def no_privacy_request_is_due() -> None:
    """Raise dg.Failure with ids and days left, nothing of whom they are about."""
    now = datetime.now(UTC)
    urgent = _urgent(now)
    if not urgent:
        return
    named = "; ".join(
        f"{request_id} ({status}, {(due - now).days} days left)"
        for request_id, status, due in urgent
    )
    raise dg.Failure(
        description=f"{len(urgent)} privacy requests are due within {WARNING.days} days: {named}. See what is missing with "
        "GET /v1/privacy-requests/{id}; docs/runbooks/privacy-requests.md says what to do.",
        metadata={"requests": len(urgent), "earliest": urgent[0][2].isoformat()},
        allow_retries=False,
    )


@dg.job(
    description="Fails while a privacy request is due within seven days.",
    executor_def=dg.in_process_executor,
)
def privacy_deadlines() -> None:
    """Look for privacy requests that are due."""
    no_privacy_request_is_due()


@dg.sensor(
    job=privacy_deadlines,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the job once a day while a privacy request is due within seven days.",
)
def privacy_deadlines_sensor() -> dg.RunRequest | dg.SkipReason:
    """Ask for one run a day, which will fail, while a request is due."""
    now = datetime.now(UTC)
    if not _urgent(now):
        return dg.SkipReason("No privacy request is due within seven days.")
    return dg.RunRequest(run_key=f"deadlines-{now:%Y-%m-%d}")
