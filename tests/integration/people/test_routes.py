"""The routes of assets and privacy requests: for every asset, for anybody, without telling who is a customer."""

import asyncio
import io
import secrets
import zipfile
from datetime import timedelta
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI
from psycopg import sql

from consent import ledger, masks, objections
from consent.masks import mask_key
from orchestration.defs.consent.masks import CONTRACT as MASKS
from orchestration.defs.ingest.contracts import CONTRACTS as INGEST
from privacy import registry, requests
from privacy.database import Role, connect
from privacy.rectification import Corrections
from privacy.requests import RequestKind, RequestStatus
from privacy.stores import handler_for
from privacy.subject_reference import issue
from serving.api import assets, privacy_requests
from serving.auth import Scope, api_keys
from serving.problems import add_problem_handlers
from tests.integration.people.conftest import CONTRACTS, document_of

LEDGER = INGEST["consents"]


class Client:
    """Calls the app in this process, one request at a time."""

    def __init__(self, app: FastAPI, key: str) -> None:
        self._app = app
        self._headers = {"Authorization": f"Bearer {key}"}

    def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, json: Any = None
    ) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://selvedge", headers=self._headers, timeout=60
            ) as client:
                return await client.request(method, path, headers=headers, json=json)

        return asyncio.run(call())

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("POST", path, **arguments)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)


@pytest.fixture
def client(people) -> Client:
    api_keys.cache_clear()
    app = FastAPI()
    add_problem_handlers(app)
    app.include_router(assets.router)
    app.include_router(privacy_requests.router)
    return Client(app, api_keys()[Scope.PRIVACY])


def held(key: str, pseudonym: str) -> int:
    contract = registry.load().get(key)
    return handler_for(contract).find(contract, [pseudonym]).get(pseudonym, 0)


def test_every_asset_is_listed_with_its_contract(client: Client) -> None:
    listed = client.get("/v1/assets").json()["assets"]
    assert [asset["key"] for asset in listed] == [c.key for c in registry.load().contracts]
    products = next(asset for asset in listed if asset["key"] == "shop/products")
    assert products["holds_subjects"] is False
    assert products["reason"] == "The catalogue describes products."


def test_every_asset_lets_a_person_opt_out(client: Client, people) -> None:
    for asset in client.get("/v1/assets").json()["assets"]:
        key = asset["key"]
        body = {"subject_ref": issue(people.leaver)}
        answer = client.post(f"/v1/assets/{key}/opt-out", json=body)
        if key.startswith("platform/") and asset["holds_subjects"]:
            assert answer.status_code == 409
            continue
        assert answer.status_code == 200, answer.text
        assert answer.json()["withheld"] is asset["holds_subjects"]
    with connect(Role.CONSENT) as connection:
        rows = connection.execute("select pseudonym, asset_key from consent.withheld").fetchall()
    assert {row[0] for row in rows} == {people.leaver}
    assert len(rows) == sum(
        contract.holds_subjects for contract in registry.load().contracts
    ) - len([c for c in registry.PLATFORM_CONTRACTS if c.holds_subjects])


def test_an_opt_out_of_a_view_takes_its_online_features_at_once(client: Client, people) -> None:
    body = {"subject_ref": issue(people.leaver)}
    answer = client.post("/v1/assets/features/subject_profile/opt-out", json=body).json()
    assert answer["removed"] == 1
    assert held("features/subject_profile", people.leaver) == 0
    assert held("features/subject_profile", people.stayer) == 1
    later = client.post("/v1/assets/lake/interactions/opt-out", json=body).json()
    assert (later["removed"], later["held"]) == (0, 50)
    assert "materialisation" in later["reason"]


def test_every_asset_can_be_asked_to_erase_a_person(client: Client, people) -> None:
    for asset in client.get("/v1/assets").json()["assets"]:
        key = asset["key"]
        answer = client.delete(f"/v1/assets/{key}/subjects/{issue(people.leaver)}")
        if key.startswith("platform/") and asset["holds_subjects"]:
            assert answer.status_code == 409
            continue
        assert answer.status_code == 200, answer.text
        outcome = answer.json()
        assert outcome["held"] == 0 or "view" in outcome["reason"]
    for key in ("shop/orders", "lake/interactions", "models/lightfm", "staging/stg_orders"):
        assert held(key, people.leaver) == 0
        assert held(key, people.stayer) > 0


