"""Who agreed gets a ranking of their own; everybody else gets the shop's, all alike."""

import dataclasses
import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from consent.ledger import Decision
from consent.masks import mask_key
from privacy.contracts import Purpose
from privacy.subject_reference import issue
from serving.api.recommendations import Recommendations

pytestmark = pytest.mark.anyio
ROUTE = "/v1/recommendations"


def _ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["product_id"] for item in response.json()["items"]]


@pytest.mark.parametrize("touchpoint", ["homepage", "search", "product_page", "email"])
async def test_an_anonymous_visitor_gets_a_ranking_at_each_touchpoint(
    api: httpx.AsyncClient, touchpoint: str
) -> None:
    response = await api.get(
        ROUTE, params={"touchpoint": touchpoint, "limit": 5, "context_item": "P0001"}
    )
    document = Recommendations.model_validate(response.json())
    assert document.touchpoint == touchpoint
    assert not document.personalised
    assert [item.position for item in document.items] == [1, 2, 3, 4, 5]
    assert document.ranking_id
    assert response.headers["cache-control"] == "no-store"


async def test_each_ranking_has_an_id_of_its_own(api: httpx.AsyncClient) -> None:
    first, second = [(await api.get(ROUTE)).json()["ranking_id"] for _ in range(2)]
    assert first != second


async def test_who_agreed_gets_a_ranking_of_their_own(
    api: httpx.AsyncClient, consents: Any, reference: Any
) -> None:
    consents("700001", Purpose.PERSONALISATION)
    anonymous = await api.get(ROUTE)
    own = await api.get(ROUTE, headers=await reference("700001"))
    assert own.json()["personalised"] is True
    assert own.json()["model"].startswith("lightfm/")
    assert _ids(own) != _ids(anonymous)


async def test_a_withdrawal_takes_effect_at_the_next_request(
    api: httpx.AsyncClient, consents: Any, reference: Any
) -> None:
    headers = await reference("700002")
    consents("700002", Purpose.PERSONALISATION)
    assert (await api.get(ROUTE, headers=headers)).json()["personalised"] is True
    consents("700002", Purpose.PERSONALISATION, decision=Decision.OPT_OUT)
    response = await api.get(ROUTE, headers=headers)
    assert response.json()["personalised"] is False
    assert _ids(response) == _ids(await api.get(ROUTE))


@pytest.mark.parametrize("asset_key", ["models/lightfm", "serving/ranker"])
async def test_who_objects_to_the_model_gets_the_shops_ranking(
    api: httpx.AsyncClient, consents: Any, object_to: Any, reference: Any, asset_key: str
) -> None:
    number = "700004" if asset_key == "models/lightfm" else "700005"
    consents(number, Purpose.PERSONALISATION)
    object_to(number, asset_key)
    response = await api.get(ROUTE, headers=await reference(number))
    assert response.json()["personalised"] is False


async def test_other_purposes_do_not_personalise(
    api: httpx.AsyncClient, consents: Any, reference: Any
) -> None:
    consents("700006", Purpose.ANALYTICS, Purpose.MODEL_TRAINING, Purpose.MARKETING_EMAIL)
    response = await api.get(ROUTE, headers=await reference("700006"))
    assert response.json()["personalised"] is False


