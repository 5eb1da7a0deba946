"""What officers decide about requests, their time limits, and the warnings before one passes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration.defs.privacy.deadlines import privacy_deadlines, privacy_deadlines_sensor
from privacy import decisions, requests, tombstones
from privacy.database import Role, connect
from privacy.decisions import DecisionRefusedError
from privacy.privacy_request import ExtensionReason, RejectionGround
from privacy.requests import RequestKind, RequestStatus
from privacy.settings import PROJECT_ROOT
from privacy.subject_reference import issue
from serving.request_metrics import rendered_requests
from tests.integration.people.test_requesters import PATH, officer  # noqa: F401 (a fixture)
from tests.integration.people.test_routes import Client


def change(statement: str, *values: Any) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(statement, list(values))


def due_in(request: requests.PrivacyRequest, days: float) -> None:
    change(
        "update requests.privacy_requests set expected_completion_time = now() + %s where request_id = %s",
        timedelta(days=days),
        request.request_id,
    )


def test_an_erasure_in_doubt_does_nothing_before_it_is_resumed(people) -> None:
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test", check_identity=True)
    assert request.status is RequestStatus.IDENTITY_CHECK
    requests.process_open()
    assert requests.get(request.request_id).steps() == []
    assert tombstones.is_erased([people.leaver]) == [False]
    change(
        "update requests.privacy_requests set detail = detail || jsonb_build_object('paused_since', now() - interval '3 days')"
    )

    resumed = decisions.resume(request.request_id, "test")

    later = resumed.expected_completion_time - request.expected_completion_time
    assert timedelta(days=3) <= later < timedelta(days=3, minutes=1)
    assert tombstones.is_erased([people.leaver]) == [True], "what serving reads is gone at once"
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED


def test_what_has_begun_can_be_neither_paused_nor_rejected(people) -> None:
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    for decide in (
        lambda: decisions.check_identity(request.request_id, "test"),
        lambda: decisions.reject(request.request_id, RejectionGround.LEGAL_CLAIMS, "test"),
    ):
        with pytest.raises(DecisionRefusedError, match="has begun"):
            decide()


def test_a_rejected_request_keeps_its_ground_and_nothing_of_its_subject(people) -> None:
    request, _ = requests.create(RequestKind.ACCESS, people.leaver, "test")
    rejected = decisions.reject(request.request_id, RejectionGround.EXCESSIVE, "test")
    assert (rejected.status, rejected.ground) == (RequestStatus.REJECTED, RejectionGround.EXCESSIVE)
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select detail ? 'subject' from requests.privacy_requests"
        ).fetchone()
        audited = connection.execute("select action from audit.log order by entry_id").fetchall()
    assert row == (False,)
    assert audited[-1] == ("request rejected (excessive)",)
    requests.process_open()
    assert requests.get(request.request_id).status is RequestStatus.REJECTED
    with pytest.raises(requests.ExportUnavailableError, match="rejected"):
        requests.export_of(request.request_id)
    _, new = requests.create(RequestKind.ACCESS, people.leaver, "test")
    assert new


def test_the_time_limit_is_a_month_and_two_more_once_within_it(people) -> None:
    request, _ = requests.create(RequestKind.ACCESS, people.leaver, "test")
    limit = request.expected_completion_time - request.created
    assert timedelta(days=28) <= limit <= timedelta(days=31)
    extended = decisions.extend(request.request_id, ExtensionReason.COMPLEXITY, "test")
    more = extended.expected_completion_time - request.expected_completion_time
    assert timedelta(days=59) <= more <= timedelta(days=62)
    with pytest.raises(DecisionRefusedError, match="once"):
        decisions.extend(request.request_id, ExtensionReason.COMPLEXITY, "test")
    late, _ = requests.create(RequestKind.ACCESS, people.stayer, "test")
    due_in(late, -1)
    with pytest.raises(DecisionRefusedError, match="month has passed"):
        decisions.extend(late.request_id, ExtensionReason.COMPLEXITY, "test")


def test_officers_decide_over_http(officer: Client, people) -> None:  # noqa: F811
    body = {"kind": "erasure", "subject_ref": issue(people.leaver), "identity_check": True}
    made = officer.post(PATH, json=body).json()
    assert made["status"] == "identity_check"
    assert {asset["state"] for asset in made["assets"]} == {"pending"}
    one = f"{PATH}/{made['request_id']}"
    extended = officer.request("PATCH", one, json={"action": "extend", "reason": "complexity"})
    assert extended.json()["extension"] == "complexity"
    listed = officer.get(PATH).json()["requests"]
    assert [request["request_id"] for request in listed] == [made["request_id"]]
    rejected = officer.request(
        "PATCH", one, json={"action": "reject", "ground": "identity_not_confirmed"}
    )
    assert rejected.json()["status"] == "rejected"
    assert officer.request("PATCH", one, json={"action": "resume"}).status_code == 409
    assert officer.request("PATCH", one, json={"action": "forget"}).status_code == 422
    assert officer.get(PATH).json()["requests"] == []


def test_the_state_of_each_asset_is_told(officer: Client, people) -> None:  # noqa: F811
    body = {"kind": "erasure", "subject_ref": issue(people.leaver)}
    made = officer.post(PATH, json=body).json()
    states = {asset["asset"]: asset["state"] for asset in made["assets"]}
    assert states["shop/orders"] == "pending"
    assert states["platform/tombstones"] == "done"
    requests.process_open()
    report = officer.get(f"{PATH}/{made['request_id']}").json()
    assert {asset["state"] for asset in report["assets"]} == {"done"}
    assert {"shop/orders", "lake/interactions"} <= {asset["asset"] for asset in report["assets"]}


def test_a_request_that_is_due_fails_a_run_a_day_and_is_a_metric(people) -> None:
    instance = dg.DagsterInstance.ephemeral()
    request, _ = requests.create(RequestKind.ACCESS, people.leaver, "test")
    assert isinstance(privacy_deadlines_sensor(), dg.SkipReason)
    assert privacy_deadlines.execute_in_process(instance=instance).success
    assert b'selvedge_privacy_requests{status="received"} 1' in rendered_requests()

    due_in(request, 6.5)

    asked = privacy_deadlines_sensor()
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == f"deadlines-{datetime.now(UTC):%Y-%m-%d}"
    result = privacy_deadlines.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    events = " ".join(str(record) for record in instance.all_logs(result.run_id))
    assert f"{request.request_id} (received, 6 days left)" in events
    assert people.leaver not in events
    assert b"selvedge_privacy_request_days_left 6.5000" in rendered_requests()
    requests.process(request.request_id)
    assert b"days_left" not in rendered_requests()


def test_alerts_ask_for_metrics_that_exist(people) -> None:
    requests.create(RequestKind.ACCESS, people.leaver, "test")
    rules = yaml.safe_load((PROJECT_ROOT / "serving" / "monitoring" / "alerts.yml").read_text())
    shown = rendered_requests().decode()
    for rule in rules["groups"][0]["rules"]:
        (name,) = {
            word
            for word in ("selvedge_privacy_request_days_left", "selvedge_privacy_requests")
            if word in rule["expr"]
        }
        assert f"\n# TYPE {name} gauge" in f"\n{shown}"
        assert rule["annotations"]["summary"]
