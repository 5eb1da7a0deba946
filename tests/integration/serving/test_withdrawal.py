"""A withdrawal reaches every worker before it is acknowledged: two real processes, many connections, caches warm."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil
import pytest

from consent import masks
from consent.masks import mask_key
from orchestration.defs.ingest.contracts import CONTRACTS
from orchestration.defs.models.contracts import LIGHTFM
from orchestration.servers.process import read_record, stop
from orchestration.servers.ranker import start_ranker
from privacy import registry, requests
from privacy.contracts import Purpose
from privacy.requests import RequestKind
from privacy.settings import PlatformSettings
from privacy.subject_reference import issue
from serving.auth import Scope, api_keys
from serving.event_stream import STREAM, seen_key
from serving.sessions import session_key
from tests.benchmarks._withdrawal import measure

pytestmark = pytest.mark.anyio
ROUTE = "/v1/recommendations"
CONNECTIONS = 12


@pytest.fixture(scope="module")
def address(shop: Any, servers: PlatformSettings) -> Iterator[str]:
    registry.publish([CONTRACTS["consents"], LIGHTFM])
    start_ranker(servers)
    record = read_record(servers, "ranker")
    assert record is not None
    _wait_for_both_workers(servers, record.port)
    yield record.address
    stop(servers, "ranker")
    registry.publish([])


def _wait_for_both_workers(servers: PlatformSettings, port: int) -> None:
    """The API is up when its first worker answers; here both are needed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with ExitStack() as stack:
            for _ in range(CONNECTIONS):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            time.sleep(0.2)
            if _workers_in_use(servers) == 2:
                return
    raise TimeoutError("The API's second worker took no connection for a minute.")


@asynccontextmanager
async def _clients(
    address: str, scope: Scope, count: int
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients with a connection each, kept open, so that every one stays with its worker."""
    headers = {"Authorization": f"Bearer {api_keys()[scope]}"}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(httpx.AsyncClient(base_url=address, headers=headers))
            for _ in range(count)
        ]


def _workers_in_use(servers: PlatformSettings) -> int:
    """Processes of the API that hold a connection of a client."""
    record = read_record(servers, "ranker")
    assert record is not None
    family = [psutil.Process(record.pid), *psutil.Process(record.pid).children(recursive=True)]
    return sum(
        any(
            link.status == psutil.CONN_ESTABLISHED and link.laddr.port == record.port
            for link in process.net_connections("tcp")
        )
        for process in family
    )


async def _personalised(clients: list[httpx.AsyncClient], headers: dict[str, str]) -> set[bool]:
    answers = await asyncio.gather(*(client.get(ROUTE, headers=headers) for client in clients))
    assert {answer.status_code for answer in answers} == {200}
    return {answer.json()["personalised"] for answer in answers}


@pytest.mark.parametrize("asset", ["consent/records", "everywhere", "models/lightfm"])
async def test_no_worker_personalises_after_the_acknowledgement(
    address: str, servers: PlatformSettings, consents: Any, redis_client: Any, asset: str
) -> None:
    number = {"consent/records": "700041", "everywhere": "700042", "models/lightfm": "700043"}[
        asset
    ]
    pseudonym = consents(number, Purpose.PERSONALISATION, Purpose.ANALYTICS)
    headers = {"Selvedge-Subject": issue(pseudonym)}
    async with (
        _clients(address, Scope.STOREFRONT, CONNECTIONS) as shops,
        _clients(address, Scope.PRIVACY, 1) as (privacy,),
    ):
        event = {
            "event_id": f"evt-{number}-0000001",
            "event_type": "click",
            "event_timestamp": datetime.now(UTC).isoformat(),
            "product_id": "P0001",
        }
        sent = await shops[0].post("/v1/events", json={"events": [event]}, headers=headers)
        assert sent.json()["accepted"] == 1
        for _ in range(5):
            assert await _personalised(shops, headers) == {True}
        assert _workers_in_use(servers) == 2
        if asset == "everywhere":
            answer = await privacy.post(
                "/v1/privacy-requests",
                json={"kind": "erasure", "subject_ref": headers["Selvedge-Subject"]},
            )
        else:
            answer = await privacy.post(
                f"/v1/assets/{asset}/opt-out", json={"subject_ref": headers["Selvedge-Subject"]}
            )
        assert answer.status_code in (200, 202), answer.text
        assert await _personalised(shops, headers) == {False}
    if asset != "models/lightfm":
        assert not redis_client.exists(session_key(pseudonym), seen_key(pseudonym))


async def test_the_figures_of_a_withdrawal_can_be_measured(
    address: str, consents: Any, shop: Any
) -> None:
    numbers = shop.numbers[45:55]
    for number in numbers:
        consents(number, Purpose.PERSONALISATION)
    pseudonyms = [shop.subject(number) for number in numbers]
    figures = await measure(address, pseudonyms[:6], pseudonyms[6:], rate=50, seconds=4)
    values = {figure.name: figure.value for figure in figures}
    assert all(value is not None and value > 0 for value in values.values()), values


async def test_a_session_written_while_its_subject_withdraws_does_not_stay(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any, monkeypatch: Any
) -> None:
    headers = await reference("700044")
    pseudonym = consents("700044", Purpose.PERSONALISATION)
    stored: list[bool] = []

    def withdraw_meanwhile(*_: Any) -> list[None]:
        redis_client.hset(mask_key(pseudonym), "mask", 0)  # between the question and the write
        stored.append(True)
        return [None]

    monkeypatch.setattr("serving.intake._masked_queries", withdraw_meanwhile)
    event = {
        "event_id": "evt-700044-0000001",
        "event_type": "click",
        "event_timestamp": datetime.now(UTC).isoformat(),
        "product_id": "P0001",
    }
    assert (
        await api.post("/v1/events", json={"events": [event]}, headers=headers)
    ).status_code == 202
    assert stored
    assert not redis_client.exists(session_key(pseudonym))
    assert redis_client.xlen(STREAM) >= 1, "the ingest decides about what waits"
    masks.refresh(pseudonym)


async def test_a_daily_write_under_way_serves_nobody_again_whom_an_erasure_took(
    api: httpx.AsyncClient, consents: Any, reference: Any, redis_client: Any, monkeypatch: Any
) -> None:
    pseudonym = consents("700055", Purpose.PERSONALISATION)
    headers = await reference("700055")
    assert (await api.get(ROUTE, headers=headers)).json()["personalised"]
    stale = list(masks._subjects())
    requests.submit(RequestKind.ERASURE, pseudonym, "test")
    passes = iter([stale, stale])
    monkeypatch.setattr(masks, "_subjects", lambda: iter(next(passes)))
    masks.write_all()
    assert not redis_client.exists(mask_key(pseudonym))
    assert not (await api.get(ROUTE, headers=headers)).json()["personalised"]
