"""Erased stays erased: a replay from the stream's beginning, a re-ingest, a backfill of every asset, late events, a restored backup."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.ingest.run import ingest
from orchestration.servers.ranker import start_ranker
from orchestration.sources.connector import open_source
from privacy import registry
from privacy.restore import RestoredError, after_restore, refuse_restored
from privacy.stores import handler_for
from privacy.stores.redis import redis_client
from privacy.vault import CUSTOMER_NUMBER, Vault
from serving.auth import Scope
from tests.adversarial.canaries import Canary
from tests.adversarial.drills import STREAM, ingest_everything, replay
from tests.adversarial.traces import traces
from tests.adversarial.whole_platform import Platform


@dataclass(frozen=True)
class Left:
    """Who was erased, every entry that the stream ever held then, and a reference from before."""

    canaries: Sequence[Canary]
    entries: Sequence[tuple[bytes, dict[bytes, bytes]]]
    reference: str


@pytest.fixture(scope="module")
def left(platform: Platform) -> Left:
    canaries = platform.take(3)
    platform.send_events(canaries)
    with redis_client() as client:
        entries = client.xrange(STREAM)
    named = {value.decode() for _, fields in entries for value in fields.values()}
    assert named >= set(platform.pseudonyms(canaries)), "their events wait in the stream"
    with platform.api(Scope.STOREFRONT) as client:
        reference = platform.reference(client, canaries[0])
    platform.erase(canaries)
    return Left(canaries, entries, reference)


def present(platform: Platform, canaries: Sequence[Canary]) -> list[str]:
    """What holds them: any asset by its handler, the vault by the raw number, any byte."""
    names = platform.pseudonyms(canaries)
    held = [
        contract.key
        for contract in registry.load().holding_subjects
        if handler_for(contract).find(contract, names)
    ]
    numbers = [canary.customer_number for canary in canaries]
    known = Vault().resolve(CUSTOMER_NUMBER, numbers, create=False)
    return [*held, *(["vault"] if any(known) else []), *traces(platform, canaries)]


def test_a_replay_from_the_streams_beginning_brings_nobody_back(
    platform: Platform, left: Left
) -> None:
    replay(left.entries)
    dropped = ingest("interactions", open_source("simulator", platform.settings.shop_home))
    assert dropped.tombstoned > 0
    assert dropped.written == dropped.streamed, "nothing but events of those who stay"
    assert present(platform, left.canaries) == []


def test_late_events_under_an_old_reference_are_not_stored(platform: Platform, left: Left) -> None:
    event = {"event_id": "late-event-1", "event_type": "click", "product_id": "SEL-00001"}
    with platform.api(Scope.STOREFRONT) as client:
        answer = client.post(
            "/v1/events",
            json={"events": [event | {"event_timestamp": _now()}]},
            headers={"Selvedge-Subject": left.reference},
        )
    assert (answer.status_code, answer.json()["accepted"]) == (202, 0)
    assert present(platform, left.canaries) == []


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()


def test_a_reingest_and_a_backfill_of_every_asset_bring_nobody_back(
    platform: Platform, left: Left
) -> None:
    assert ingest_everything(platform) >= len(left.canaries) * len(("customer", "order", "event"))
    assert present(platform, left.canaries) == []
    platform.materialise()
    assert present(platform, left.canaries) == []


@pytest.fixture
def backup(platform: Platform, tmp_path: Path) -> Iterator[Path]:
    platform.back_up(tmp_path / "backup")
    yield tmp_path / "backup"
    start_ranker(platform.settings)


def test_a_restored_backup_is_refused_until_all_who_left_since_are_erased_again(
    platform: Platform, backup: Path
) -> None:
    canaries = platform.take(2)
    platform.erase(canaries)
    platform.restore(backup)
    assert set(present(platform, canaries)) >= {"lake/interactions", "vault"}, "it holds them"

    with pytest.raises(RestoredError):
        refuse_restored()
    report = after_restore()

    assert (report.returned, report.incomplete) == (len(canaries), ())
    refuse_restored()
    assert present(platform, canaries) == []
