"""The job that works on privacy requests, and the sensor that starts it while any is open."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from privacy.database import Role, connect
from privacy.requests import RequestStatus, process_open
from serving.explanation import explain

__all__ = ["privacy_requests", "privacy_requests_sensor"]

_UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
# An incomplete request is tried again after 1, 2, 4, … minutes, at most an hour.
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
# A run that ended without taking up its requests (a crash of the code server, say) is repeated after this time.
_REPEAT = timedelta(minutes=3)


@dg.op(
    name="work_on_open_requests",
    description="Export, erase, correct or withhold for every open privacy request; a store that fails leaves its request incomplete.",
)
def work_on_open_requests(context: dg.OpExecutionContext) -> None:
    """Work on all open requests; logs ids of requests and counts, nothing of whom they are about."""
    requests = process_open(explain=explain)
    for request in requests:
        missing = f", {len(request.unfinished)} steps missing" if request.unfinished else ""
        context.log.info(
            f"{request.kind} request {request.request_id}: {request.status}{missing}"  # noqa: G004
        )
    incomplete = sum(request.status is RequestStatus.INCOMPLETE for request in requests)
    context.add_output_metadata({"requests": len(requests), "incomplete": incomplete})
    if incomplete:
        raise dg.Failure(
            description=f"{incomplete} of {len(requests)} privacy requests are incomplete: GET /v1/privacy-requests/{{id}} "
            "names the stores that failed. They are tried again.",
            metadata={"requests": len(requests), "incomplete": incomplete},
            allow_retries=False,
        )


@dg.job(
    description="What a person's privacy request asks for, over every store; exports that expired are deleted.",
    executor_def=dg.in_process_executor,
)
def privacy_requests() -> None:
    """Work on the open privacy requests."""
    work_on_open_requests()


@dg.sensor(
    job=privacy_requests,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the job while privacy requests are open, one run at a time.",
)
def privacy_requests_sensor(
    context: dg.SensorEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run where a request is due and no run is under way."""
    filters = dg.RunsFilter(job_name=privacy_requests.name, statuses=list(_UNFINISHED))
    if context.instance.get_runs(filters, limit=1):
        return dg.SkipReason("A run is under way or queued.")
    now = datetime.now(UTC)
    due = [row for row in _open_requests() if _due(row, now)]
    if due:
        return dg.RunRequest(run_key=_run_key(due, now))
    if expired := _expired_export():
        return dg.RunRequest(run_key=f"expired-{expired.isoformat()}")
    return dg.SkipReason("No privacy request is due.")


def _open_requests() -> list[tuple[Any, ...]]:
    """(id, attempts, time of the last ended attempt or None) of each open request."""
    with connect(Role.DAGSTER) as connection:
        return connection.execute(
            "select request_id::text, coalesce((detail ->> 'attempts')::int, 0), "
            "(detail ->> 'last_attempt')::timestamptz from requests.privacy_requests "
            "where status in ('received', 'in_progress', 'incomplete') order by request_id"
        ).fetchall()


def _expired_export() -> datetime | None:
    """When the first export expired that is still kept."""
    with connect(Role.DAGSTER) as connection:
        row = connection.execute(
            "select min(expires) from requests.exports where expires <= now()"
        ).fetchone()
    return row[0] if row else None


def _due(row: Sequence[Any], now: datetime) -> bool:
    _, attempts, ended = row
    if ended is None:
        return True
    pause = min(_FIRST_PAUSE * 2 ** min(max(attempts - 1, 0), 16), _LONGEST_PAUSE)
    return bool(ended + pause <= now)


def _run_key(due: Sequence[Sequence[Any]], now: datetime) -> str:
    """Equal while the same requests wait for the same attempt within `_REPEAT`: then Dagster starts one run only."""
    state = "|".join(f"{request_id}:{attempts}" for request_id, attempts, _ in due)
    period = int(now.timestamp() // _REPEAT.total_seconds())
    return hashlib.sha256(f"{state}|{period}".encode()).hexdigest()[:16]
