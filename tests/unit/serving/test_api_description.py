"""The OpenAPI document is complete, and its page asks nobody else for anything."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from privacy.settings import PROJECT_ROOT
from serving.app import create_app
from serving.problems import KINDS

METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = {
    "read_certificate",
    "create_privacy_request",
    "create_subject_reference",
    "decide_privacy_request",
    "erase_from_asset",
    "get_lineage",
    "get_live",
    "get_metrics",
    "get_ready",
    "get_recommendations",
    "list_assets",
    "list_privacy_requests",
    "opt_out_of_asset",
    "post_consents",
    "post_events",
    "read_export",
    "read_privacy_request",
    "read_subject_profile",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method} {path}", item[method]


def test_operation_ids_are_stable_and_unique(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in _operations(document)]
    assert len(names) == len(set(names))
    assert set(names) == OPERATIONS


def test_every_operation_is_described_with_examples(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, operation in _operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}, name
        contents = [
            content
            for holder in (operation.get("requestBody", {}), *operation["responses"].values())
            for media_type, content in holder.get("content", {}).items()
            if media_type == "application/json"
        ]
        for content in contents:
            reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            examples = schemas[reference].get("examples") if reference else True
            assert examples or content.get("example"), f"{name}: {reference}"


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        statuses = set(operation["responses"])
        assert "500" in statuses, name
        assert not operation.get("security") or {"401", "403"} <= statuses, name
        assert not operation.get("requestBody") or {"400", "413", "415", "422"} <= statuses, name
        for status in statuses:
            if int(status) >= 400:
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"], f"{name} {status}"
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_routes_of_people_ask_for_a_key(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"StorefrontKey", "PrivacyKey"}
    for name, operation in _operations(document):
        assert bool(operation.get("security")) == (" /v1/" in name), name


@pytest.mark.parametrize("name", ["docs.html", "docs.css", "docs.js", "element.js", "icon.svg"])
def test_the_page_names_no_other_host(name: str) -> None:
    text = (PROJECT_ROOT / "serving" / "web" / name).read_text()
    addresses = re.findall(r"(?:https?:)?//[\w.-]+", re.sub(r"(?m)^\s*//.*$", "", text))
    assert set(addresses) <= {"http://www.w3.org"}  # the namespace of the icon


@pytest.mark.anyio
async def test_the_page_and_the_explanations_of_problems_are_served() -> None:
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert (await client.get("/")).headers["location"] == "/docs"
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        for address in re.findall(r'(?:href|src)="(/docs/[^"]+)"', page.text):
            assert (await client.get(address)).status_code == 200
        assert (await client.get("/docs/secrets.txt")).status_code == 404
        for slug in KINDS:
            assert (await client.get(f"/problems/{slug}")).json()["type"] == f"/problems/{slug}"
        assert (await client.get("/problems/none")).status_code == 404
