"""Masks in a real Redis: written from the ledger, read in a pipeline, never older than what is there."""

from datetime import UTC, datetime, timedelta
from typing import LiteralString

import pytest
import redis

from consent import ledger, masks, objections
from consent.ledger import ConsentRecord, Decision
from consent.masks import MASK_FIELDS, TTL, Mask, decode, mask_key
from consent.purposes import needs_consent
from privacy import tombstones
from privacy.contracts import Purpose
from privacy.database import Role, connect
from privacy.stores.consent_ledger import remove_records

pytestmark = pytest.mark.usefixtures("clean_database")
SUBJECT, OTHER = "a" * 32, "b" * 32
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _state(subject: str, purpose: Purpose, decision: Decision, day: int) -> None:
    at = START + timedelta(days=day)
    key = f"{subject}|{purpose}|{day}"
    ledger.append([ConsentRecord(subject, purpose, decision, at, "banner", "1", "shop", key)])


def _lose(which: LiteralString, value: str) -> None:
    """Remove records as an erasure or the end of their retention does."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(f"select record_id from consent.records where {which}", [value])
        assert remove_records(connection, [row[0] for row in rows])


def _read(client: "redis.Redis", subject: str) -> Mask:
    pipeline = client.pipeline(transaction=False)
    pipeline.hmget(mask_key(subject), list(MASK_FIELDS))
    return decode(pipeline.execute()[0])


def test_every_subject_of_the_ledger_gets_a_mask_that_expires(redis_client: "redis.Redis") -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    _state(SUBJECT, Purpose.ANALYTICS, Decision.OPT_IN, 0)
    _state(OTHER, Purpose.ANALYTICS, Decision.OPT_OUT, 0)
    objections.object_to(SUBJECT, "lake/sessions", "api")
    assert masks.write_all() == 2
    assert _read(redis_client, SUBJECT) == Mask(0b101, frozenset({"lake/sessions"}))
    assert _read(redis_client, OTHER) == Mask()
    assert 0 < redis_client.ttl(mask_key(OTHER)) <= TTL.total_seconds()


def test_a_withdrawal_shows_after_one_refresh(redis_client: "redis.Redis") -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    assert masks.refresh(SUBJECT).serves(Purpose.PERSONALISATION, "models/lightfm")
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_OUT, 1)
    assert not masks.refresh(SUBJECT).serves(Purpose.PERSONALISATION, "models/lightfm")
    assert _read(redis_client, SUBJECT) == Mask()


def test_a_write_that_read_the_ledger_earlier_does_not_undo_a_later_one(
    redis_client: "redis.Redis",
) -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    stale = list(masks._subjects())
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_OUT, 1)
    masks.refresh(SUBJECT)
    masks._write(redis_client, stale)
    assert _read(redis_client, SUBJECT) == Mask()


def test_a_subject_erased_from_the_ledger_loses_the_key(redis_client: "redis.Redis") -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    masks.refresh(SUBJECT)
    _lose("pseudonym = %s", SUBJECT)
    assert masks.refresh(SUBJECT) == Mask()
    assert redis_client.exists(mask_key(SUBJECT)) == 0


def test_a_ledger_that_lost_statements_shows_in_the_mask(redis_client: "redis.Redis") -> None:
    _state(SUBJECT, Purpose.ANALYTICS, Decision.OPT_IN, 0)
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 1)
    _state(OTHER, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    objections.object_to(SUBJECT, "lake/sessions", "api")
    masks.write_all()
    _lose("purpose = %s", "personalisation")
    assert masks.write_all() == 1
    assert _read(redis_client, SUBJECT) == Mask(0b100, frozenset({"lake/sessions"}))
    assert redis_client.exists(mask_key(OTHER)) == 0, "nobody of the ledger any more"
    _lose("true or source = %s", "")
    assert masks.refresh(SUBJECT) == Mask(0, frozenset({"lake/sessions"}))


def test_withdrawing_everything_refuses_each_purpose_once(redis_client: "redis.Redis") -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    _state(SUBJECT, Purpose.ANALYTICS, Decision.OPT_IN, 4_000)  # by a clock that is years ahead
    added = ledger.withdraw_all(SUBJECT, "opt-out", "api")
    assert added == sum(map(needs_consent, Purpose))
    assert ledger.withdraw_all(SUBJECT, "opt-out", "api") == 0
    assert ledger.current(SUBJECT) == frozenset()
    assert len(ledger.history(SUBJECT)) == added + 2


def test_a_stale_write_does_not_bring_back_the_mask_of_who_opted_out_of_masks(
    redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    stale = list(masks._subjects())
    objections.object_to(SUBJECT, masks.ASSET_KEY, "api")
    masks.refresh(SUBJECT)
    masks._write(redis_client, stale)
    assert _read(redis_client, SUBJECT).bits == 0
    redis_client.delete(mask_key(SUBJECT))  # an erasure under way took the key
    passes = iter([stale, list(masks._subjects())])
    monkeypatch.setattr(masks, "_subjects", lambda: iter(next(passes)))
    masks.write_all()
    assert _read(redis_client, SUBJECT).bits == 0


@pytest.mark.parametrize("key", ["taken", "left behind"])
def test_a_write_under_way_gives_no_mask_to_whom_an_erasure_took(
    redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    _state(OTHER, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    masks.write_all()
    stale = list(masks._subjects())
    tombstones.record([SUBJECT], [], datetime.now(UTC))  # the ledger still has what they said
    if key == "taken":
        redis_client.delete(mask_key(SUBJECT))
    later = stale if key == "taken" else []
    passes = iter([stale, later])
    monkeypatch.setattr(masks, "_subjects", lambda: iter(next(passes)))
    masks.write_all()
    assert redis_client.exists(mask_key(SUBJECT)) == 0
    assert _read(redis_client, OTHER).bits


def test_a_subject_who_opts_out_of_the_masks_agrees_to_nothing(
    redis_client: "redis.Redis",
) -> None:
    _state(SUBJECT, Purpose.PERSONALISATION, Decision.OPT_IN, 0)
    masks.write_all()
    objections.object_to(SUBJECT, masks.ASSET_KEY, "api")
    masks.write_all()
    assert _read(redis_client, SUBJECT) == Mask(0, frozenset({masks.ASSET_KEY}))
