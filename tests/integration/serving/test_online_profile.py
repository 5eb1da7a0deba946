"""A subject whom no model was trained on is ranked for by their online features, where they may be used."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pandas as pd
import pytest
import redis.asyncio

from consent import ledger, masks, objections
from consent.ledger import ConsentRecord, Decision
from privacy.contracts import Purpose
from privacy.database import redis_url
from privacy.vault import CUSTOMER_NUMBER, Vault
from recommenders.features import apply_definitions, delete_online, feature_store
from serving.online import read_subject

pytestmark = pytest.mark.anyio
NUMBER = "newcomer-1"


def _features(pseudonym: str) -> pd.DataFrame:
    now = datetime.now(UTC)
    return pd.DataFrame(
        [
            {
                "pseudonym": pseudonym,
                "event_timestamp": now,
                "created": now,
                "interactions_30d": 3,
                "purchases_90d": 0,
                "views_7d": 3,
                "days_since_last_event": 0.5,
                "mean_price": 40.0,
                "mean_sustainability": None,
                "top_categories": ["category-2"],
                "top_category_scores": [3.0],
                "top_brands": ["brand-1"],
                "top_brand_scores": [1.0],
                "top_sizes": [],
                "top_size_scores": [],
                "recent_products": ["P0002", "P0006"],
            }
        ]
    )


@pytest.fixture
def newcomer(shop: Any) -> Iterator[str]:
    """A subject with consent and online features, and no row in the model."""
    pseudonym = str(Vault().resolve(CUSTOMER_NUMBER, [NUMBER], create=True)[0])
    statement = ConsentRecord(
        pseudonym,
        Purpose.PERSONALISATION,
        Decision.OPT_IN,
        datetime.now(UTC),
        "test",
        "1",
        "test",
        os.urandom(16).hex(),
    )
    ledger.append([statement])
    masks.refresh(pseudonym)
    apply_definitions()
    feature_store().write_to_online_store("subject_profile", _features(pseudonym))
    yield pseudonym
    delete_online([pseudonym])
    Vault().erase([pseudonym])


async def test_a_newcomer_is_ranked_for_by_their_features_until_they_object(
    api: httpx.AsyncClient, newcomer: str, reference: Any
) -> None:
    headers = await reference(NUMBER)
    response = await api.get("/v1/recommendations", headers=headers)
    assert response.json()["personalised"] is True
    objections.object_to(newcomer, "features/subject_profile", "test")
    masks.refresh(newcomer)
    response = await api.get("/v1/recommendations", headers=headers)
    assert response.json()["personalised"] is False


async def test_a_subject_is_read_in_one_round_trip(newcomer: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url()) as client:
        await client.ping()
        before = (await client.info("stats"))["total_reads_processed"]
        subject = await read_subject(client, newcomer)
        after = (await client.info("stats"))["total_reads_processed"]
    assert subject.profile is not None
    assert subject.profile.recent_products == ("P0002", "P0006")
    assert after - before == 2  # the pipeline, and the second INFO itself
