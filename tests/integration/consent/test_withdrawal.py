"""A withdrawal drops what serves it online, whatever is registered, and marks the models that used its subject."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from consent import ledger, masks, models, objections, withdrawal
from consent.ledger import ConsentRecord, Decision
from privacy import registry
from privacy.contracts import (
    AssetContract,
    Category,
    LegalBasis,
    Purpose,
    RedisStore,
    Retention,
    Withhold,
)
from privacy.database import Role, connect
from privacy.stores import handler_for
from privacy.stores.consent_ledger import remove_records

SUBJECT, OTHER = "a" * 32, "b" * 32
MODEL = "models/lightfm"
TRAINING, PERSONALISATION = Purpose.MODEL_TRAINING, Purpose.PERSONALISATION
# A store that nothing of this code knows: what it holds, and for what, its contract says.
ASSIGNMENTS = AssetContract(
    key="experiments/assignments",
    owner="team:experiments",
    description="Which variant a subject sees.",
    category=Category.PSEUDONYMOUS,
    purposes=(Purpose.EXPERIMENTATION,),
    legal_basis=LegalBasis.CONSENT,
    retention=Retention(days=90),
    store=RedisStore(pattern="sv:assigned:{{pseudonym}}:*"),
    subject="pseudonym",
    withhold=Withhold(at="read", within=timedelta(seconds=1)),
)


@pytest.fixture(autouse=True)
def _registered(clean_database: None) -> Iterator[None]:
    registry.publish([ASSIGNMENTS])
    yield
    registry.publish([])


def _say(decision: Decision, *purposes: Purpose, subject: str = SUBJECT) -> None:
    now = datetime.now(UTC)
    ledger.append(
        [
            ConsentRecord(
                subject, purpose, decision, now, "test", "1", "test", f"{subject}{purpose}{now}"
            )
            for purpose in purposes
        ]
    )


def _hold(client: "redis.Redis", subject: str = SUBJECT) -> None:
    client.lpush(f"sv:session:{{{subject}}}", "click\tP1")
    client.sadd(f"sv:seen:{{{subject}}}", "e1")
    client.set(f"sv:assigned:{{{subject}}}:ranking", "b")


def _held(client: "redis.Redis", subject: str = SUBJECT) -> set[str]:
    keys: Any = client.keys(f"sv:*{subject}*")
    return {key.decode().split(":")[1] for key in keys} - {"consent"}


@pytest.mark.parametrize(
    ("withdrawn", "left"),
    [
        ([Purpose.EXPERIMENTATION], {"session", "seen"}),
        ([PERSONALISATION], {"assigned"}),
        ([Purpose.EXPERIMENTATION, PERSONALISATION], set()),
        ([Purpose.MARKETING_EMAIL], {"assigned", "session", "seen"}),
    ],
)
def test_what_serves_the_withdrawn_purposes_is_dropped_and_nothing_else(
    redis_client: "redis.Redis", withdrawn: list[Purpose], left: set[str]
) -> None:
    for subject in (SUBJECT, OTHER):
        _say(Decision.OPT_IN, *(set(Purpose) - {Purpose.SERVICE}), subject=subject)
        masks.refresh(subject)
        _hold(redis_client, subject)
    _say(Decision.OPT_OUT, *withdrawn)
    withdrawal.apply(SUBJECT, withdrawn)
    assert _held(redis_client) == left
    assert _held(redis_client, OTHER) == {"assigned", "session", "seen"}
    mask = masks.masks_of(redis_client, [SUBJECT])[SUBJECT]
    assert not any(mask.serves(purpose, "models/any") for purpose in withdrawn)


def test_who_agreed_again_meanwhile_keeps_what_they_have(redis_client: "redis.Redis") -> None:
    _say(Decision.OPT_IN, PERSONALISATION)
    _say(Decision.OPT_OUT, PERSONALISATION)
    _say(Decision.OPT_IN, PERSONALISATION)
    _hold(redis_client)
    assert withdrawal.apply(SUBJECT, [PERSONALISATION]) == {}
    assert "session" in _held(redis_client)


def test_many_refusals_at_once_reach_those_who_are_served(redis_client: "redis.Redis") -> None:
    _say(Decision.OPT_IN, PERSONALISATION)
    _say(Decision.OPT_IN, PERSONALISATION, subject=OTHER)
    masks.write_all()
    _hold(redis_client)
    _hold(redis_client, OTHER)
    _say(Decision.OPT_OUT, PERSONALISATION)
    assert withdrawal.catch_up([SUBJECT, OTHER, "c" * 32]) == 1
    assert withdrawal.catch_up([SUBJECT, OTHER]) == 0
    assert "session" not in _held(redis_client)
    assert "session" in _held(redis_client, OTHER)


def _train() -> None:
    models.trained(MODEL, "v1", [TRAINING, PERSONALISATION], models.snapshot())


@pytest.mark.parametrize("purpose", [TRAINING, PERSONALISATION])
def test_a_model_is_due_once_for_each_subject_it_used_until_it_is_trained_anew(
    purpose: Purpose,
) -> None:
    _say(Decision.OPT_IN, TRAINING, PERSONALISATION)
    _train()
    for decision in (Decision.OPT_OUT, Decision.OPT_IN, Decision.OPT_OUT):
        _say(decision, purpose)
    assert models.due()[MODEL].subjects == 1
    _train()
    assert models.due() == {}


def test_whom_a_model_never_used_it_need_not_forget() -> None:
    _say(Decision.OPT_IN, PERSONALISATION)
    _say(Decision.OPT_OUT, TRAINING)
    _train()
    _say(Decision.OPT_IN, TRAINING)  # after the training
    _say(Decision.OPT_OUT, TRAINING, PERSONALISATION)
    _say(Decision.OPT_OUT, TRAINING, subject=OTHER)
    assert models.due() == {}


def test_an_objection_to_the_model_marks_it_and_one_to_another_asset_does_not() -> None:
    for subject in (SUBJECT, OTHER):
        _say(Decision.OPT_IN, TRAINING, PERSONALISATION, subject=subject)
    _train()
    objections.object_to(SUBJECT, "lake/sessions", "test")
    assert models.due() == {}
    objections.object_to(SUBJECT, MODEL, "test")
    assert models.due()[MODEL].subjects == 1
    objections.object_to(OTHER, "*", "restriction")
    assert models.due()[MODEL].subjects == 2


def test_whose_data_should_not_have_been_read_is_found_whatever_they_did_since() -> None:
    subjects = [f"{number:032x}" for number in range(7)]
    for subject in subjects[:6]:
        _say(Decision.OPT_IN, TRAINING, subject=subject)
    before = models.snapshot()
    stays, withdraws, returns, objects, elsewhere, erased, unknown = subjects
    _say(Decision.OPT_IN, TRAINING, subject=stays)
    _say(Decision.OPT_OUT, TRAINING, subject=withdraws)
    _say(Decision.OPT_OUT, TRAINING, subject=returns)
    _say(Decision.OPT_IN, TRAINING, subject=returns)
    objections.object_to(objects, MODEL, "test")
    objections.object_to(elsewhere, "lake/sessions", "test")
    _say(Decision.OPT_OUT, PERSONALISATION, subject=elsewhere)
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select record_id from consent.records where pseudonym = %s", [erased]
        ).fetchall()
        remove_records(connection, [row[0] for row in rows])
    left = models.left_since(before, subjects, TRAINING, [MODEL])
    assert left == {withdraws, returns, objects, erased, unknown}


def test_what_is_due_is_found_and_erased_with_its_subject() -> None:
    _say(Decision.OPT_IN, TRAINING, PERSONALISATION)
    _train()
    _say(Decision.OPT_OUT, TRAINING)
    contract = registry.load().get("platform/models_due")
    assert handler_for(contract).find(contract, [SUBJECT, OTHER]) == {SUBJECT: 1}
    assert handler_for(contract).erase(contract, [SUBJECT]) == 1
    assert models.due() == {}
