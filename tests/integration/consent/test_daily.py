"""The ledger's day: agreements run out, serving hears of it, the head is signed, and the command line checks it all."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from consent import chain, expiry, ledger, masks
from consent.ledger import ConsentRecord, Decision
from consent.masks import MASK_FIELDS, decode, mask_key
from consent.purposes import purpose_definitions
from orchestration.commands.consent import app
from orchestration.defs.consent.daily import consent_daily
from privacy import tombstones
from privacy.contracts import Purpose
from privacy.database import Role, admin_url, connect

SUBJECT = "a" * 32
START = datetime(2023, 1, 1, tzinfo=UTC)
PURPOSE = Purpose.PERSONALISATION
VALID = purpose_definitions()[PURPOSE].valid_for_days or 0


def _said(decision: Decision, day: int) -> ConsentRecord:
    at = START + timedelta(days=day)
    key = f"{decision}|{day}"
    return ConsentRecord(SUBJECT, PURPOSE, decision, at, "banner", "3.0", "shop", key)


def _state() -> tuple[list[tuple[int, int | None]], frozenset[Purpose]]:
    with connect(Role.DBT) as connection:
        rows = connection.execute(
            "select valid_from, valid_to from consent.intervals where pseudonym = %s order by 1",
            [SUBJECT],
        ).fetchall()
    days = [((a - START).days, (b - START).days if b else None) for a, b in rows]
    return days, ledger.current(SUBJECT)


@pytest.mark.usefixtures("clean_database")
def test_an_agreement_runs_out_once_and_serving_refuses(redis_client: "redis.Redis") -> None:
    ledger.append([_said(Decision.OPT_IN, 0)])
    assert expiry.expire(START + timedelta(days=VALID) - timedelta(seconds=1)) == 0
    assert masks.refresh(SUBJECT).serves(PURPOSE, "models/lightfm")
    assert consent_daily.execute_in_process().success
    reply = redis_client.hmget(mask_key(SUBJECT), list(MASK_FIELDS))
    assert not decode(reply).serves(PURPOSE, "models/lightfm")  # type: ignore[arg-type]
    assert expiry.expire() == 0
    said = ledger.history(SUBJECT)[-1]
    assert (said.decision, said.mechanism) == (Decision.EXPIRED, "expiry")
    assert said.stated_at == START + timedelta(days=VALID)
    assert said.agreed_at == START
    head = chain.latest_head()
    assert head
    assert head.number == 2


@pytest.mark.usefixtures("clean_database")
def test_nothing_runs_out_of_somebody_whose_erasure_was_begun(redis_client: "redis.Redis") -> None:
    ledger.append([_said(Decision.OPT_IN, 0)])
    tombstones.record([SUBJECT], [], START)
    assert expiry.expire() == 0
    assert [said.decision for said in ledger.history(SUBJECT)] == [Decision.OPT_IN]
    assert redis_client.exists(mask_key(SUBJECT)) == 0


@pytest.mark.usefixtures("clean_database")
def test_who_agrees_again_in_time_stays_and_who_does_later_starts_anew() -> None:
    ledger.append([_said(Decision.OPT_IN, 0), _said(Decision.OPT_IN, VALID)])
    now = START + timedelta(days=VALID + 1)
    assert expiry.expire(now) == 0
    assert _state() == ([(0, None)], {PURPOSE})
    assert expiry.expire(now + timedelta(days=VALID)) == 1
    ledger.append([_said(Decision.OPT_IN, 3 * VALID)])
    assert _state() == ([(0, 2 * VALID), (3 * VALID, None)], {PURPOSE})


def _begin_empty() -> None:
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("truncate consent.records, consent.links, consent.erased")


statements = st.lists(
    st.builds(
        _said, st.sampled_from((Decision.OPT_IN, Decision.OPT_OUT)), st.integers(0, 4).map(lambda n: n * VALID // 2)
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda record: record.source_key,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(statements.flatmap(lambda said: st.tuples(st.permutations([*said, *said]), st.just(said))))
def test_expiries_in_between_and_late_statements_end_in_one_state(
    servers: object, drawn: tuple[Sequence[ConsentRecord], Sequence[ConsentRecord]]
) -> None:
    arrivals, said = drawn
    now = START + timedelta(days=4 * VALID)
    _begin_empty()
    ledger.append(sorted(said, key=lambda record: record.stated_at))
    expiry.expire(now)
    expected = _state()
    _begin_empty()
    for record in arrivals:
        ledger.append([record])
        expiry.expire(max(record.stated_at, START) + timedelta(days=VALID))
    expiry.expire(now)
    assert _state() == expected


@pytest.mark.usefixtures("clean_database")
def test_the_command_line_names_what_is_wrong_and_fails(tmp_path: Path) -> None:
    run = CliRunner()
    ledger.append([_said(Decision.OPT_IN, day) for day in range(3)])
    (tmp_path / "head.json").write_text(run.invoke(app, ["head", "--sign"]).output)
    (tmp_path / "key.pem").write_text(run.invoke(app, ["public-key"]).output)
    arguments = ["verify", "--public-key", str(tmp_path / "key.pem"), "--head", str(tmp_path / "head.json")]  # fmt: skip
    sound = run.invoke(app, arguments)
    assert sound.exit_code == 0, sound.output
    assert "3 records" in sound.output
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update consent.records set decision = 'opt_out' where source_key = 'opt_in|1'")  # fmt: skip
    broken = run.invoke(app, [*arguments, "--json"])
    assert broken.exit_code == 1
    document = json.loads(broken.output)
    assert document["findings"] == ["Record 2 was edited after it was received."]
    assert SUBJECT not in broken.output
    wrong = run.invoke(app, ["verify", "--head", str(tmp_path / "key.pem")])
    assert wrong.exit_code == 2


@pytest.mark.usefixtures("clean_database")
def test_the_command_line_says_that_no_head_was_signed() -> None:
    assert CliRunner().invoke(app, ["head"]).exit_code == 1
