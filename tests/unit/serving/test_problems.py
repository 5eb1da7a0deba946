"""Every way a request can fail answers with a problem document that repeats nothing of the request."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict

from serving.auth import RequirePrivacy, RequireStorefront, Scope, api_keys
from serving.observation import BodyLimit, ObservedRequests
from serving.problems import KINDS, add_problem_handlers

SECRET = "jane.doe@example.com"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class _Cat(BaseModel):
    kind: Literal["cat"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int


def _failing_app() -> FastAPI:
    app = FastAPI()
    add_problem_handlers(app)

    @app.post("/body")
    async def body(content: _Body) -> dict[str, int]:
        return {"number": content.number}

    @app.get("/query")
    async def query(limit: Annotated[int, Query(le=10)], identity: UUID | None = None) -> None: ...

    @app.get("/broken/{reference}")
    async def broken(reference: str) -> None:
        raise RuntimeError(f"value {SECRET} of {reference}")

    @app.get("/shop", dependencies=[RequireStorefront])
    async def shop() -> str:
        return "shop"

    @app.get("/privacy", dependencies=[RequirePrivacy])
    async def privacy() -> str:
        return "privacy"

    app.add_middleware(BodyLimit, limit=1_000)
    app.add_middleware(ObservedRequests, access_log=False)
    return app


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(_failing_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


def _assert_problem(response: httpx.Response, slug: str) -> dict[str, Any]:
    kind = KINDS[slug]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.status_code == kind.status
    document: dict[str, Any] = response.json()
    assert document["type"] == f"/problems/{slug}"
    assert document["status"] == kind.status
    assert document["title"] == kind.title
    assert document["detail"]
    assert document["instance"].startswith("urn:uuid:")
    assert SECRET not in response.text
    return document


@pytest.mark.anyio
async def test_an_unknown_address_is_a_problem(client: httpx.AsyncClient) -> None:
    _assert_problem(await client.get(f"/nothing/{SECRET}"), "not-found")


@pytest.mark.anyio
async def test_a_wrong_method_names_those_allowed(client: httpx.AsyncClient) -> None:
    response = await client.delete("/query")
    _assert_problem(response, "method-not-allowed")
    assert response.headers["allow"] == "GET"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"number": SECRET}, "body/number"),
        ({}, "body/number"),
        ({"number": 1, SECRET: 2}, "body/(unknown)"),
        ([SECRET], "body"),
        (None, "body"),
    ],
)
async def test_a_wrong_body_names_the_field_and_not_the_value(
    client: httpx.AsyncClient, content: Any, pointer: str
) -> None:
    document = _assert_problem(await client.post("/body", json=content), "invalid-request")
    assert [error["pointer"] for error in document["errors"]] == [pointer]


@pytest.mark.anyio
async def test_a_wrong_query_lists_each_field(client: httpx.AsyncClient) -> None:
    response = await client.get("/query", params={"limit": 11, "identity": SECRET})
    document = _assert_problem(response, "invalid-request")
    assert {error["pointer"]: error["detail"] for error in document["errors"]} == {
        "query/limit": "Input should be less than or equal to 10",
        "query/identity": "Input should be a valid UUID",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("content", ["{", SECRET, '{"number": 1', "[" * 900])
async def test_what_is_no_json_is_told_so(client: httpx.AsyncClient, content: str) -> None:
    response = await client.post(
        "/body", content=content, headers={"Content-Type": "application/json"}
    )
    _assert_problem(response, "invalid-request" if response.status_code == 422 else "bad-request")


@pytest.mark.anyio
async def test_bytes_that_are_no_text_are_told_so(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/body", content=b'{"number": "\xff"}', headers={"Content-Type": "application/json"}
    )
    _assert_problem(response, "bad-request")


@pytest.mark.anyio
async def test_another_media_type_is_told_so(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/body", content=SECRET, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    _assert_problem(response, "unsupported-media-type")


@pytest.mark.anyio
async def test_a_body_over_the_limit_is_refused_announced_or_not(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 500

    headers = {"Content-Type": "application/json"}
    for content in (b" " * 1_500, pieces()):
        response = await client.post("/body", content=content, headers=headers)
        _assert_problem(response, "too-large")


@pytest.mark.anyio
async def test_a_failure_leaks_neither_into_the_answer_nor_into_the_log(
    client: httpx.AsyncClient,
    capfdbinary: pytest.CaptureFixture[bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        document = _assert_problem(await client.get("/broken/ref-token"), "internal-error")
    written = capfdbinary.readouterr()
    logged = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    lines = (written.out + written.err).decode() + "\n".join(logged)
    assert document["instance"] in lines
    assert "RuntimeError" in lines
    assert "/broken/{reference}" in lines
    assert SECRET not in lines
    assert "ref-token" not in lines


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("authorization", "slug"),
    [
        (None, "unauthenticated"),
        ("Bearer", "unauthenticated"),
        ("Basic abc", "unauthenticated"),
        ("Bearer wrong", "unauthenticated"),
        ("Bearer sch\u00f6n".encode().decode("latin-1"), "unauthenticated"),
    ],
)
async def test_without_a_valid_key_nothing_opens(
    client: httpx.AsyncClient, authorization: str | None, slug: str
) -> None:
    headers = {"Authorization": authorization.encode("latin-1")} if authorization else {}
    response = await client.get("/shop", headers=headers)
    _assert_problem(response, slug)
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.anyio
async def test_a_key_opens_its_own_scope_alone(client: httpx.AsyncClient) -> None:
    headers = {scope: {"Authorization": f"Bearer {key}"} for scope, key in api_keys().items()}
    assert (await client.get("/shop", headers=headers[Scope.STOREFRONT])).status_code == 200
    assert (await client.get("/privacy", headers=headers[Scope.PRIVACY])).status_code == 200
    _assert_problem(await client.get("/privacy", headers=headers[Scope.STOREFRONT]), "forbidden")
    _assert_problem(await client.get("/shop", headers=headers[Scope.PRIVACY]), "forbidden")