@pytest.fixture
def consent_assets(people) -> None:
    registry.publish((*CONTRACTS, LEDGER, MASKS))


@pytest.mark.usefixtures("consent_assets")
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_leaving_the_ledger_withdraws_every_consent_and_keeps_the_proof(
    client: Client, people, redis_client: "redis.Redis", method: str
) -> None:
    masks.refresh(people.leaver)
    before = len(ledger.history(people.leaver))
    assert ledger.current(people.leaver)

    answer = leave(client, method, "consent/records", people.leaver)

    assert answer["reason"].startswith("Every consent is withdrawn. The proof of consent")
    assert (answer["withheld"], answer["removed"]) == (False, 0)
    assert ledger.current(people.leaver) == frozenset()
    assert len(ledger.history(people.leaver)) == answer["held"] > before
    assert redis_client.hget(mask_key(people.leaver), "mask") == b"0"
    assert objections.withheld("consent/records") == frozenset()
    assert ledger.current(people.stayer)


@pytest.mark.usefixtures("consent_assets")
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_leaving_the_masks_leaves_an_empty_one(
    client: Client, people, redis_client: "redis.Redis", method: str
) -> None:
    masks.refresh(people.leaver)
    answer = leave(client, method, "consent/masks", people.leaver)
    assert (answer["withheld"], answer["held"]) == (True, 1)
    assert redis_client.hget(mask_key(people.leaver), "mask") == b"0"


@pytest.mark.usefixtures("consent_assets")
@pytest.mark.parametrize("erased", [True, False], ids=["erased", "unknown"])
def test_nothing_is_written_about_who_is_no_subject(
    client: Client, people, redis_client: "redis.Redis", erased: bool
) -> None:
    name = people.leaver if erased else secrets.token_hex(16)
    if erased:
        request, _ = requests.submit(RequestKind.ERASURE, name, "test")
        assert requests.process(request.request_id).status is RequestStatus.COMPLETED
    for asset in client.get("/v1/assets").json()["assets"]:
        if asset["key"].startswith("platform/") or not asset["holds_subjects"]:
            continue
        for method in ("POST", "DELETE"):
            theirs = leave(client, method, asset["key"], name)
            assert theirs["removed"] == 0
            if asset["key"].startswith("consent/"):  # where the answer is composed
                stayers = leave(client, method, asset["key"], people.stayer)
                assert {k: v for k, v in theirs.items() if k != "held"} == {
                    k: v for k, v in stayers.items() if k != "held"
                }
                assert theirs["held"] > 0
    correct = {RequestKind.RECTIFICATION: Corrections(country="FR")}
    made = {
        kind: requests.submit(kind, name, "test", corrections=correct.get(kind))[0].request_id
        for kind in RequestKind
    }
    assert holding(name, redis_client) == []
    requests.process(made[RequestKind.ACCESS])
    archive, _ = requests.export_of(made[RequestKind.ACCESS])
    held_in = {a["asset"] for a in document_of(archive)["assets"] if a["held"]}
    assert held_in == {"platform/privacy_requests"}
    assert holding(name, redis_client) == []
    assert requests.process(made[RequestKind.ERASURE]).status is RequestStatus.COMPLETED
    assert {requests.get(request_id).status for request_id in made.values()} <= {
        RequestStatus.COMPLETED,
        RequestStatus.CANCELLED,
    }
    with connect(Role.PRIVACY) as connection:
        assert connection.execute("select count(*) from requests.exports").fetchone() == (0,)


