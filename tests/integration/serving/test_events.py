"""Events are stored for who agreed, under the pseudonym alone, and once."""

import dataclasses
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from consent.ledger import Decision
from privacy import registry
from privacy.contracts import Purpose
from privacy.pseudonymise import session_hash
from serving.event_stream import RETENTION, STREAM, seen_key
from serving.metrics import rendered
from serving.sessions import session_key
from serving.stream_watch import watch_stream

pytestmark = pytest.mark.anyio
ROUTE = "/v1/events"


def _event(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"event-{number:06d}",
        "event_type": "page_view",
        "event_timestamp": datetime.now(UTC).isoformat(),
        "product_id": "P0001",
        **fields,
    }


@pytest.fixture(autouse=True)
def _empty_stream(shop: Any, redis_client: Any) -> Iterator[None]:
    redis_client.delete(STREAM)
    yield
    redis_client.delete(STREAM)
    for pseudonym in shop.pseudonyms:
        redis_client.delete(seen_key(pseudonym), session_key(pseudonym))


def _stored(redis_client: Any) -> list[dict[str, str]]:
    return [
        {name.decode(): value.decode() for name, value in fields.items()}
        for _, fields in redis_client.xrange(STREAM)
    ]


async def test_events_of_who_agreed_are_stored_under_the_pseudonym(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    pseudonym = consents("700010", Purpose.PERSONALISATION)
    moment = datetime.now(UTC) - timedelta(hours=1)
    event = _event(
        1,
        event_type="impression",
        event_timestamp=moment.astimezone(tz=None).isoformat(),
        position=3,
        touchpoint="homepage",
        ranking_id="0123456789abcdef",
    )
    body = {"session": "visit-1", "events": [event]}
    response = await api.post(ROUTE, json=body, headers=await reference("700010"))
    assert response.status_code == 202
    assert response.json() == {"accepted": 1, "duplicates": 0, "withheld": 0}
    assert _stored(redis_client) == [
        {
            "pseudonym": pseudonym,
            "event_id": "event-000001",
            "event_type": "impression",
            "event_timestamp": moment.isoformat(timespec="microseconds"),
            "session": session_hash("visit-1"),
            "product_id": "P0001",
            "position": "3",
            "touchpoint": "homepage",
            "ranking_id": "0123456789abcdef",
        }
    ]


async def test_a_repeated_event_is_stored_once(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    pseudonym = consents("700011", Purpose.ANALYTICS)
    headers = await reference("700011")
    first = await api.post(
        ROUTE, json={"events": [_event(1), _event(2), _event(1)]}, headers=headers
    )
    assert first.json() == {"accepted": 2, "duplicates": 1, "withheld": 0}
    second = await api.post(ROUTE, json={"events": [_event(2), _event(3)]}, headers=headers)
    assert second.json() == {"accepted": 1, "duplicates": 1, "withheld": 0}
    assert [entry["event_id"] for entry in _stored(redis_client)] == [
        "event-000001",
        "event-000002",
        "event-000003",
    ]
    assert 0 < redis_client.ttl(seen_key(pseudonym)) <= 2 * 86_400


async def test_nothing_is_kept_of_who_did_not_agree(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    consents("700012", Purpose.MARKETING_EMAIL)
    consents("700013", Purpose.PERSONALISATION)
    withdrawn = await reference("700013")
    consents("700013", Purpose.PERSONALISATION, decision=Decision.OPT_OUT)
    keys = set(redis_client.keys())
    for headers in (await reference("700012"), withdrawn, await reference("unknown"), {}):
        response = await api.post(ROUTE, json={"events": [_event(1), _event(2)]}, headers=headers)
        assert response.json() == {"accepted": 0, "duplicates": 0, "withheld": 2}
    assert set(redis_client.keys()) == keys
    assert _stored(redis_client) == []


async def test_who_objects_to_the_interactions_has_none_stored(
    api: httpx.AsyncClient, consents: Any, object_to: Any, reference: Any, redis_client: Any
) -> None:
    consents("700014", Purpose.PERSONALISATION, Purpose.ANALYTICS)
    object_to("700014", "lake/interactions")
    response = await api.post(
        ROUTE, json={"events": [_event(1)]}, headers=await reference("700014")
    )
    assert response.json()["withheld"] == 1
    assert _stored(redis_client) == []


async def test_personal_data_in_a_search_is_masked(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    consents("700000", Purpose.ANALYTICS)
    queries = ["linen dress", "order for quark@example.com", "parcel of Wilhelmine Quarkstein"]
    events = [
        _event(number, event_type="search", query=query, product_id=None)
        for number, query in enumerate(queries)
    ]
    await api.post(ROUTE, json={"events": events}, headers=await reference("700000"))
    stored = [entry["query"] for entry in _stored(redis_client)]
    assert stored[0] == "linen dress"
    assert "quark@" not in stored[1]
    assert "Quarkstein" not in stored[2]
    assert "Wilhelmine" not in stored[2]


async def test_the_cart_is_left_out_of_the_next_ranking_and_what_was_seen_shapes_it(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    pseudonym = consents("700015", Purpose.PERSONALISATION)
    headers = await reference("700015")
    before = (await api.get("/v1/recommendations", headers=headers)).json()["items"]
    best, other = before[0]["product_id"], before[-1]["product_id"]
    events = [
        _event(1, product_id=other),
        _event(2, event_type="add_to_cart", product_id=best),
    ]
    await api.post(ROUTE, json={"events": events}, headers=headers)
    after = (await api.get("/v1/recommendations", headers=headers)).json()["items"]
    assert best not in [item["product_id"] for item in after]
    assert 0 < redis_client.ttl(session_key(pseudonym)) <= 1800
    scores = [{item["product_id"]: item["score"] for item in items} for items in (before, after)]
    assert scores[0][other] != scores[1].get(other)


async def test_analytics_alone_keeps_no_session(
    api: httpx.AsyncClient, consents: Any, object_to: Any, reference: Any, redis_client: Any
) -> None:
    analytics = consents("700016", Purpose.ANALYTICS)
    objecting = consents("700017", Purpose.PERSONALISATION)
    object_to("700017", "platform/session_items")
    for number in ("700016", "700017"):
        await api.post(ROUTE, json={"events": [_event(1)]}, headers=await reference(number))
    assert len(_stored(redis_client)) == 2
    assert not redis_client.exists(session_key(analytics), session_key(objecting))


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"event_type": "stare"}, "body/events/0/event_type"),
        ({"event_id": "short"}, "body/events/0/event_id"),
        ({"event_id": "jane@example.com"}, "body/events/0/event_id"),
        ({"product_id": "jane@example.com"}, "body/events/0/product_id"),
        ({"event_type": "click", "product_id": None}, "body/events/0"),
        ({"event_type": "search", "query": ""}, "body/events/0"),
        ({"event_type": "impression"}, "body/events/0"),
        ({"event_timestamp": "2026-01-01T10:00:00"}, "body/events/0/event_timestamp"),
        ({"event_timestamp": "yesterday"}, "body/events/0/event_timestamp"),
        ({"event_timestamp": "9999-12-31T23:59:59-14:00"}, "body/events/0/event_timestamp"),
        ({"event_timestamp": "0001-01-01T00:00:00+14:00"}, "body/events/0/event_timestamp"),
        ({"dwell_seconds": -1}, "body/events/0/dwell_seconds"),
        ({"dwell_seconds": "NaN"}, "body/events/0/dwell_seconds"),
        ({"position": 0}, "body/events/0/position"),
        ({"touchpoint": "moon"}, "body/events/0/touchpoint"),
        ({"query": "x" * 501}, "body/events/0/query"),
        ({"subject_id": "700001"}, "body/events/0/(unknown)"),
    ],
)
async def test_a_wrong_event_is_named_and_nothing_is_stored(
    api: httpx.AsyncClient,
    consents: Any,
    reference: Any,
    redis_client: Any,
    fields: dict[str, Any],
    pointer: str,
) -> None:
    consents("700018", Purpose.PERSONALISATION)
    body = {"events": [_event(1, **fields), _event(2)]}
    response = await api.post(ROUTE, json=body, headers=await reference("700018"))
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] in (pointer, "body/events/0/subject_id")
    assert "jane" not in response.text
    assert _stored(redis_client) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"events": []},
        {"events": "many"},
        {"events": [_event(number) for number in range(501)]},
        {"events": [_event(1)], "session": "jane doe"},
        {"events": [_event(1)], "subject_id": "700001"},
        [],
    ],
)
async def test_a_wrong_batch_is_refused(api: httpx.AsyncClient, body: Any) -> None:
    response = await api.post(ROUTE, json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert "jane" not in response.text


async def test_a_large_batch_goes_through(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    consents("700019", Purpose.PERSONALISATION)
    events = [_event(number) for number in range(500)]
    response = await api.post(ROUTE, json={"events": events}, headers=await reference("700019"))
    assert response.json()["accepted"] == 500
    assert redis_client.xlen(STREAM) == 500


async def test_while_redis_does_not_answer_the_batch_is_to_be_sent_again(
    app: FastAPI, api: httpx.AsyncClient, reference: Any
) -> None:
    headers, resources = await reference("700010"), app.state.resources
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        app.state.resources = dataclasses.replace(resources, redis=nobody)
        response = await api.post(ROUTE, json={"events": [_event(1)]}, headers=headers)
    app.state.resources = resources
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"


def _entry_id(age: timedelta) -> str:
    return f"{int((datetime.now(UTC) - age).timestamp() * 1000)}-0"


def _metric(name: str) -> float:
    lines = rendered().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"selvedge_{name} "))


