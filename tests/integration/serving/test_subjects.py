"""A subject reference stands for a customer number and tells nothing of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from privacy.subject_reference import open_reference
from privacy.vault import Vault
from serving.auth import Scope, api_keys

pytestmark = pytest.mark.anyio
ROUTE = "/v1/subjects/reference"


async def test_a_known_number_gives_a_reference_to_its_subject(
    api: httpx.AsyncClient, shop: Any
) -> None:
    response = await api.post(ROUTE, json={"subject_id": "700003", "kind": "customer_number"})
    assert response.status_code == 200
    document = response.json()
    assert open_reference(document["subject_ref"]) == shop.subject("700003")
    left = datetime.fromisoformat(document["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
    assert response.headers["cache-control"] == "no-store"


async def test_an_unknown_number_gives_a_reference_that_looks_the_same(
    api: httpx.AsyncClient, shop: Any
) -> None:
    known = (await api.post(ROUTE, json={"subject_id": "700003"})).json()
    unknown = (await api.post(ROUTE, json={"subject_id": "nobody-here"})).json()
    assert open_reference(unknown["subject_ref"]) not in shop.pseudonyms
    assert len(unknown["subject_ref"]) == len(known["subject_ref"])
    assert unknown.keys() == known.keys()


async def test_an_email_address_and_a_phone_number_lead_to_their_subject(
    api: httpx.AsyncClient, shop: Any
) -> None:
    vault, pseudonym = Vault(), shop.subject("700003")
    vault.link(pseudonym, "email", "Ada@Shop.Test")
    vault.link(pseudonym, "phone", "+49 30 99887766")
    for kind, text in (("email", " ada@shop.test"), ("phone", "030 / 998 877 66")):
        response = await api.post(ROUTE, json={"subject_id": text, "kind": kind})
        assert open_reference(response.json()["subject_ref"]) == pseudonym
    unknown = await api.post(ROUTE, json={"subject_id": "bob@shop.test", "kind": "email"})
    assert open_reference(unknown.json()["subject_ref"]) not in shop.pseudonyms


@pytest.mark.parametrize(("kind", "text"), [("email", "qx-no-address"), ("phone", "qx-12")])
async def test_what_is_no_identifier_of_its_kind_is_refused_without_repeating_it(
    api: httpx.AsyncClient, kind: str, text: str
) -> None:
    response = await api.post(ROUTE, json={"subject_id": text, "kind": kind})
    assert response.status_code == 422
    assert "qx" not in response.text
    assert "must" in response.json()["detail"]


async def test_the_privacy_centre_may_ask_too(api: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {api_keys()[Scope.PRIVACY]}"}
    response = await api.post(ROUTE, json={"subject_id": "700003"}, headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subject_id": ""},
        {"subject_id": None},
        {"subject_id": 700003},
        {"subject_id": "x" * 257},
        {"subject_id": "700003", "kind": "secret-kind"},
        {"subject_id": "700003", "secret-field": 1},
        ["700003"],
        "700003",
    ],
)
async def test_wrong_input_is_told_without_repeating_it(api: httpx.AsyncClient, body: Any) -> None:
    response = await api.post(ROUTE, json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"]
    assert "700003" not in response.text
    assert "secret-kind" not in response.text


async def test_without_a_key_nothing_is_told(api: httpx.AsyncClient) -> None:
    response = await api.post(
        ROUTE, json={"subject_id": "700003"}, headers={"Authorization": "Bearer wrong"}
    )
    assert response.status_code == 401
