"""Failed runs and late assets are told, with their cause, at least once and not for ever; no message of an error leaves the platform."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr, ValidationError

from orchestration import retries
from orchestration.alerts import Alert, AlertError, AlertState, deliver, news
from orchestration.lateness import late_assets
from orchestration.settings import OrchestrationSettings, remember_source, remembered_source
from privacy.settings import PlatformSettings
from tests.unit.runs.made import asset

SECRET = "qx-personal"
LONG_AFTER = timedelta(days=2)
failing: dict[str, Exception] = {}


def _asset(name: str, *deps: str) -> dg.AssetsDefinition:
    def fail(name: str) -> None:
        if name in failing:
            raise failing[name]

    return asset(name, *deps, first=fail)


@dg.asset_check(asset=["runs", "source"], blocking=True)
def plausible() -> dg.AssetCheckResult:
    """Fails where the test says so."""
    return dg.AssetCheckResult(passed="plausible" not in failing)


DEFINITIONS = dg.Definitions(
    [_asset("source"), _asset("model", "source"), _asset("online", "model"), _asset("apart")],
    asset_checks=[plausible],
    jobs=[dg.define_asset_job("whole", dg.AssetSelection.all())],
    executor=dg.in_process_executor,
)
GRAPH = DEFINITIONS.resolve_asset_graph()


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    monkeypatch.setattr(retries, "PAUSES", (0.0,))
    failing.clear()
    return dg.DagsterInstance.ephemeral()


def _run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = DEFINITIONS.resolve_job_def("whole")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def _late(instance: dg.DagsterInstance, after: timedelta = LONG_AFTER) -> dict[str, str]:
    found = late_assets(instance, GRAPH, datetime.now(UTC) + after)
    return {each.asset.removeprefix("runs/"): each.cause for each in found}


def test_nothing_is_late_within_the_window(platform: dg.DagsterInstance) -> None:
    _run(platform)
    assert _late(platform, timedelta(hours=25)) == {}


def test_what_no_run_was_asked_for_says_so(platform: dg.DagsterInstance) -> None:
    _run(platform)
    assert set(_late(platform)) == {"source", "model", "online", "apart"}
    assert {cause.split(":")[0] for cause in _late(platform).values()} == {
        "no run was asked for since"
    }


def test_what_failed_and_what_waits_for_it_are_told_apart(platform: dg.DagsterInstance) -> None:
    _run(platform)
    failing["model"] = KeyError(SECRET)
    _run(platform)
    late = _late(platform)
    assert late["model"] == "failed (permanent): KeyError"
    assert late["online"] == "waits for runs/model, which failed (permanent): KeyError"
    assert list(late).index("model") < list(late).index("online")


def test_a_failure_that_passes_by_itself_is_told_as_such(platform: dg.DagsterInstance) -> None:
    _run(platform)
    failing["model"] = ConnectionResetError(SECRET)
    _run(platform)
    assert _late(platform)["model"].startswith("failed (transient)")


def test_what_a_check_stopped_names_the_check(platform: dg.DagsterInstance) -> None:
    _run(platform)
    failing["plausible"] = ValueError()
    _run(platform)
    cause = "did not pass its check plausible"
    assert _late(platform)["model"] == f"waits for runs/source, which {cause}"


def _state() -> AlertState:
    return AlertState(since=datetime.now(UTC) - timedelta(hours=1))


def test_a_failed_run_is_told_once_and_its_recovery_too(platform: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    _run(platform)
    quiet, state = news(platform, GRAPH, _state(), now)
    assert quiet == []
    failing["model"] = KeyError(SECRET)
    failed = _run(platform)
    [alert], state = news(platform, GRAPH, state, datetime.now(UTC))
    assert (alert.kind, alert.subject, alert.id) == ("run_failed", "whole", failed.run_id)
    assert alert.details["errors"] == ["KeyError"]
    assert alert.details["transient"] is False
    assert SECRET not in json.dumps(alert.__dict__)
    again, state = news(platform, GRAPH, state, datetime.now(UTC))
    assert again == []
    failing.clear()
    _run(platform)
    [recovered], state = news(platform, GRAPH, state, datetime.now(UTC))
    assert recovered.kind == "run_recovered"
    assert news(platform, GRAPH, state, datetime.now(UTC))[0] == []


def test_a_run_that_will_be_taken_up_again_is_not_told(platform: dg.DagsterInstance) -> None:
    failing["source"] = KeyError(SECRET)
    failed = _run(platform)
    platform.add_run_tags(failed.run_id, {"dagster/will_retry": "true"})
    assert news(platform, GRAPH, _state(), datetime.now(UTC))[0] == []


def test_an_asset_that_becomes_late_is_told_until_it_is_fresh(platform: dg.DagsterInstance) -> None:
    _run(platform)
    later = datetime.now(UTC) + LONG_AFTER
    told, state = news(platform, GRAPH, _state(), later)
    assert {alert.subject for alert in told} == {
        f"runs/{name}" for name in ("source", "model", "online", "apart")
    }
    assert {alert.kind for alert in told} == {"asset_late"}
    assert news(platform, GRAPH, state, later)[0] == []
    fresh, _ = news(platform, GRAPH, state, datetime.now(UTC))
    assert {alert.kind for alert in fresh} == {"asset_fresh"}


class Receiver:
    """A webhook: what it got, and what it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[int] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = owner.answers.pop(0) if owner.answers else 204
                if status < 300:
                    owner.got.append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Print nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = SecretStr(f"http://127.0.0.1:{self.server.server_port}/hook?token={SECRET}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    webhook = Receiver()
    thread = Thread(target=webhook.server.serve_forever)
    thread.start()
    yield webhook
    webhook.server.shutdown()
    webhook.server.server_close()
    thread.join()


ALERTS = [
    Alert(str(n), "asset_late", f"a{n} is late.", f"a{n}", "2026-03-01T04:00:00+00:00")
    for n in range(2)
]


def test_alerts_reach_the_webhook_in_order(receiver: Receiver) -> None:
    deliver(ALERTS, receiver.url)
    assert [each["text"] for each in receiver.got] == ["a0 is late.", "a1 is late."]
    assert set(receiver.got[0]) == {"id", "kind", "text", "subject", "at", "details"}


def test_what_the_webhook_refuses_is_an_error_without_its_address(receiver: Receiver) -> None:
    receiver.answers = [500]
    with pytest.raises(AlertError, match="answered 500") as error:
        deliver(ALERTS, receiver.url)
    assert SECRET not in str(error.value)
    assert receiver.got == []


def test_a_webhook_that_is_not_there_is_an_error_without_its_address() -> None:
    with pytest.raises(AlertError, match="does not answer") as error:
        deliver(ALERTS, SecretStr(f"http://127.0.0.1:9/{SECRET}"))
    assert SECRET not in str(error.value)


def test_an_alert_that_was_not_taken_is_sent_again(
    platform: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.defs import alerts as sensor
    from orchestration.settings import orchestration_settings

    monkeypatch.setenv("SELVEDGE_ALERT_WEBHOOK", receiver.url.get_secret_value())
    orchestration_settings.cache_clear()
    repository = DEFINITIONS.get_repository_def()
    cursor: str | None = None

    def tick() -> None:
        nonlocal cursor
        with dg.build_sensor_context(platform, cursor=cursor, repository_def=repository) as context:
            sensor.alerts(context)
            cursor = context.cursor

    try:
        tick()
        failing["source"] = KeyError(SECRET)
        _run(platform)
        receiver.answers = [503]
        with pytest.raises(AlertError):
            tick()
        assert receiver.got == []
        for _ in range(2):
            tick()
        assert [each["kind"] for each in receiver.got] == ["run_failed"]
    finally:
        orchestration_settings.cache_clear()


def test_the_webhook_is_a_secret_that_no_demo_keeps(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELVEDGE_ALERT_WEBHOOK", f"https://chat.test/{SECRET}")
    chosen = OrchestrationSettings()
    assert SECRET not in repr(chosen)
    remember_source(chosen)
    kept = settings.home / "source.json"
    try:
        assert "webhook" not in kept.read_text()
        assert remembered_source() is not None
    finally:
        kept.unlink()


def test_a_webhook_that_is_no_web_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELVEDGE_ALERT_WEBHOOK", "ftp://chat.test")
    with pytest.raises(ValidationError, match="must begin with https"):
        OrchestrationSettings()
