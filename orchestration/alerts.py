"""Alerts: what a person should know about runs and late assets, sent to a webhook at least once.

An alert names jobs, assets, steps and classes of errors, and never an error's message: it leaves the platform.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import dagster as dg
import httpx
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.storage.tags import WILL_RETRY_TAG
from pydantic import BaseModel, SecretStr

from orchestration.lateness import LateAsset, late_assets, step_failures

__all__ = ["Alert", "AlertError", "AlertState", "deliver", "news"]

Kind = Literal["run_failed", "run_recovered", "asset_late", "asset_fresh"]
Details = dict[str, str | bool | list[str]]
_ENDED = [DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS]
# Dagster writes a run's end before its time of update is seen by others: look back by this much.
_OVERLAP = timedelta(seconds=30)


class AlertError(RuntimeError):
    """The webhook did not take an alert; it is sent again."""


@dataclass(frozen=True)
class Alert:
    """One thing to know. `id` is equal where the same alert is sent again; `text` is the whole of it for people."""

    id: str
    kind: Kind
    text: str
    subject: str
    at: str
    details: Details = field(default_factory=dict)


class AlertState(BaseModel):
    """What was told already: up to when runs were looked at, what of them was told, which jobs failed last, which assets are late."""

    since: datetime
    told: list[str] = []
    failing: list[str] = []
    late: list[str] = []


def news(
    instance: DagsterInstance, graph: AssetGraph, state: AlertState, now: datetime
) -> tuple[list[Alert], AlertState]:
    """The alerts since `state`, oldest first, and the state after they were delivered."""
    alerts, told, failing = _of_runs(instance, state, now)
    late = {each.asset: each for each in late_assets(instance, graph, now) if each.made is not None}
    alerts += [_late(each, now) for name, each in late.items() if name not in state.late]
    alerts += [_fresh(name, now) for name in state.late if name not in late]
    return alerts, AlertState(since=now, told=told, failing=sorted(failing), late=list(late))


def _of_runs(
    instance: DagsterInstance, state: AlertState, now: datetime
) -> tuple[list[Alert], list[str], set[str]]:
    """The alerts of runs that ended since, the runs looked at, and the jobs that failed last."""
    alerts, told, failing = list[Alert](), list[str](), set(state.failing)
    for run in _ended(instance, state.since - _OVERLAP):
        told.append(run.run_id)
        if run.run_id in state.told or run.tags.get(WILL_RETRY_TAG) == "true":
            continue
        if run.status is DagsterRunStatus.FAILURE:
            alerts.append(_failed(instance, run, now))
            failing.add(run.job_name)
        elif run.job_name in failing:
            text = f"{run.job_name} succeeded again."
            alerts.append(Alert(run.run_id, "run_recovered", text, run.job_name, _iso(now)))
            failing.discard(run.job_name)
    return alerts, told, failing


def _ended(instance: DagsterInstance, since: datetime) -> Iterator[DagsterRun]:
    filters = dg.RunsFilter(statuses=_ENDED, updated_after=since)
    records = instance.get_run_records(filters, order_by="update_timestamp", ascending=True)
    return (record.dagster_run for record in records)


def _failed(instance: DagsterInstance, run: DagsterRun, now: datetime) -> Alert:
    failures = list(step_failures(instance, run.run_id))
    named = ", ".join(f"{failure.step}: {failure.error}" for failure in failures)
    transient = bool(failures) and all(failure.transient for failure in failures)
    advice = (
        "What it needs did not come back in time: see './selvedge status', then run it again."
        if transient
        else "It will fail again until that is mended: './selvedge late' says what waits for it."
    )
    text = f"{run.job_name} failed ({named or 'its process ended'}). {advice}"
    details: Details = {
        "run_id": run.run_id,
        "steps": [failure.step for failure in failures],
        "errors": [failure.error for failure in failures],
        "transient": transient,
    }
    return Alert(run.run_id, "run_failed", text, run.job_name, _iso(now), details)


def _late(asset: LateAsset, now: datetime) -> Alert:
    assert asset.made is not None
    text = f"{asset.asset} is late: made {asset.made:%Y-%m-%d %H:%M} UTC, {asset.cause}."
    details: Details = {"made": asset.made.isoformat(), "cause": asset.cause}
    name = f"{asset.asset}@{asset.made:%Y%m%dT%H%M%S}"
    return Alert(name, "asset_late", text, asset.asset, _iso(now), details)


def _fresh(asset: str, now: datetime) -> Alert:
    name, text = f"{asset}@fresh@{now:%Y%m%dT%H%M}", f"{asset} is fresh again."
    return Alert(name, "asset_fresh", text, asset, _iso(now))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def deliver(alerts: list[Alert], webhook: SecretStr) -> None:
    """POST each alert as JSON; raises AlertError at the first that is not taken, without the webhook's address.

    `text` is where chat tools look for what to show.
    """
    with httpx.Client(timeout=10, follow_redirects=False) as client:
        for alert in alerts:
            try:
                response = client.post(webhook.get_secret_value(), json=asdict(alert))
            except httpx.HTTPError as error:
                raise AlertError(
                    f"The alert webhook does not answer ({type(error).__name__})."
                ) from None
            if not response.is_success:
                raise AlertError(f"The alert webhook answered {response.status_code}.")
