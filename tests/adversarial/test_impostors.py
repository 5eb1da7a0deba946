"""Who is not who they say: forged, changed and foreign references, keys of another scope, and questions that would tell who is a customer."""

import base64
import secrets
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from privacy import requests
from privacy.subject_reference import issue
from serving.auth import Scope
from tests.adversarial.canaries import new_canaries
from tests.adversarial.whole_platform import Platform

ROUTE = "/v1/privacy-requests"


@pytest.fixture
def privacy(platform: Platform) -> Iterator[httpx.Client]:
    with platform.api(Scope.PRIVACY) as client:
        yield client


@pytest.fixture
def storefront(platform: Platform) -> Iterator[httpx.Client]:
    with platform.api(Scope.STOREFRONT) as client:
        yield client


def _body(reference: str) -> dict[str, str]:
    return {"kind": "erasure", "subject_ref": reference}


def _shape(answer: httpx.Response) -> tuple[int, object]:
    """An answer without what is random in it."""
    document = answer.json()
    for name in ("request_id", "created", "expected_completion_time", "instance", "subject_ref"):
        document.pop(name, None)
    return answer.status_code, document


def test_a_forged_changed_or_expired_reference_asks_for_nothing(
    platform: Platform, privacy: httpx.Client, storefront: httpx.Client
) -> None:
    [canary] = platform.take()
    name, true = platform.pseudonym(canary), platform.reference(storefront, canary)
    raw = bytearray(base64.urlsafe_b64decode(true + "=" * (-len(true) % 4)))
    forged = []
    for place in (0, 1, 5, 20, len(raw) - 1):
        changed = bytearray(raw)
        changed[place] ^= 1
        forged.append(base64.urlsafe_b64encode(changed).decode().rstrip("="))
    forged += [name, canary.customer_number, canary.email, issue(name, timedelta(seconds=-1))]
    forged += [base64.urlsafe_b64encode(secrets.token_bytes(len(raw))).decode().rstrip("=")]
    before = len(requests.listed(open_only=False))

    answers = [privacy.post(ROUTE, json=_body(reference)) for reference in forged]

    assert {answer.status_code for answer in answers} == {422}
    assert len({str(_shape(answer)) for answer in answers}) == 1, "no answer says what was wrong"
    assert not any(name in answer.text or canary.email in answer.text for answer in answers)
    assert len(requests.listed(open_only=False)) == before
    ranked = storefront.get("/v1/recommendations", headers={"Selvedge-Subject": true})
    assert ranked.json()["personalised"], "the true one still is who they are"


def test_the_storefronts_key_and_no_key_open_no_privacy_route(
    platform: Platform, storefront: httpx.Client
) -> None:
    [canary] = platform.take()
    reference = platform.reference(storefront, canary)
    assert storefront.post(ROUTE, json=_body(reference)).status_code == 422, (
        "no one else's reference"
    )
    assert storefront.post(ROUTE, json={"kind": "erasure"}).status_code == 401, "no token"
    assert storefront.get(ROUTE).status_code == 403
    with httpx.Client(base_url=storefront.base_url) as nobody:
        assert nobody.post(ROUTE, json=_body(reference)).status_code == 401
        assert nobody.get("/v1/assets").status_code == 401


def test_who_is_no_customer_gets_the_same_answers(
    platform: Platform, privacy: httpx.Client, storefront: httpx.Client
) -> None:
    """A customer, somebody unknown and somebody erased ask alike."""
    customer, erased = platform.take(2)
    platform.erase([erased])
    [stranger] = new_canaries(1)
    people = (customer, stranger, erased)
    references = [platform.reference(storefront, person) for person in people]
    assert len({len(reference) for reference in references}) == 1
    body = [{"kind": "access", "subject_ref": reference} for reference in references]
    shapes = {str(_shape(privacy.post(ROUTE, json=each))) for each in body}
    assert len(shapes) == 1


def test_a_replayed_request_is_the_same_request(
    platform: Platform, privacy: httpx.Client, storefront: httpx.Client
) -> None:
    [canary] = platform.take()
    body = {"kind": "access", "subject_ref": platform.reference(storefront, canary)}
    first, again = (privacy.post(ROUTE, json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["request_id"] == again.json()["request_id"]
