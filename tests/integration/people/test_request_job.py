"""Dagster starts one run for open privacy requests, and its logs say nothing of whom they are about."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from orchestration.defs.privacy.requests import (
    _due,
    _run_key,
    privacy_requests,
    privacy_requests_sensor,
)
from privacy import requests
from privacy.requests import RequestKind, RequestStatus
from privacy.settings import PlatformSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def ask(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    answer = privacy_requests_sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def test_the_sensor_asks_for_one_run_while_requests_are_open(
    people, instance: dg.DagsterInstance
) -> None:
    assert isinstance(ask(instance), dg.SkipReason)
    requests.create(RequestKind.ACCESS, people.leaver, "test")
    first, second = ask(instance), ask(instance)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.run_key == second.run_key  # Dagster starts one run for it


def test_the_sensor_waits_for_a_run_under_way(people, instance: dg.DagsterInstance) -> None:
    requests.create(RequestKind.ACCESS, people.leaver, "test")
    instance.create_run_for_job(privacy_requests, status=dg.DagsterRunStatus.STARTED)
    assert isinstance(ask(instance), dg.SkipReason)


def test_the_job_finishes_open_requests_and_logs_no_pseudonym(
    people, instance: dg.DagsterInstance
) -> None:
    erasure, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    access, _ = requests.create(RequestKind.ACCESS, people.stayer, "test")

    result = privacy_requests.execute_in_process(instance=instance)

    assert result.success
    for request in (erasure, access):
        assert requests.get(request.request_id).status is RequestStatus.COMPLETED
    events = " ".join(str(record) for record in instance.all_logs(result.run_id))
    assert str(erasure.request_id) in events
    assert not any(name in events for name in people.both)
    assert isinstance(ask(instance), dg.SkipReason)


def test_a_failing_store_fails_the_run_without_saying_of_whom(
    people, servers: PlatformSettings, instance: dg.DagsterInstance
) -> None:
    stray = servers.home / "stray.txt"
    stray.write_text(people.leaver)
    try:
        requests.submit(RequestKind.ERASURE, people.leaver, "test")
        result = privacy_requests.execute_in_process(instance=instance, raise_on_error=False)
    finally:
        stray.unlink()
    assert not result.success
    events = " ".join(str(record) for record in instance.all_logs(result.run_id))
    assert "1 of 1 privacy requests are incomplete" in events
    assert people.leaver not in events
    assert isinstance(ask(instance), dg.SkipReason)  # waits before it tries again


def test_an_incomplete_request_is_tried_again_ever_more_rarely() -> None:
    waits = [
        next(
            minutes
            for minutes in range(1, 100)
            if _due(("r", attempts, NOW), NOW + timedelta(minutes=minutes))
        )
        for attempts in (1, 2, 3, 7, 20)
    ]
    assert waits == [1, 2, 4, 60, 60]


def test_the_run_key_changes_with_requests_attempts_and_time() -> None:
    keys = {
        _run_key([("a", 0, None)], NOW),
        _run_key([("a", 1, None)], NOW),
        _run_key([("a", 0, None), ("b", 0, None)], NOW),
        _run_key([("a", 0, None)], NOW + timedelta(minutes=3)),
    }
    assert len(keys) == 4
    assert _run_key([("a", 0, None)], NOW) == _run_key([("a", 0, None)], NOW + timedelta(minutes=1))
