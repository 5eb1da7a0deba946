"""The ledger's chain in a real Postgres: what an attacker with the database changes is found and named."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from threading import Thread
from typing import Any, LiteralString

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent import chain, ledger
from consent.ledger import ConsentRecord, Decision
from consent.verification import verify_chain
from privacy.contracts import (
    AssetContract,
    Category,
    LegalBasis,
    PostgresStore,
    Purpose,
    Retention,
    Withhold,
)
from privacy.database import Role, admin_url, connect
from privacy.signing import public_key_pem
from privacy.stores import handler_for
from privacy.verification import search_postgres

pytestmark = pytest.mark.usefixtures("clean_database")
SUBJECT, OTHER = "a" * 32, "b" * 32
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTRACT = AssetContract(
    key="consent/records",
    owner="team:privacy",
    description="The ledger.",
    category=Category.PSEUDONYMOUS,
    purposes=(Purpose.SERVICE,),
    legal_basis=LegalBasis.LEGAL_OBLIGATION,
    retention=Retention(days=3650),
    store=PostgresStore(schema_name="consent", table="records"),
    subject="pseudonym",
    withhold=Withhold(at="read", within=timedelta(seconds=1)),
    handler="consent_ledger",
)


def _statement(number: int, subject: str = SUBJECT) -> ConsentRecord:
    return ConsentRecord(
        subject,
        Purpose.ANALYTICS,
        Decision.OPT_OUT if number % 2 else Decision.OPT_IN,
        START + timedelta(days=number),
        "banner",
        "3.0",
        "shop",
        f"key-{number}",
        {"reference": f"ü:{number}", "page": None},
        language="de" if number % 3 else None,
    )


@pytest.fixture
def ten_records() -> None:
    """Ten records, six of SUBJECT and four of OTHER, under a signed head."""
    for number in range(10):
        ledger.append([_statement(number, OTHER if number in (2, 3, 6, 7) else SUBJECT)])
    chain.sign_head()


def _attack(*statements: LiteralString) -> None:
    """Do what a superuser can, past every trigger."""
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)


def _erase(subject: str) -> int:
    return handler_for(CONTRACT).erase(CONTRACT, [subject])


def _rows(query: LiteralString) -> list[tuple[Any, ...]]:
    with connect(Role.PRIVACY) as connection:
        return connection.execute(query).fetchall()


def test_a_sound_chain_is_found_sound(ten_records: None) -> None:
    report = verify_chain()
    assert (report.findings, report.records, report.signed_until) == ([], 10, 10)
    assert (report.erased, report.heads) == (0, 1)


def test_an_empty_ledger_is_sound_and_its_head_still_holds_when_it_grows() -> None:
    chain.sign_head()
    assert verify_chain().findings == []
    ledger.append([_statement(0)])
    assert verify_chain().findings == []


def test_a_batch_is_chained_in_one_statement_and_repeats_add_no_link() -> None:
    records = [_statement(number) for number in range(50)]
    assert ledger.append(records[:30]) == 30
    assert ledger.append(records) == 20
    report = verify_chain()
    assert (report.records, report.findings) == (50, [])
    assert [row[0] for row in _rows("select number from consent.links order by 1")] == [
        *range(1, 51)
    ]


def test_writers_at_the_same_time_make_one_chain() -> None:
    def write(writer: int) -> None:
        for number in range(10):
            ledger.append([_statement(100 * writer + number), _statement(5_000 + number)])

    threads = [Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify_chain()
    assert (report.records, report.findings) == (50, [])


FIELDS = {
    "pseudonym": "repeat('c', 32)",
    "purpose": "'model_training'",
    "decision": "case decision when 'opt_in' then 'opt_out' else 'opt_in' end",
    "stated_at": "stated_at + interval '1 microsecond'",
    "received_at": "received_at - interval '1 day'",
    "mechanism": "'assumed'",
    "language": "'fr'",
    "policy_version": "'2.1'",
    "policy_sha256": "repeat('0', 64)",
    "source": "'api'",
    "source_key": "'other'",
    "proof": "'{}'",
    "salt": "gen_random_uuid()",
}


@pytest.mark.parametrize("column", FIELDS)
def test_an_edited_record_is_named(ten_records: None, column: str) -> None:
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        changed = psycopg.sql.SQL(
            "update consent.records set {} = {} where record_id = "
            "(select record_id from consent.links where number = 5)"
        ).format(psycopg.sql.Identifier(column), psycopg.sql.SQL(FIELDS[column]))  # type: ignore[arg-type]
        assert connection.execute(changed).rowcount == 1
    assert verify_chain().findings == ["Record 5 was edited after it was received."]


def test_every_field_of_a_record_is_under_the_chain() -> None:
    columns = _rows(
        "select column_name from information_schema.columns "
        "where table_schema = 'consent' and table_name = 'records'"
    )
    assert {row[0] for row in columns} == {*chain.FIELDS, "salt"}
    assert {*chain.FIELDS} - {*FIELDS} == {"record_id", "agreed_at"}


ATTACKS: dict[str, tuple[tuple[LiteralString, ...], str]] = {
    "removed": (
        ("delete from consent.records where source_key = 'key-4'",),
        "Record 5 was removed: no erasure names it.",
    ),
    "removed with its link": (
        (
            "delete from consent.links where number = 5",
            "delete from consent.records where source_key = 'key-4'",
        ),
        "Record 5 is missing with its link.",
    ),
    "link removed alone": (
        ("delete from consent.links where number between 5 and 6",),
        "Records 5 to 6 are missing with their links.",
    ),
    "reordered": (
        (
            "update consent.links set number = -5 where number = 5",
            "update consent.links set number = 5 where number = 6",
            "update consent.links set number = 6 where number = -5",
        ),
        "Record 5: its link does not follow",
    ),
    "two records changed places": (
        (
            "update consent.links set record_id = -record_id where number in (5, 6)",
            (
                "update consent.links l set record_id = -o.record_id from consent.links o "
                "where l.number in (5, 6) and o.number = 11 - l.number"
            ),
        ),
        "Record 5: its link does not follow",
    ),
    "commitment replaced": (
        ("update consent.links set commitment = sha256('x') where number = 5",),
        "Record 5: its link does not follow",
    ),
    "cut off": (
        (
            "delete from consent.links where number > 7",
            "delete from consent.records where source_key in ('key-7', 'key-8', 'key-9')",
        ),
        "Records 8 to 10 are missing with their links. They were under the head signed on",
    ),
    "put in around the chain": (
        (
            (
                "insert into consent.records (pseudonym, purpose, decision, stated_at, mechanism, policy_version, source, "
                "source_key) values (repeat('d', 32), 'analytics', 'opt_in', now(), 'm', '1', 's', 'k')"
            ),
        ),
        "in no link of the chain",
    ),
    "marked as erased": (
        (
            "insert into consent.erasures values (gen_random_uuid(), now(), 1, '0123456789abcdef', '\\x00')",
            "insert into consent.erased select 5, reference from consent.erasures",
            "delete from consent.records where source_key = 'key-4'",
        ),
        "Record 5 was removed: the note of erasure",
    ),
    "commitment made to fit": (
        (
            "update consent.records set decision = 'opt_in' where source_key = 'key-3'",
            (
                "update consent.links l set commitment = consent.commitment(r) from consent.records r "
                "where r.record_id = l.record_id"
            ),
        ),
        "Record 4: its link does not follow",
    ),
    "head forged": (
        ("update consent.heads set hash = sha256('x')",),
        "does not bear a valid signature",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_an_attacker_did_is_found_and_named(ten_records: None, attack: str) -> None:
    statements, expected = ATTACKS[attack]
    _attack(*statements)
    findings = verify_chain().findings
    assert any(expected in finding for finding in findings), findings


def test_a_ledger_written_anew_with_all_its_links_contradicts_the_signed_head(
    ten_records: None,
) -> None:
    _attack(
        "create temporary table kept as select * from consent.records",
        "delete from consent.records",
        "delete from consent.links",
        "update kept set decision = 'opt_in'",
        "set session_replication_role = origin",
        "insert into consent.records overriding system value select * from kept order by record_id",
    )
    findings = verify_chain().findings
    assert len(findings) == 1
    assert findings[0].startswith("Record 10 or one before it was replaced: the head signed on")


def test_a_head_kept_elsewhere_finds_what_was_cut_off_with_every_head(ten_records: None) -> None:
    kept = chain.latest_head()
    assert kept
    assert chain.Head.from_document(kept.document()) == kept
    _attack(
        "delete from consent.heads",
        "delete from consent.links where number > 9",
        "delete from consent.records where source_key = 'key-9'",
    )
    assert verify_chain().findings == []
    assert verify_chain(kept_heads=[kept]).findings[0].startswith("Record 10 is missing")


def test_another_key_signed_nothing_here(ten_records: None) -> None:
    other = public_key_pem(Ed25519PrivateKey.generate())
    assert "whose public key was not given" in verify_chain([other]).findings[0]
    assert verify_chain([other, public_key_pem()]).findings == []


def test_an_erased_subject_leaves_links_that_still_verify_and_hold_nothing(
    ten_records: None,
) -> None:
    assert _erase(SUBJECT) == 6
    assert _erase(SUBJECT) == 0
    ledger.append([_statement(11, OTHER)])
    chain.sign_head()
    report = verify_chain()
    assert (report.findings, report.records, report.erased, report.signed_until) == ([], 11, 6, 11)
    left = _rows(
        "select l::text, e::text, n::text from consent.links l left join consent.erased e using (number) "
        "left join consent.erasures n using (reference)"
    )
    assert len(left) == 11
    assert SUBJECT not in str(left)
    assert _rows("select detail ->> 'records' from audit.log") == [("6",)]


def test_the_salt_of_an_erased_record_is_nowhere_any_more(ten_records: None) -> None:
    salts = [str(row[0]).encode() for row in _rows("select salt from consent.records")]
    with connect(Role.PRIVACY, autocommit=True) as connection:
        connection.execute("analyze consent.records")
    assert len(search_postgres(salts).findings) == 1
    _erase(SUBJECT)
    _erase(OTHER)
    assert search_postgres(salts).findings == []
    assert (
        _rows(
            "select attname from pg_stats where tablename = 'records' and attname in ('salt', 'pseudonym')"
        )
        == []
    )


def test_an_erasure_without_its_entry_in_the_audit_log_is_a_removal(ten_records: None) -> None:
    _erase(OTHER)
    _attack("delete from audit.log")
    findings = verify_chain().findings
    assert "has no entry in the audit log" in findings[0]
    assert [finding.split(":")[0] for finding in findings[1:]] == [
        f"Record {number} was removed" for number in (3, 4, 7, 8)
    ]


def test_a_record_added_to_an_erasure_afterwards_breaks_its_signature(ten_records: None) -> None:
    _erase(OTHER)
    _attack(
        "insert into consent.erased select 1, reference from consent.erasures",
        "delete from consent.records where source_key = 'key-0'",
    )
    findings = verify_chain().findings
    assert "does not bear a valid signature" in findings[0]
    assert findings[1].startswith("Record 1 was removed")


COLUMN = {
    "records": "mechanism",
    "links": "hash",
    "erasures": "records",
    "erased": "reference",
    "heads": "hash",
}
CHANGES: dict[str, Callable[[str], str]] = {
    "update": lambda table: f"update consent.{table} set {COLUMN[table]} = default",
    "delete": lambda table: f"delete from consent.{table}",
    "truncate": lambda table: f"truncate consent.{table} cascade",
}


@pytest.mark.parametrize("role", Role)
def test_no_role_changes_or_removes_what_was_appended(ten_records: None, role: Role) -> None:
    _erase(OTHER)
    before = _rows("select * from consent.records order by record_id")
    for table, change in product(COLUMN, CHANGES):
        # The privacy role removes records after their erasure was noted, and these were not.
        noted = role is Role.PRIVACY and (table, change) == ("records", "delete")
        refused = (
            psycopg.errors.RestrictViolation if noted else psycopg.errors.InsufficientPrivilege
        )
        with pytest.raises(refused), connect(role) as connection:
            connection.execute(CHANGES[change](table))  # type: ignore[arg-type]
    assert _rows("select * from consent.records order by record_id") == before
    assert verify_chain().findings == []


@pytest.mark.parametrize("column", ["record_id", "received_at", "salt"])
def test_the_application_cannot_say_when_it_received_a_statement(column: str) -> None:
    value = {"record_id": "1", "received_at": "'2020-01-01'", "salt": "gen_random_uuid()"}[column]
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        connect(Role.CONSENT) as connection,
    ):
        connection.execute(
            "insert into consent.records (pseudonym, purpose, decision, stated_at, mechanism, policy_version, source, "  # type: ignore[arg-type]
            f"source_key, {column}) overriding system value values "
            f"(repeat('d', 32), 'analytics', 'opt_in', now(), 'm', '1', 's', 'k', {value})"
        )


def test_the_application_cannot_write_links_notes_or_heads() -> None:
    for table in ("links", "erasures", "erased", "heads"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            connect(Role.CONSENT) as connection,
        ):
            connection.execute(f"insert into consent.{table} default values")  # type: ignore[arg-type]
