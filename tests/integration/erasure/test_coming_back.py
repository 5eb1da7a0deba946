"""After a whole erasure: replays, backfills and late events bring nothing back; new consent begins somebody new."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from orchestration.defs.ingest.contracts import CONTRACTS
from orchestration.ingest.run import ingest
from orchestration.sources.model import TABLES
from privacy import lake, registry, requests
from privacy.clocks import AHEAD
from privacy.database import Role, connect
from privacy.requests import RequestStatus
from privacy.settings import PlatformSettings
from privacy.vault import CUSTOMER_NUMBER, Vault
from privacy.verification import verify
from tests.integration.privacy_ingest.small_shop import (
    AT,
    SmallShop,
    consent,
    interaction,
    shop_rows,
)

NUMBER = "qx4711marker"


@pytest.fixture
def erased(
    clean_database: None, servers: PlatformSettings, redis_client: "redis.Redis"
) -> Iterator[str]:
    """The pseudonym of somebody who was ingested from every source, sent events, and was erased."""
    for folder in (servers.lake_dir, servers.models_dir):
        shutil.rmtree(folder, ignore_errors=True)
    registry.publish(CONTRACTS.values())
    _ingest_everything(SmallShop(shop_rows(NUMBER)))
    pseudonym = Vault().lookup(CUSTOMER_NUMBER, NUMBER)
    assert pseudonym is not None
    _send(redis_client, pseudonym)
    _ingest_everything(SmallShop(shop_rows(NUMBER)))
    assert lake.count("interactions", "pseudonym", pseudonym) == 5
    [request] = requests.submit_erasures([pseudonym], "test")
    done = requests.process(request.request_id)
    assert (done.status, done.unfinished) == (RequestStatus.COMPLETED, ())
    yield pseudonym
    shutil.rmtree(servers.lake_dir, ignore_errors=True)


def _ingest_everything(shop: SmallShop) -> None:
    for table in TABLES:
        ingest(table, shop)


def _send(client: "redis.Redis", pseudonym: str) -> None:
    """The stream from its offset 0 on."""
    for number in range(3):
        client.xadd(
            "sv:events",
            {
                "event_id": f"stream-{number}",
                "pseudonym": pseudonym,
                "event_type": "page_view",
                "product_id": "P1",
                "event_timestamp": AT.isoformat(),
            },
        )


def test_a_backfill_of_every_source_a_replay_and_late_events_bring_nothing_back(
    erased: str, redis_client: "redis.Redis"
) -> None:
    late = shop_rows(NUMBER)
    late["interactions"].append(interaction("E9", NUMBER, event_timestamp=AT + timedelta(days=1)))
    for _ in range(2):
        _send(redis_client, erased)
        _ingest_everything(SmallShop(late))

    assert verify([erased], registry.load()).findings == []
    assert Vault().lookup(CUSTOMER_NUMBER, NUMBER) is None
    with connect(Role.PRIVACY) as connection:
        held = connection.execute(
            "select (select count(*) from shop.orders), (select count(*) from shop.quiz_answers), "
            "(select count(*) from requests.retained_records)"
        ).fetchone()
    assert held == (0, 0, 2), (
        "the order and its line are kept once, as the law asks, and come back nowhere"
    )


def test_who_comes_back_with_new_consent_is_somebody_new(erased: str) -> None:
    since = datetime.now(UTC) + AHEAD + timedelta(seconds=1)
    rows = shop_rows(NUMBER)
    rows["consents"].append(consent(NUMBER, "personalisation", at=since))
    rows["interactions"].append(
        interaction("E10", NUMBER, event_timestamp=since + timedelta(seconds=1))
    )
    _ingest_everything(SmallShop(rows))

    anew = Vault().lookup(CUSTOMER_NUMBER, NUMBER)
    assert anew not in (None, erased)
    with connect(Role.PRIVACY) as connection:
        agreed = connection.execute(
            "select pseudonym, purpose, agreed_since from consent.current where purpose = 'personalisation'"
        ).fetchall()
        orders = connection.execute("select count(*) from shop.orders").fetchone()
    [(subject, purpose, at)] = agreed
    assert (subject, purpose) == (anew, "personalisation")
    assert at < since, "nobody agrees later than their agreement was received"
    assert orders == (0,), "the past stays gone"
    assert lake.count("interactions", "pseudonym", anew) == 1
    assert verify([erased], registry.load()).findings == []
