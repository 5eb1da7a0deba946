"""What retention deletes, or would delete, no ingest brings back: both count with one rule, and from one day."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import redis

from consent import ledger
from orchestration.defs.ingest.contracts import CONTRACTS
from orchestration.ingest.event_stream import STREAM
from orchestration.ingest.overdue import limit_of
from orchestration.ingest.run import ingest
from orchestration.retention_clock import data_as_of
from orchestration.sources.model import TABLES
from privacy import registry
from privacy.database import Role, connect
from privacy.identifiers import EMAIL
from privacy.retention import RetentionReport, enforce
from privacy.settings import PlatformSettings
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.integration.privacy_ingest.small_shop import (
    SmallShop,
    consent,
    customer,
    interaction,
    shop_rows,
)

pytestmark = pytest.mark.usefixtures("clean_platform")
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=4000)
AGEING = sorted(name for name in TABLES if name not in ("products", "inventory", "consents"))


@pytest.fixture(autouse=True)
def _published(clean_platform: None) -> None:
    registry.publish(CONTRACTS.values())


def _retained(**options: Any) -> dict[str, tuple[int, int]]:
    """What retention deleted and left, by asset of the shop."""
    report: RetentionReport = enforce(registry.load(), as_of=data_as_of(), **options)
    own = [entry for entry in report.assets if entry.asset in {c.key for c in CONTRACTS.values()}]
    assert [entry.error for entry in own] == [None] * len(own)
    return {entry.asset: (entry.deleted, entry.left) for entry in own}


def _dated(table: str, at: datetime, key: str = "") -> Mapping[str, Any]:
    """A row of a table from that moment, with a key of its own."""
    row = {**shop_rows()[table][0], TABLES[table].time: at}
    return row | {name: f"{row[name]}{key}" for name in TABLES[table].key}


@pytest.mark.parametrize("table", AGEING)
def test_a_source_that_repeats_what_retention_deleted_brings_nothing_back(
    table: str, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = SmallShop({table: [_dated(table, NOW - timedelta(days=30))]})
    assert ingest(table, shop).written == 1
    monkeypatch.setattr(settings, "retention_as_of", (NOW + timedelta(days=4000)).date())
    key = CONTRACTS[table].key
    assert _retained()[key] == (1, 0)

    again = ingest(table, shop)

    assert (again.overdue, again.written, again.unchanged, again.total) == (1, 0, 0, 0)
    assert _retained(dry_run=True)[key] == (0, 0)


@pytest.mark.parametrize("table", AGEING)
def test_the_ingest_refuses_to_the_microsecond_what_retention_would_delete(
    table: str, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "retention_as_of", date(2024, 2, 29))
    limit = limit_of(table)
    assert limit
    rows = [
        _dated(table, limit.before - timedelta(microseconds=1), "old"),
        _dated(table, limit.before, "young"),
    ]

    summary = ingest(table, SmallShop({table: rows}))

    assert (summary.overdue, summary.written) == (1, 1)
    key = CONTRACTS[table].key
    assert _retained(dry_run=True)[key] == (0, 0)
    monkeypatch.setattr(settings, "retention_as_of", date(2025, 3, 1))
    assert _retained(dry_run=True)[key] == (1, 0)


def test_who_left_the_vault_is_not_met_again() -> None:
    shop = SmallShop(
        {
            "customers": [customer("gone", updated_at=LONG_AGO)],
            "orders": [_dated("orders", LONG_AGO) | {"subject_id": "gone"}],
            "interactions": [interaction("E1", "gone", event_timestamp=LONG_AGO)],
        }
    )
    for table in shop.tables():
        assert ingest(table, shop).overdue == 1
    with connect(Role.PRIVACY) as connection:
        assert connection.execute("select count(*) from vault.subjects").fetchone() == (0,)


def test_of_a_customer_who_is_known_otherwise_name_address_and_age_stay_known() -> None:
    born = (NOW - timedelta(days=14 * 366)).date()
    old = customer("child", updated_at=LONG_AGO, signed_up_at=LONG_AGO, birth_date=born)
    shop = SmallShop({"customers": [old], "consents": [consent("child", "personalisation")]})

    ingest("customers", shop)
    assert Vault().lookup(CUSTOMER_NUMBER, "child") is None
    ingest("consents", shop)

    subject = Vault().lookup(CUSTOMER_NUMBER, "child")
    assert subject
    assert Vault().reveal(subject)["name"] == "Ada Qxmarkername"
    assert Vault().lookup(EMAIL, "qxmarkermail@shop.test") == subject
    assert ledger.current(subject) == frozenset(), "a child's own agreement does not count"
    with connect(Role.PRIVACY) as connection:
        assert connection.execute("select count(*) from shop.customers").fetchone() == (0,)


def test_an_old_event_of_the_stream_is_refused(redis_client: "redis.Redis") -> None:
    name = Vault().resolve(CUSTOMER_NUMBER, ["n1"], create=True)[0]
    event = {"pseudonym": name, "event_type": "click", "event_id": "e1"}
    redis_client.xadd(STREAM, {**event, "event_timestamp": LONG_AGO.isoformat()})  # type: ignore[dict-item]
    summary = ingest("interactions", SmallShop({}))
    assert (summary.overdue, summary.streamed) == (1, 0)
    assert redis_client.xlen(STREAM) == 0
