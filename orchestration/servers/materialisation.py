"""Runs of Dagster jobs: launched through the UI's own API, followed event by event."""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
from dagster import DagsterEventType as Event
from dagster import DagsterInstance, DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from orchestration.step_errors import innermost

__all__ = ["Progress", "RunFailedError", "cancel", "follow", "launch"]

FINAL = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
POLL_SECONDS = 0.4
EVENTS = {
    Event.STEP_START,
    Event.ASSET_MATERIALIZATION,
    Event.ASSET_CHECK_EVALUATION,
    Event.STEP_SUCCESS,
    Event.STEP_FAILURE,
}


class RunFailedError(RuntimeError):
    """A run did not succeed; says which step failed, why, and where to look."""


@dataclass(frozen=True)
class Progress:
    """Something that happened in a run.

    `subject` is a step's or asset's name, `seconds` how long since its step began, `rows` an asset's row count.
    """

    kind: Literal["started", "materialised", "check_failed", "finished", "failed"]
    subject: str
    seconds: float
    rows: int | None = None
    detail: str = ""


def launch(ui_port: int, job: str, assets: list[str] | None = None) -> str:
    """Launch `job` (or, of it, the named assets alone) and return the run's id.

    Raises RunFailedError where Dagster refuses.
    """
    client = DagsterGraphQLClient("127.0.0.1", port_number=ui_port)
    selection = [dg.AssetKey(asset.split("/")) for asset in assets] if assets else None
    try:
        with warnings.catch_warnings():
            # Dagster's client calls its GraphQL library in a way that it will give up.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="gql")
            return client.submit_job_execution(job, asset_selection=selection)
    except DagsterGraphQLClientError as error:
        raise RunFailedError(f"Dagster did not launch {job}: {error}") from error


def cancel(instance: DagsterInstance, run_id: str) -> None:
    """Ask a run to stop."""
    instance.run_coordinator.cancel_run(run_id)


def follow(instance: DagsterInstance, run_id: str) -> Iterator[Progress]:
    """Yield what happens in a run until it ends; raises RunFailedError if it fails or is cancelled."""
    cursor: str | None = None
    began: dict[str, float] = {}
    failures: list[str] = []
    while True:
        ended = _status(instance, run_id) in FINAL
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=EVENTS)
        cursor = page.cursor
        for record in page.records:
            progress = _progress(record.event_log_entry, began)
            if progress is not None:
                failures += [progress.detail] if progress.kind == "failed" else []
                yield progress
        if ended and not page.has_more:
            break
        time.sleep(POLL_SECONDS)
    if _status(instance, run_id) is not DagsterRunStatus.SUCCESS:
        raise RunFailedError(_failure(instance, run_id, failures))


def _status(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise RunFailedError(f"Run {run_id} is not known to Dagster.")
    return run.status


def _failure(instance: DagsterInstance, run_id: str, failures: list[str]) -> str:
    if failures:
        return f"Run {run_id} failed: " + "; ".join(failures)
    records = instance.get_records_for_run(run_id, of_type=Event.RUN_FAILURE, ascending=False)
    reason = records.records[0].event_log_entry.user_message if records.records else "cancelled"
    return f"Run {run_id} did not finish: {reason}"


def _progress(entry: Any, began: dict[str, float]) -> Progress | None:
    event = entry.dagster_event
    step = event.step_key or ""
    seconds = entry.timestamp - began.setdefault(step, entry.timestamp)
    match event.event_type:
        case Event.STEP_START:
            return Progress("started", step, 0.0)
        case Event.ASSET_MATERIALIZATION:
            name = event.asset_key.to_user_string()
            return Progress("materialised", name, seconds, _rows(event))
        case Event.ASSET_CHECK_EVALUATION:
            return _check(event.event_specific_data, seconds)
        case Event.STEP_SUCCESS:
            return Progress("finished", step, seconds)
        case Event.STEP_FAILURE:
            return Progress("failed", step, seconds, detail=f"{step}: {_innermost(event)}")
    return None


def _rows(event: Any) -> int | None:
    value = event.materialization.metadata.get("dagster/row_count")
    return int(value.value) if value is not None else None


def _check(evaluation: Any, seconds: float) -> Progress | None:
    if evaluation.passed:
        return None
    name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
    return Progress("check_failed", name, seconds, detail=evaluation.severity.value)


def _innermost(event: Any) -> str:
    error = innermost(event.event_specific_data.error)
    return error.message.strip().splitlines()[0] if error else "no error recorded"