def leave(client: Client, method: str, key: str, pseudonym: str) -> dict[str, Any]:
    reference = issue(pseudonym)
    if method == "POST":
        answer = client.post(f"/v1/assets/{key}/opt-out", json={"subject_ref": reference})
    else:
        answer = client.delete(f"/v1/assets/{key}/subjects/{reference}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def holding(pseudonym: str, client: "redis.Redis") -> list[str]:
    """Tables with a pseudonym column and Redis keys that hold `pseudonym`."""
    found = [str(key) for key in client.keys(f"*{pseudonym}*")]
    with connect(Role.PRIVACY) as connection:
        for table in (
            "consent.objections",
            "consent.records",
            "requests.exports",
            "requests.rectifications",
        ):
            query = sql.SQL("select count(*) from {} where pseudonym = %s").format(
                sql.Identifier(*table.split("."))
            )
            row = connection.execute(query, [pseudonym]).fetchone()
            found += [table] if row and row[0] else []
    return found


def test_a_request_is_made_followed_and_fetched(client: Client, people) -> None:
    body = {"kind": "access", "subject_ref": issue(people.leaver)}
    made = client.post("/v1/privacy-requests", json=body)
    assert made.status_code == 202
    location = made.headers["location"]
    assert client.get(f"{location}/export").status_code == 409
    again = client.post("/v1/privacy-requests", json=body)
    assert (again.status_code, again.json()["request_id"]) == (200, made.json()["request_id"])

    requests.process_open()

    report = client.get(location).json()
    assert report["status"] == "completed"
    assert {step["asset"] for step in report["steps"]} >= {"shop/orders", "platform/vault"}
    export = client.get(f"{location}/export")
    assert export.headers["cache-control"] == "no-store"
    assert export.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(export.content)) as archive:
        assert set(archive.namelist()) == {"data.json", "schema.json", "index.html"}
    as_json = client.get(f"{location}/export", headers={"Accept": "application/json"})
    assert as_json.json() == document_of(export.content)
    assert "quilla.zephyrine@example.org" in as_json.text
    assert people.leaver not in client.get(location).text + as_json.text


def test_nobody_learns_from_an_answer_who_is_a_customer(client: Client, people) -> None:
    answers = [
        client.post(
            "/v1/privacy-requests", json={"kind": "erasure", "subject_ref": issue(pseudonym)}
        )
        for pseudonym in (people.leaver, "f" * 32)
    ]
    for answer in answers:
        assert answer.status_code == 202
    shapes = [
        {key: answer.json()[key] for key in ("kind", "status", "unfinished")} for answer in answers
    ]
    assert shapes[0] == shapes[1]
    steps = [
        [(step["asset"], step["step"], step["status"]) for step in answer.json()["steps"]]
        for answer in answers
    ]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    "reference",
    ["nonsense", issue.__name__ * 12, "", "A" * 72],
    ids=["short", "long", "empty", "forged"],
)
def test_a_reference_that_does_not_open_is_one_problem(client: Client, reference: str) -> None:
    body = {"kind": "erasure", "subject_ref": reference}
    answer = client.post("/v1/privacy-requests", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    if reference:
        assert answer.json()["type"] == "/problems/invalid-subject-reference"
        assert reference not in answer.text


def test_an_expired_reference_is_the_same_problem_as_a_forged_one(client: Client, people) -> None:
    expired = issue(people.leaver, timedelta(seconds=-1))
    problems = [
        client.request(method, path, json=body).json()
        for method, path, body in (
            ("POST", "/v1/privacy-requests", {"kind": "access", "subject_ref": expired}),
            ("POST", "/v1/privacy-requests", {"kind": "access", "subject_ref": "A" * 72}),
            ("POST", "/v1/assets/shop/orders/opt-out", {"subject_ref": expired}),
            ("DELETE", f"/v1/assets/shop/products/subjects/{expired}", None),
        )
    ]
    for problem in problems:
        problem.pop("instance")
    assert all(problem == problems[0] for problem in problems)


def test_unknown_assets_and_requests_are_not_found(client: Client, people) -> None:
    body = {"subject_ref": issue(people.leaver)}
    assert client.post("/v1/assets/no/such/opt-out", json=body).status_code == 404
    unknown = "/v1/privacy-requests/00000000-0000-4000-8000-000000000000"
    assert client.get(unknown).status_code == 404
    assert client.get(f"{unknown}/export").status_code == 404


def test_the_storefronts_key_opens_none_of_these_routes(client: Client) -> None:
    storefront = {"Authorization": f"Bearer {api_keys()[Scope.STOREFRONT]}"}
    assert client.get("/v1/assets", headers=storefront).status_code == 403
    assert client.get("/v1/privacy-requests", headers=storefront).status_code == 403
    decision = {"action": "resume"}
    one = "/v1/privacy-requests/00000000-0000-4000-8000-000000000000"
    answer = client.request("PATCH", one, json=decision, headers=storefront)
    assert answer.status_code == 403
    # With the storefront's key a person asks, who needs a token of the shop.
    answer = client.post("/v1/privacy-requests", json={"kind": "access"}, headers=storefront)
    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/requester-not-recognised"
