"""One request that cannot be worked on says so and holds up no other; erasures come before access."""

import json

import pytest
from typer.testing import CliRunner

from orchestration.commands.privacy import app
from privacy import fingerprints, requests
from privacy.database import Role, connect
from privacy.keys import UnknownKeyError
from privacy.requests import RequestKind, RequestStatus
from privacy.vault import Vault, VaultError


def change(statement: str, *values: object) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(statement, list(values))


@pytest.mark.parametrize(
    "sealed", ["1.AAAA", "not sealed", "99.AAAA", None], ids=["short", "no text", "no key", "none"]
)
def test_a_request_whose_seal_is_broken_is_incomplete_alone(people, sealed: str | None) -> None:
    broken, _ = requests.create(RequestKind.ERASURE, people.leaver, "test")
    sound, _ = requests.create(RequestKind.ACCESS, people.stayer, "test")
    change(
        "update requests.privacy_requests set detail = jsonb_strip_nulls(jsonb_build_object('subject', %s::text)) "
        "where request_id = %s",
        sealed,
        broken.request_id,
    )

    stands = {request.request_id: request for request in requests.process_open()}

    assert stands[broken.request_id].status is RequestStatus.INCOMPLETE
    [reason] = stands[broken.request_id].unfinished
    assert reason.startswith("platform/privacy_requests (open): ")
    assert people.leaver not in reason
    assert stands[sound.request_id].status is RequestStatus.COMPLETED


@pytest.mark.parametrize("error", [VaultError, UnknownKeyError, fingerprints.SealError])
def test_an_export_that_cannot_be_encrypted_holds_up_nobody_else(
    people, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    first, _ = requests.create(RequestKind.ACCESS, people.leaver, "test")
    second, _ = requests.create(RequestKind.ACCESS, people.stayer, "test")
    original = Vault.encrypt_for

    def refused(vault: Vault, pseudonym: str, column: str, plaintext: str | bytes) -> bytes:
        if pseudonym == people.leaver:
            raise error(f"no key of {pseudonym}")
        return original(vault, pseudonym, column, plaintext)

    monkeypatch.setattr(Vault, "encrypt_for", refused)
    requests.process_open()
    tried = requests.get(first.request_id)
    assert tried.status is RequestStatus.INCOMPLETE
    assert tried.unfinished == (
        f"platform/privacy_requests (open): {error.__name__}: no key of (pseudonym)",
    )
    assert requests.get(second.request_id).status is RequestStatus.COMPLETED
    monkeypatch.undo()
    assert requests.process(first.request_id).status is RequestStatus.COMPLETED


def test_an_erasure_asked_for_after_an_access_is_worked_on_before_it(people) -> None:
    access, _ = requests.create(RequestKind.ACCESS, people.leaver, "test")
    erasure, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    requests.process_open()
    assert requests.get(erasure.request_id).status is RequestStatus.COMPLETED
    assert requests.get(access.request_id).status is RequestStatus.CANCELLED


def test_open_requests_are_listed_without_whom_they_are_about(people) -> None:
    access, _ = requests.create(RequestKind.ACCESS, people.leaver, "test")
    shown = CliRunner().invoke(app, ["requests", "--json"])
    assert shown.exit_code == 0
    assert str(access.request_id) in {row["request_id"] for row in json.loads(shown.output)}
    assert people.leaver not in shown.output
    requests.process(access.request_id)
    assert access.request_id not in {
        request.request_id for request in requests.listed(open_only=True)
    }
    assert access.request_id in {request.request_id for request in requests.listed(open_only=False)}
