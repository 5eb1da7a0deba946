"""The lineage over HTTP, and the page that draws it."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from privacy import registry
from privacy.contracts import NoStore, no_personal_data
from privacy.lineage import AssetShape, publish_shapes, record_sources
from serving.auth import Scope
from tests.integration.serving.conftest import running

pytestmark = pytest.mark.anyio
KEY = "lake/cloths"
CONTRACT = no_personal_data(KEY, owner="team:test", description="Cloths.", reason="Cloths.", store=NoStore())  # fmt: skip
SHAPE = AssetShape(KEY, ("shop/threads",), {"weight": "double", "name": "string"})


@pytest.fixture(autouse=True)
def published(app: FastAPI) -> Iterator[None]:
    registry.publish([CONTRACT])
    publish_shapes([SHAPE])
    yield
    registry.publish([])


async def test_a_column_says_what_it_was_made_of_once_it_ran(app: FastAPI) -> None:
    async with running(app, Scope.PRIVACY) as client:
        before = (await client.get("/v1/lineage")).json()["assets"]
        record_sources(KEY, {"weight": [("shop/threads", "grams")], "name": []})
        registry.publish([CONTRACT])
        after = (await client.get("/v1/lineage")).json()["assets"]
    assert [column["sources"] for column in before[0]["columns"]] == [None, None]
    (asset,) = after
    assert (asset["key"], asset["inputs"], asset["category"]) == (KEY, ["shop/threads"], "none")
    assert {column["name"]: column["sources"] for column in asset["columns"]} == {
        "weight": [{"asset": "shop/threads", "column": "grams"}],
        "name": [],
    }


async def test_the_storefronts_key_does_not_open_it(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/lineage")).status_code == 403


async def test_the_page_and_its_files_come_from_here_alone(api: httpx.AsyncClient) -> None:
    page = await api.get("/lineage")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("lineage.js", "lineage.css"):
        assert f"/docs/{name}" in page.text
        assert (await api.get(f"/docs/{name}")).status_code == 200