def test_the_retention_of_the_stream_is_that_of_its_contract() -> None:
    contract = registry.load().get("platform/event_stream")
    assert contract.retention is not None
    assert timedelta(days=contract.retention.days) == RETENTION


async def test_an_event_removes_those_that_are_past_the_retention_and_they_are_counted(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    pseudonym = consents("700020", Purpose.PERSONALISATION)
    headers, trimmed = await reference("700020"), _metric("event_stream_trimmed_total")
    for minutes, name in ((3, "older"), (1, "old"), (-1, "kept")):
        age = RETENTION + timedelta(minutes=minutes)
        redis_client.xadd(STREAM, {"pseudonym": pseudonym, "event_id": name}, id=_entry_id(age))
    response = await api.post(ROUTE, json={"events": [_event(1)]}, headers=headers)
    assert response.json()["accepted"] == 1
    assert [entry["event_id"] for entry in _stored(redis_client)] == ["kept", "event-000001"]
    assert _metric("event_stream_trimmed_total") == trimmed + 2
    assert 0 < redis_client.ttl(STREAM) <= RETENTION.total_seconds()


async def test_a_worker_keeps_the_retention_while_no_event_comes_and_shows_the_stream(
    app: FastAPI, api: httpx.AsyncClient, redis_client: Any
) -> None:
    trimmed = _metric("event_stream_trimmed_total")
    for number, age in enumerate((RETENTION + timedelta(minutes=1), timedelta(hours=3))):
        redis_client.xadd(STREAM, {"event_id": str(number)}, id=_entry_id(age))
    await watch_stream(app.state.resources.redis)
    assert [entry["event_id"] for entry in _stored(redis_client)] == ["1"]
    shown = (await api.get("/metrics")).text
    assert "selvedge_event_stream_entries 1.0" in shown
    assert _metric("event_stream_oldest_seconds") == pytest.approx(3 * 3600, abs=60)
    assert _metric("event_stream_trimmed_total") == trimmed + 1
    redis_client.delete(STREAM)
    await watch_stream(app.state.resources.redis)
    assert _metric("event_stream_entries") == _metric("event_stream_oldest_seconds") == 0


async def test_an_application_that_starts_watches_the_stream(
    app: FastAPI, redis_client: Any
) -> None:
    redis_client.xadd(STREAM, {"event_id": "1"}, id=_entry_id(RETENTION + timedelta(minutes=1)))
    async with app.router.lifespan_context(app):
        with anyio.fail_after(5):
            while redis_client.xlen(STREAM):
                await anyio.sleep(0.02)


async def test_a_stream_that_cannot_be_measured_shows_no_number() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nobody:
        await watch_stream(nobody)
    assert math.isnan(_metric("event_stream_entries"))
    assert math.isnan(_metric("event_stream_oldest_seconds"))


async def test_a_full_stream_holds_events_up_and_loses_none(
    app: FastAPI, api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any
) -> None:
    consents("700021", Purpose.PERSONALISATION)
    headers, resources = await reference("700021"), app.state.resources
    small = resources.settings.model_copy(update={"serving_event_stream_limit": 3})
    app.state.resources = dataclasses.replace(resources, settings=small)
    first, second = ({"events": [_event(n), _event(n + 1)]} for n in (1, 3))
    assert (await api.post(ROUTE, json=first, headers=headers)).json()["accepted"] == 2
    refused = await api.post(ROUTE, json=second, headers=headers)
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "60"
    assert refused.json()["type"] == "/problems/events-held-up"
    assert [entry["event_id"] for entry in _stored(redis_client)] == [
        "event-000001",
        "event-000002",
    ]
    again = await api.post(ROUTE, json=first, headers=headers)
    assert again.json() == {"accepted": 0, "duplicates": 2, "withheld": 0}
    assert (await api.post(ROUTE, json=second)).json()["withheld"] == 2
    redis_client.delete(STREAM)  # an ingest took them in
    assert (await api.post(ROUTE, json=second, headers=headers)).json()["accepted"] == 2
