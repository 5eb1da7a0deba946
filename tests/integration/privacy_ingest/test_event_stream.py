import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from consent import ledger, objections
from consent.ledger import ConsentRecord, Decision
from orchestration.ingest.event_stream import STREAM
from orchestration.ingest.run import ingest
from privacy import lake, tombstones
from privacy.contracts import Purpose
from privacy.database import Role, connect
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.integration.privacy_ingest.small_shop import SmallShop

pytestmark = pytest.mark.usefixtures("clean_platform")
EMPTY = SmallShop({})


def _say(
    pseudonym: str,
    decision: Decision = Decision.OPT_IN,
    purpose: Purpose = Purpose.ANALYTICS,
    at: datetime = datetime(2026, 2, 1, tzinfo=UTC),
) -> str:
    """Record a statement, in February unless said otherwise; gives the pseudonym."""
    key = secrets.token_hex(8)
    ledger.append([ConsentRecord(pseudonym, purpose, decision, at, "test", "1", "test", key)])
    return pseudonym


def _agreeing() -> str:
    return _say(secrets.token_hex(16))


def _send(client: "redis.Redis", pseudonym: str, event: str, **fields: str) -> None:
    client.xadd(
        STREAM,
        {
            "event_id": event,
            "pseudonym": pseudonym,
            "event_type": "click",
            "event_timestamp": "2026-03-01T12:00:00+00:00",
            **fields,
        },
    )  # type: ignore[arg-type]


def _events() -> list[dict[str, Any]]:
    table = lake.open_table("interactions").to_pyarrow_table().sort_by("product_id")
    return list(table.to_pylist())


def test_events_of_the_stream_reach_the_lake_once_and_leave_the_stream(
    redis_client: "redis.Redis",
) -> None:
    pseudonym = _agreeing()
    for _ in range(2):
        _send(redis_client, pseudonym, "E1", product_id="P1", position="3", session="")
    _send(redis_client, pseudonym, "E2", product_id="P2", dwell_seconds="1.5",
          event_timestamp="1772366400000001")  # fmt: skip
    summary = ingest("interactions", EMPTY)
    assert (summary.read, summary.streamed, summary.unchanged, summary.total) == (3, 2, 1, 2)
    first, second = _events()
    assert (first["position"], first["session"], first["source"]) == (3, None, "stream")
    assert second["event_timestamp"] == datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert second["dwell_seconds"] == 1.5
    assert redis_client.xlen(STREAM) == 0
    _send(redis_client, pseudonym, "E1", product_id="P1")
    assert ingest("interactions", EMPTY).written == 0


def test_entries_that_are_no_event_are_quarantined_without_their_content(
    redis_client: "redis.Redis",
) -> None:
    pseudonym = _agreeing()
    _send(redis_client, pseudonym, "E1", event_type="hack")
    _send(redis_client, pseudonym, "E2", event_timestamp="yesterday")
    _send(redis_client, pseudonym, "E3", event_timestamp="2026-03-01T12:00:00")
    _send(redis_client, pseudonym, "E4", position="first")
    _send(redis_client, "", "E5")
    _send(redis_client, pseudonym, "E6")
    summary = ingest("interactions", EMPTY)
    assert (summary.quarantined, summary.written) == (5, 1)
    with connect(Role.INGEST) as connection:
        reasons = connection.execute(
            "select distinct reason from shop.quarantine where source = 'stream' order by 1"
        ).fetchall()
    assert [reason for (reason,) in reasons] == [
        "missing:pseudonym",
        "unknown:event_type",
        "unparsable:event_timestamp",
        "unparsable:position",
    ]
    assert redis_client.xlen(STREAM) == 0


def test_events_of_erased_subjects_and_of_objectors_are_not_stored(
    redis_client: "redis.Redis",
) -> None:
    erased, objector, other = (_agreeing() for _ in range(3))
    tombstones.record([erased], [], datetime.now(UTC))
    objections.object_to(objector, "lake/interactions", "test")
    for number, pseudonym in enumerate((erased, objector, other)):
        _send(redis_client, pseudonym, f"E{number}")
    summary = ingest("interactions", EMPTY)
    assert (summary.tombstoned, summary.withheld, summary.written) == (1, 1, 1)
    assert [event["pseudonym"] for event in _events()] == [other]


def test_a_query_is_masked_with_what_the_vault_knows(redis_client: "redis.Redis") -> None:
    vault = Vault()
    pseudonym = vault.resolve(CUSTOMER_NUMBER, ["C1"], create=True)[0]
    assert pseudonym
    _say(pseudonym)
    vault.store_direct([pseudonym], {"name": ["Ada Lovelace"]})
    _send(redis_client, pseudonym, "E1", query="dress for lovelace")
    ingest("interactions", EMPTY)
    assert [event["query"] for event in _events()] == ["dress for <PERSON>"]


def test_events_that_arrive_while_the_lake_fails_stay_in_the_stream(
    redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    _send(redis_client, _agreeing(), "E1")

    def fail(*_: object) -> int:
        raise lake.LakeError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("orchestration.ingest.run.append_interactions", fail)
        with pytest.raises(lake.LakeError):
            ingest("interactions", EMPTY)
    assert redis_client.xlen(STREAM) == 1
    assert ingest("interactions", EMPTY).written == 1


def test_events_of_who_withdrew_before_they_were_taken_in_are_dropped(
    redis_client: "redis.Redis",
) -> None:
    march = datetime(2026, 3, 2, tzinfo=UTC)
    stays, withdrew, narrowed, silent, late = (secrets.token_hex(16) for _ in range(5))
    for pseudonym in (stays, withdrew, narrowed):
        _say(pseudonym)
    for pseudonym in (withdrew, narrowed):
        _say(pseudonym, purpose=Purpose.PERSONALISATION)
        _say(pseudonym, Decision.OPT_OUT, Purpose.PERSONALISATION, march)
    _say(withdrew, Decision.OPT_OUT, at=march)
    _say(late, at=march)  # after the event
    for number, pseudonym in enumerate((stays, withdrew, narrowed, silent, late)):
        _send(redis_client, pseudonym, f"E{number}", product_id=f"P{number}")
    summary = ingest("interactions", EMPTY)
    assert (summary.withheld, summary.written) == (3, 2)
    assert [event["pseudonym"] for event in _events()] == [stays, narrowed]
    assert redis_client.xlen(STREAM) == 0
