"""A corrected identifier leads to the person, and a corrected age counts, at once; nobody learns from it who is a customer."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
import redis

from consent import ledger, masks
from consent.masks import mask_key
from privacy import decisions, registry, requests
from privacy.contracts import Purpose
from privacy.database import Role, connect
from privacy.identifiers import EMAIL, PHONE
from privacy.rectification import Corrections
from privacy.request_seals import subject_of
from privacy.requester import development_token
from privacy.requests import RequestKind, RequestStatus
from privacy.stores import handler_for
from privacy.subject_reference import issue
from privacy.vault import CUSTOMER_NUMBER, IdentifierConflictError, Vault
from serving.auth import Scope, api_keys
from tests.integration.people.conftest import NOW, People
from tests.integration.people.test_requesters import PATH, _app
from tests.integration.people.test_routes import Client

CHILD, ADULT = date(NOW.year - 13, 5, 17), date(NOW.year - 36, 2, 3)
OLD, NEW, PHONE_NUMBER = "quilla@old.example", "quilla@new.example", "+49 30 12345678"


@pytest.fixture
def officer(people: People) -> Client:
    return Client(_app(), api_keys()[Scope.PRIVACY])


@pytest.fixture
def storefront(people: People) -> Client:
    return Client(_app(), api_keys()[Scope.STOREFRONT])


def correct(pseudonym: str, **values: Any) -> requests.PrivacyRequest:
    request, _ = requests.submit(
        RequestKind.RECTIFICATION, pseudonym, "test", corrections=Corrections(**values)
    )
    return request


def held(key: str, pseudonym: str) -> int:
    contract = registry.load().get(key)
    return handler_for(contract).find(contract, [pseudonym]).get(pseudonym, 0)


def personalised(pseudonym: str) -> bool:
    return masks.refresh(pseudonym).serves(Purpose.PERSONALISATION, "models/lightfm")


@pytest.mark.usefixtures("_nobody_is_a_minor")
def test_a_corrected_birth_date_of_a_minor_stops_personalisation_at_once(
    people: People, redis_client: "redis.Redis"
) -> None:
    assert personalised(people.leaver)
    with connect(Role.PRIVACY) as connection:
        connection.execute("update consent.trained_models set trained_at = clock_timestamp()")

    request = correct(people.leaver, birth_date=CHILD)

    assert request.status is RequestStatus.COMPLETED, request.unfinished
    assert not redis_client.exists(mask_key(people.leaver)), "without a mask nobody is known"
    assert not personalised(people.leaver)
    assert ledger.current(people.leaver) == frozenset()
    for key in ("platform/session_items", "platform/seen_events", "features/subject_profile"):
        assert held(key, people.leaver) == 0, key
        assert held(key, people.stayer) > 0, key
    assert held("platform/models_due", people.leaver) == 1, "the next training is without them"
    assert personalised(people.stayer)


@pytest.mark.usefixtures("_nobody_is_a_minor")
def test_who_turns_out_to_be_of_age_is_personalised_again(people: People) -> None:
    correct(people.leaver, birth_date=CHILD)
    assert not personalised(people.leaver)
    assert held("platform/minors", people.leaver) == 1
    correct(people.leaver, birth_date=ADULT)
    assert personalised(people.leaver)
    assert held("platform/minors", people.leaver) == 0


@pytest.mark.usefixtures("_nobody_is_a_minor")
def test_a_corrected_country_counts_with_the_known_birth_date(people: People) -> None:
    """At fourteen one agrees for oneself in Austria, and not in Germany."""
    with connect(Role.PRIVACY) as connection:
        connection.execute("update shop.customers set signed_up_at = %s, country = 'AT'", [NOW])
    correct(people.leaver, birth_date=date(NOW.year - 15, 1, 1))
    assert personalised(people.leaver)
    correct(people.leaver, country="DE")
    assert not personalised(people.leaver)
    correct(people.leaver, country="AT")
    assert personalised(people.leaver)


def test_a_country_alone_says_nothing_of_an_unknown_age(people: People) -> None:
    before = held("platform/minors", people.leaver)
    assert before == 1
    assert correct(people.leaver, country="FR").status is RequestStatus.COMPLETED
    assert held("platform/minors", people.leaver) == before


@pytest.fixture
def _nobody_is_a_minor(people: People) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute("truncate consent.minors, consent.models_due")
        connection.execute("update shop.customers set signed_up_at = %s", [NOW])


def _led(pseudonym: str) -> list[tuple[str, str]]:
    return Vault().held_identifiers([pseudonym])


def test_the_new_identifiers_lead_to_the_person_and_the_old_ones_no_longer_do(
    people: People,
) -> None:
    vault = Vault()
    vault.link(people.leaver, EMAIL, OLD)
    vault.link(people.stayer, EMAIL, "odo@example.org")

    request = correct(people.leaver, email=NEW, phone=PHONE_NUMBER, customer_number="C-7")

    assert request.status is RequestStatus.COMPLETED, request.unfinished
    new = ((EMAIL, NEW.upper()), (PHONE, PHONE_NUMBER), (CUSTOMER_NUMBER, "C-7"))
    assert [vault.lookup(*identifier) for identifier in new] == [people.leaver] * 3
    assert vault.lookup(EMAIL, OLD) is None
    assert vault.lookup(CUSTOMER_NUMBER, "C-1001") is None
    assert _led(people.stayer) == [(CUSTOMER_NUMBER, "C-1002"), (EMAIL, "odo@example.org")]
    before = _led(people.leaver)
    assert len(before) == 3
    correct(people.leaver, email=NEW)
    assert _led(people.leaver) == before


def test_an_identifier_of_somebody_else_is_refused_and_nothing_is_changed(people: People) -> None:
    vault = Vault()
    vault.link(people.leaver, EMAIL, OLD)
    vault.link(people.stayer, PHONE, PHONE_NUMBER)
    before = [(_led(name), vault.reveal(name)) for name in people.both]

    with pytest.raises(IdentifierConflictError, match="leads to another subject") as refused:
        correct(people.leaver, email=NEW, phone=PHONE_NUMBER, city="Bonn")

    assert "12345678" not in str(refused.value)
    assert people.stayer not in str(refused.value)
    assert [(_led(name), vault.reveal(name)) for name in people.both] == before
    assert requests.listed(open_only=False) == []
    # The check at the door may be overtaken: the vault refuses in the step as well, and the rest is not done without it.
    with pytest.raises(IdentifierConflictError):
        vault.move(people.leaver, {EMAIL: NEW, PHONE: PHONE_NUMBER})
    assert [(_led(name), vault.reveal(name)) for name in people.both] == before


def test_a_conflict_that_comes_between_leaves_the_request_incomplete_and_all_as_it_was(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vault().link(people.stayer, EMAIL, NEW)
    with monkeypatch.context() as overtaken:
        overtaken.setattr(Vault, "refuse_conflicts", lambda *_: None)
        request = correct(people.leaver, email=NEW, country="FR")
    assert request.status is RequestStatus.INCOMPLETE
    assert any("IdentifierConflictError" in why for why in request.unfinished)
    assert Vault().lookup(EMAIL, NEW) == people.stayer
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select country from shop.customers where pseudonym = %s", [people.leaver]
        ).fetchone()
    assert row == ("DE",)


def test_an_administrator_is_told_of_a_conflict_and_not_whose_it_is(
    officer: Client, people: People
) -> None:
    Vault().link(people.stayer, EMAIL, NEW)
    body = {
        "kind": "rectification",
        "subject_ref": issue(people.leaver),
        "corrections": {"email": NEW},
    }
    refused = officer.post(PATH, json=body)
    assert refused.status_code == 409
    assert "This email leads to another subject" in refused.json()["detail"]
    assert NEW not in refused.text
    assert people.stayer not in refused.text
    # Whether anything is held about the person whose it would become, the answer does not say.
    unknown = officer.post(PATH, json=body | {"subject_ref": issue("f" * 32)})
    assert [_shape(answer.json()) for answer in (refused, unknown)] == [_shape(refused.json())] * 2


def _shape(document: Mapping[str, Any]) -> dict[str, Any]:
    """A report or problem without what differs between any two of them."""
    varying = ("request_id", "created", "expected_completion_time", "paused_since", "instance")
    return {name: value for name, value in document.items() if name not in varying}


def _asked(storefront: Client, corrections: dict[str, Any]) -> Any:
    token = development_token(RequestKind.RECTIFICATION, "C-1001")
    body = {"kind": "rectification", "corrections": corrections}
    return storefront.post(PATH, json=body, headers={"Selvedge-Requester": token})


def test_a_person_gets_one_answer_whoever_has_the_address(
    storefront: Client, officer: Client, people: People
) -> None:
    vault = Vault()
    vault.link(people.stayer, EMAIL, "taken@new.example")
    before = [(_led(name), vault.reveal(name)) for name in people.both]

    answers = [_asked(storefront, {"email": address}) for address in ("taken@new.example", NEW)]

    assert [answer.status_code for answer in answers] == [202, 202]
    taken, free = (answer.json() for answer in answers)
    assert _shape(taken) == _shape(free)
    assert taken["status"] == "identity_check"
    assert (taken["steps"], taken["assets"]) == ([], [])
    assert [(_led(name), vault.reveal(name)) for name in people.both] == before
    for made in (taken, free):
        token = development_token(RequestKind.RECTIFICATION, "C-1001")
        read = storefront.get(f"{PATH}/{made['request_id']}", headers={"Selvedge-Requester": token})
        assert _shape(read.json()) == _shape(free)

    refused = officer.request("PATCH", f"{PATH}/{taken['request_id']}", json={"action": "resume"})
    assert refused.status_code == 409
    assert "leads to another subject" in refused.json()["detail"]
    with pytest.raises(decisions.DecisionRefusedError, match="leads to another subject"):
        decisions.resume(taken["request_id"], "test")
    assert requests.get(taken["request_id"]).status is RequestStatus.IDENTITY_CHECK
    done = officer.request("PATCH", f"{PATH}/{free['request_id']}", json={"action": "resume"})
    assert done.json()["status"] == "completed"
    assert vault.lookup(EMAIL, NEW) == people.leaver
    assert vault.lookup(EMAIL, "taken@new.example") == people.stayer
    ground = {"action": "reject", "ground": "identity_not_confirmed"}
    rejected = officer.request("PATCH", f"{PATH}/{taken['request_id']}", json=ground)
    assert rejected.json()["status"] == "rejected"
    assert subject_of(taken["request_id"]) is None


def test_a_person_does_not_decide_which_customer_they_are(
    storefront: Client, people: People
) -> None:
    for number in ("C-1002", "C-unheard-of"):
        answer = _asked(storefront, {"customer_number": number})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [
            "body/corrections/customer_number"
        ]
    # What leads to nobody else waits for no officer.
    assert _asked(storefront, {"city": "Bonn"}).json()["status"] == "completed"


def test_why_a_step_failed_is_told_to_officers_alone(
    storefront: Client, officer: Client, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vault().link(people.stayer, EMAIL, NEW)
    made = _asked(storefront, {"email": NEW}).json()
    with monkeypatch.context() as overtaken:
        overtaken.setattr(Vault, "refuse_conflicts", lambda *_: None)
        decisions.resume(made["request_id"], "test")
    token = development_token(RequestKind.RECTIFICATION, "C-1001")
    path = f"{PATH}/{made['request_id']}"
    theirs = storefront.get(path, headers={"Selvedge-Requester": token}).json()
    assert theirs["unfinished"] == ["platform/vault (rectify)"]
    assert [step["error"] for step in theirs["steps"]] == [None]
    assert "leads to another subject" in officer.get(path).json()["unfinished"][0]


@pytest.mark.usefixtures("_nobody_is_a_minor")
def test_the_route_writes_the_mask_anew(
    officer: Client, people: People, redis_client: "redis.Redis"
) -> None:
    for born, agreed in ((CHILD, False), (ADULT, True)):
        body = {
            "kind": "rectification",
            "subject_ref": issue(people.leaver),
            "corrections": {"birth_date": born.isoformat()},
        }
        assert officer.post(PATH, json=body).json()["status"] == "completed"
        mask = masks.masks_of(redis_client, [people.leaver])[people.leaver]
        assert mask.serves(Purpose.PERSONALISATION, "models/lightfm") is agreed
