"""The ledger in a real Postgres: append once, converge whatever the order, object and take it back."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pyarrow as pa
import pytest

from consent import ledger, objections
from consent.ledger import ConsentRecord, Decision, LedgerError
from privacy.contracts import Purpose
from privacy.database import Role, connect

pytestmark = pytest.mark.usefixtures("clean_database")
SUBJECT, OTHER = "a" * 32, "b" * 32
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _record(
    decision: str, day: int, key: str, subject: str = SUBJECT, purpose: str = "analytics"
) -> ConsentRecord:
    return ConsentRecord(
        subject,
        Purpose(purpose),
        Decision(decision),
        START + timedelta(days=day),
        "banner",
        "2026-01",
        "shop",
        key,
        {"page": "checkout"},
    )


def _intervals(subject: str = SUBJECT) -> list[tuple[int, int | None, bool]]:
    with connect(Role.DBT) as connection:
        rows = connection.execute(
            "select valid_from, valid_to, agreed_now from consent.intervals where pseudonym = %s "
            "order by valid_from",
            [subject],
        ).fetchall()
    return [((a - START).days, (b - START).days if b else None, now) for a, b, now in rows]


def test_a_statement_enters_once() -> None:
    records = [_record("opt_in", 0, "k1"), _record("opt_out", 5, "k2")]
    assert ledger.append(records) == 2
    assert ledger.append([*records, _record("opt_in", 9, "k3")]) == 1
    assert ledger.history(SUBJECT) == [*records, _record("opt_in", 9, "k3")]
    assert ledger.state().records >= 3


def test_an_arrow_table_enters_as_a_list_does() -> None:
    table = pa.table(
        {
            "pseudonym": [SUBJECT, OTHER],
            "purpose": ["analytics", "personalisation"],
            "decision": ["opt_in", "opt_in"],
            "stated_at": pa.array([START, START], pa.timestamp("us", "UTC")),
            "mechanism": ["banner", "banner"],
            "policy_version": ["1", "1"],
            "source": ["shop", "shop"],
            "source_key": ["k1", "k2"],
        }
    )
    assert ledger.append(table) == 2
    assert ledger.append(table) == 0
    assert ledger.current(OTHER) == {Purpose.PERSONALISATION}
    with pytest.raises(LedgerError, match="Unknown purpose 'profiling'"):
        ledger.append(table.set_column(1, "purpose", pa.array(["profiling", "analytics"])))
    with pytest.raises(LedgerError, match="lack the columns source_key"):
        ledger.append(table.drop_columns(["source_key"]))


def test_statements_converge_in_whatever_order_they_arrive() -> None:
    records = [
        _record("opt_in", 0, "k1"),
        _record("opt_in", 2, "k2"),
        _record("opt_out", 4, "k3"),
        _record("opt_in", 6, "k4"),
    ]
    for number, arrival in enumerate(permutations(records)):
        subject = f"{number:032x}"
        for record in arrival:
            ledger.append(
                [
                    _record(
                        record.decision,
                        (record.stated_at - START).days,
                        f"{subject}{record.source_key}",
                        subject,
                    )
                ]
            )
        assert _intervals(subject) == [(0, 4, True), (6, None, True)]


def test_of_two_statements_at_one_time_the_refusal_wins() -> None:
    ledger.append([_record("opt_out", 3, "k1"), _record("opt_in", 3, "k2")])
    assert _intervals() == []
    assert ledger.current(SUBJECT) == frozenset()


def test_a_withdrawal_ends_the_interval_and_agreement_now() -> None:
    ledger.append([_record("opt_in", 0, "k1"), _record("opt_out", 3, "k2")])
    assert _intervals() == [(0, 3, False)]
    assert ledger.current(SUBJECT) == frozenset()


def test_an_objection_holds_until_it_is_taken_back() -> None:
    assert objections.object_to(SUBJECT, "lake/sessions", "api")
    assert not objections.object_to(SUBJECT, "lake/sessions", "api")
    objections.object_to(OTHER, "models/lightfm", "api")
    assert objections.withheld("lake/sessions") == {SUBJECT}
    assert objections.objections_of(SUBJECT) == {"lake/sessions"}
    assert objections.withdraw(SUBJECT, "lake/sessions", "api")
    assert not objections.withdraw(SUBJECT, "lake/sessions", "api")
    assert objections.withheld("lake/sessions") == frozenset()


def test_the_application_cannot_change_or_remove_a_statement() -> None:
    import psycopg

    ledger.append([_record("opt_in", 0, "k1")])
    for statement in (
        "update consent.records set decision = 'opt_in'",
        "delete from consent.records",
    ):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            connect(Role.CONSENT) as connection,
        ):
            connection.execute(statement)  # type: ignore[arg-type]
