"""What is late, and why: each asset that is older than its freshness policy allows, and what kept it from being made anew."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from orchestration.retries import FAILURE
from orchestration.step_errors import innermost

__all__ = ["LateAsset", "StepFailure", "late_assets", "step_failures"]

_UNDER_WAY = {
    DagsterRunStatus.STARTING: "is about to be made",
    DagsterRunStatus.STARTED: "is being made",
    DagsterRunStatus.QUEUED: "waits in the queue",
    DagsterRunStatus.NOT_STARTED: "waits to be started",
    DagsterRunStatus.CANCELING: "is being cancelled",
    DagsterRunStatus.CANCELED: "was cancelled",
}


@dataclass(frozen=True)
class StepFailure:
    """A step that failed: its name, the error's class, and whether it passes by itself."""

    step: str
    error: str
    transient: bool


@dataclass(frozen=True)
class LateAsset:
    """An asset that is older than `allowed`; `made` is None where it never was."""

    asset: str
    made: datetime | None
    allowed: timedelta
    cause: str
    run_id: str | None


def late_assets(instance: DagsterInstance, graph: AssetGraph, now: datetime) -> list[LateAsset]:
    """Every asset of `graph` that is past the first window of its policy, in the order in which they are made.

    What is made of something late says so: the first asset of the list is where to begin.
    """
    keys = [key for key in graph.toposorted_asset_keys if graph.get(key).is_materializable]
    records = {record.asset_entry.asset_key: record for record in instance.get_asset_records(keys)}

    @cache
    def looked_up(run_id: str) -> tuple[DagsterRun | None, list[StepFailure]]:
        return instance.get_run_by_id(run_id), list(step_failures(instance, run_id))

    late = []
    for key in keys:
        policy = graph.get(key).freshness_policy_or_from_metadata
        if not isinstance(policy, TimeWindowFreshnessPolicy):
            continue
        entry = records[key].asset_entry if key in records else None
        last = entry.last_materialization if entry else None
        made = datetime.fromtimestamp(last.timestamp, UTC) if last else None
        allowed = (policy.warn_window or policy.fail_window).to_timedelta()
        if made is not None and now - made <= allowed:
            continue
        planned = entry.last_run_id if entry else None
        made_by = last.run_id if last else None
        run, failures = looked_up(planned) if planned and planned != made_by else (None, [])
        cause = _cause(graph, key, run, failures)
        late.append(
            LateAsset(key.to_user_string(), made, allowed, cause, run.run_id if run else None)
        )
    return late


def step_failures(instance: DagsterInstance, run_id: str) -> Iterator[StepFailure]:
    """The steps of a run that failed for a reason of their own, in the order in which they did."""
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records
    for record in records:
        event = record.event_log_entry.dagster_event
        assert event is not None
        data = event.step_failure_data
        told = data.user_failure_data
        error = data.error if told else innermost(data.error)
        metadata: Mapping[str, dg.MetadataValue] = (told.metadata or {}) if told else {}
        yield StepFailure(
            step=event.step_key or "",
            error=(error.cls_name or "error") if error else "error",
            transient=FAILURE in metadata,
        )


def _cause(
    graph: AssetGraph, key: dg.AssetKey, run: DagsterRun | None, failures: list[StepFailure]
) -> str:
    if run is None:
        return "no run was asked for since: see that the daemon runs and the sensor `nightly` is on"
    if run.status in _UNDER_WAY:
        return f"{_UNDER_WAY[run.status]} by run {run.run_id}"
    above = [*_above(graph, key), key]
    for asset in reversed(above):
        for failure in failures:
            if said := _said(graph, asset, failure):
                return said if asset == key else f"waits for {asset.to_user_string()}, which {said}"
    others = ", ".join(failure.step for failure in failures) or "its process"
    return f"run {run.run_id} failed: {others}"


def _above(graph: AssetGraph, key: dg.AssetKey) -> Iterable[dg.AssetKey]:
    ancestors = graph.get_ancestor_asset_keys(key)
    return [each for each in graph.toposorted_asset_keys if each in ancestors and each != key]


def _said(graph: AssetGraph, asset: dg.AssetKey, failure: StepFailure) -> str:
    """What `failure` says of `asset`; empty where it is about another."""
    name = asset.to_python_identifier()
    passing = "transient" if failure.transient else "permanent"
    if failure.step == graph.assets_def_for_key(asset).node_def.name:
        return f"failed ({passing}): {failure.error}"
    if failure.step.startswith(f"{name}_"):
        return f"did not pass its check {failure.step.removeprefix(f'{name}_')}"
    return ""
