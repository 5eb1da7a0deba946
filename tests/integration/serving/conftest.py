"""A small shop with a trained, published model, subjects in the vault, and the API in front of them."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import polars as pl
import pytest
from fastapi import FastAPI

from consent import ledger, masks, objections
from consent.ledger import ConsentRecord, Decision
from privacy.contracts import (
    Artifacts,
    AssetContract,
    Category,
    LegalBasis,
    Purpose,
    Retention,
    Unlearn,
    Withhold,
)
from privacy.settings import PlatformSettings
from privacy.vault import CUSTOMER_NUMBER, Vault
from recommenders.artifacts import publish_live, save_artifact
from recommenders.catalogue import Catalogue
from recommenders.interactions import Interactions
from recommenders.item_index import ItemIndex
from recommenders.lightfm_model import LightFMParameters, LightFMRecommender
from recommenders.model_files import (
    SUBJECT_ARRAYS,
    write_factor_model,
    write_item_index,
    write_item_scores,
)
from serving.app import create_app
from serving.auth import Scope, api_keys

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
ITEMS, SUBJECTS, CLUSTERS = 60, 60, 4


@dataclass(frozen=True)
class Shop:
    """Customer numbers and pseudonyms of the subjects the model knows, in order; and the products."""

    numbers: list[str]
    pseudonyms: list[str]
    products: list[str]

    def subject(self, number: str) -> str:
        """The pseudonym of a customer number."""
        return self.pseudonyms[self.numbers.index(number)]


def _products() -> pl.DataFrame:
    rows = np.arange(ITEMS)
    return pl.DataFrame(
        {
            "product_id": [f"P{row:04d}" for row in rows],
            "brand": [f"brand-{row % 7}" for row in rows],
            "category": [f"category-{row % CLUSTERS}" for row in rows],
            "price": 20.0 + rows,
            "sustainability_rating": (rows % 10).astype(float),
            "season_tags": [["summer"]] * ITEMS,
            "in_stock_sizes": [None] * ITEMS,
            "released_at": [UNTIL - timedelta(days=200)] * ITEMS,
        },
        schema_overrides={"in_stock_sizes": pl.List(pl.String)},
    )


def _events(pseudonyms: list[str]) -> pl.DataFrame:
    random = np.random.default_rng(5)
    rows = []
    for position, pseudonym in enumerate(pseudonyms):
        liked = np.where(np.arange(ITEMS) % CLUSTERS == position % CLUSTERS, 10.0, 1.0)
        for item in random.choice(ITEMS, 12, p=liked / liked.sum(), replace=False):
            at = UNTIL - timedelta(hours=int(random.integers(1, 1_000)))
            rows.append((pseudonym, f"P{item:04d}", "page_view", "M", at))
    columns = ("pseudonym", "product_id", "event_type", "size", "event_timestamp")
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.col("event_timestamp").cast(pl.Datetime("us", "UTC"))
    )


def _contract(name: str) -> AssetContract:
    return AssetContract(
        key=f"models/{name}",
        owner="team:recommendations",
        description="A model of the tests.",
        category=Category.PSEUDONYMOUS,
        purposes=(Purpose.MODEL_TRAINING,),
        legal_basis=LegalBasis.CONSENT,
        retention=Retention(days=30),
        store=Artifacts(path=name),
        subject="pseudonym",
        withhold=Withhold(at="materialisation", within=timedelta(days=1)),
        unlearn=Unlearn.FOLD_OUT,
    )


def publish_models(pseudonyms: list[str]) -> None:
    """Train on the shop's events and publish every model that the ranker needs."""
    catalogue = Catalogue.from_products(_products())
    data = Interactions.from_events(_events(pseudonyms), catalogue, weights={"page_view": 1.0})
    model = (
        LightFMRecommender(LightFMParameters(components=8, epochs=4, recent_weight=0.5))
        .fit(data)
        .model
    )
    scores = np.arange(ITEMS, 0, -1, dtype=np.float32)
    saved = [
        save_artifact(
            _contract("lightfm"),
            lambda folder: write_factor_model(model, folder),
            subject_arrays=SUBJECT_ARRAYS,
        ),
        save_artifact(
            _contract("item_index"),
            lambda folder: write_item_index(catalogue, ItemIndex.build(model.unit_items), folder),
        ),
        *(
            save_artifact(
                _contract(name), lambda folder: write_item_scores(catalogue, scores, folder)
            )
            for name in ("popularity", "trending")
        ),
    ]
    publish_live({manifest.name: manifest.version for manifest in saved})


@pytest.fixture(scope="package")
def shop(servers: PlatformSettings) -> Iterator[Shop]:
    """Sixty customers in the vault, a model trained on their events, published."""
    numbers = [f"7{number:05d}" for number in range(SUBJECTS)]
    vault = Vault()
    pseudonyms = [str(name) for name in vault.resolve(CUSTOMER_NUMBER, numbers, create=True)]
    vault.store_direct(pseudonyms[:1], {"name": ["Wilhelmine Quarkstein"]})
    publish_models(pseudonyms)
    yield Shop(numbers, pseudonyms, [f"P{row:04d}" for row in range(ITEMS)])
    (servers.models_dir / "live.json").unlink(missing_ok=True)
    vault.erase(pseudonyms)


Consents = Callable[..., str]


@pytest.fixture
def consents(shop: Shop) -> Consents:
    """Record decisions of a customer and refresh the mask; gives the pseudonym."""

    def record(number: str, *purposes: Purpose, decision: Decision = Decision.OPT_IN) -> str:
        pseudonym = shop.subject(number)
        ledger.append(
            [
                ConsentRecord(
                    pseudonym,
                    purpose,
                    decision,
                    datetime.now(UTC),
                    "test",
                    "1",
                    "test",
                    os.urandom(16).hex(),
                )
                for purpose in purposes
            ]
        )
        masks.refresh(pseudonym)
        return pseudonym

    return record


@pytest.fixture
def object_to(shop: Shop) -> Callable[[str, str], None]:
    """Object to an asset and refresh the mask."""

    def record(number: str, asset_key: str) -> None:
        objections.object_to(shop.subject(number), asset_key, "test")
        masks.refresh(shop.subject(number))

    return record


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def running(app: FastAPI, scope: Scope | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app` with the key of `scope`, while the app's lifespan runs."""
    headers = {"Authorization": f"Bearer {api_keys()[scope]}"} if scope else {}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client,
    ):
        yield client


@pytest.fixture
def app(shop: Shop) -> FastAPI:
    """The API."""
    return create_app()


@pytest.fixture
async def api(app: FastAPI, anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the storefront's key."""
    async with running(app, Scope.STOREFRONT) as client:
        yield client


@pytest.fixture
def reference(api: httpx.AsyncClient) -> Callable[..., object]:
    """Ask the API for a customer's subject reference; gives the header that holds it."""

    async def ask(number: str) -> dict[str, str]:
        response = await api.post("/v1/subjects/reference", json={"subject_id": number})
        assert response.status_code == 200, response.text
        return {"Selvedge-Subject": response.json()["subject_ref"]}

    return ask