async def test_unknown_erased_expired_and_forged_references_are_anonymous(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    pseudonym = consents("700007", Purpose.PERSONALISATION)
    erased = await reference("700007")
    redis_client.delete(mask_key(pseudonym))
    forged = {"Selvedge-Subject": erased["Selvedge-Subject"][:-4] + "AAAA"}
    expired = {"Selvedge-Subject": issue(pseudonym, timedelta(seconds=-1))}
    unknown = await reference("never-seen")
    anonymous = _ids(await api.get(ROUTE))
    for headers in (erased, forged, expired, unknown, {"Selvedge-Subject": "7000ü".encode()}):
        response = await api.get(ROUTE, headers=headers)
        assert response.json()["personalised"] is False
        assert _ids(response) == anonymous


async def test_search_ranks_what_matched(api: httpx.AsyncClient) -> None:
    among = ["P0050", "P0003", "nothing", "P0017"]
    response = await api.get(ROUTE, params={"touchpoint": "search", "among": among})
    assert sorted(_ids(response)) == ["P0003", "P0017", "P0050"]


@pytest.mark.parametrize(
    "params",
    [
        {"touchpoint": "newsletter"},
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"context_item": "jane@example.com"},
        {"context_item": ""},
        {"among": "a@b"},
        {"session": "a b"},
    ],
)
async def test_wrong_input_is_told_without_repeating_it(
    api: httpx.AsyncClient, params: dict[str, str]
) -> None:
    response = await api.get(ROUTE, params=params)
    assert response.status_code == 422
    (name, value), (error, *_) = *params.items(), response.json()["errors"]
    assert error["pointer"].startswith(f"query/{name}")
    assert not isinstance(value, str) or not value or value not in response.text


async def test_other_methods_are_refused(api: httpx.AsyncClient) -> None:
    response = await api.post(ROUTE)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"


async def test_the_shop_answers_while_redis_does_not(
    app: FastAPI, api: httpx.AsyncClient, consents: Any, reference: Any
) -> None:
    consents("700008", Purpose.PERSONALISATION)
    headers = await reference("700008")
    resources = app.state.resources
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        app.state.resources = dataclasses.replace(resources, redis=nobody)
        response = await api.get(ROUTE, headers=headers)
        assert response.json()["personalised"] is False
        assert (await api.get("/health/ready")).json()["checks"]["redis"] == "unreachable"
    app.state.resources = resources


async def test_without_a_model_it_says_what_to_do_and_takes_up_a_new_one(
    app: FastAPI, api: httpx.AsyncClient, settings: Any
) -> None:
    live, live_ranker = settings.models_dir / "live.json", app.state.resources.live_ranker
    published = live.read_bytes()
    live.unlink()
    try:
        assert await live_ranker.check()
        response = await api.get(ROUTE)
        assert response.status_code == 503
        assert "serving/ranker" in response.json()["detail"]
        ready = await api.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"redis": "ok", "postgres": "ok", "model": "missing"}
        live.write_text('{"broken": true}')
        assert not await live_ranker.check()
        assert (await api.get("/health/ready")).json()["checks"]["model"] == "unreadable"
    finally:
        live.write_bytes(published)
    assert await live_ranker.check()
    assert not await live_ranker.check()
    assert (await api.get("/health/ready")).json()["status"] == "ready"
    assert (await api.get(ROUTE)).status_code == 200


async def test_a_broken_publication_leaves_the_model_before_in_place(
    app: FastAPI, api: httpx.AsyncClient, settings: Any
) -> None:
    live, live_ranker = settings.models_dir / "live.json", app.state.resources.live_ranker
    published = live.read_bytes()
    live.write_text('{"broken": true}')
    try:
        assert not await live_ranker.check()
        assert (await api.get(ROUTE)).status_code == 200
        assert (await api.get("/health/ready")).status_code == 200
    finally:
        live.write_bytes(published)


async def test_logs_and_metrics_hold_no_token_and_no_query(
    app: FastAPI,
    api: httpx.AsyncClient,
    reference: Any,
    caplog: pytest.LogCaptureFixture,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    with caplog.at_level(logging.DEBUG):
        headers = await reference("700009")
        await api.get(ROUTE, params={"session": "visit-xyzzy"}, headers=headers)
        await api.get(ROUTE, params={"limit": "visit-xyzzy"}, headers=headers)
        await api.get("/visit-xyzzy")
    metrics = (await api.get("/metrics")).text
    captured = capfdbinary.readouterr()
    logged = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    everything = "\n".join([*logged, metrics, (captured.out + captured.err).decode()])
    for secret in ("visit-xyzzy", headers["Selvedge-Subject"], "700009"):
        assert secret not in everything
    assert (
        'selvedge_http_requests_total{method="GET",route="/v1/recommendations",status="200"}'
        in metrics
    )
