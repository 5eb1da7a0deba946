"""The application does not own its ledger and its audit log: what protects them is not its own to switch off."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
import pytest

from consent import chain, ledger
from consent.ledger import ConsentRecord, Decision
from consent.verification import verify_chain
from privacy import audit
from privacy.contracts import Purpose
from privacy.database import LEDGER_OWNER, Role, admin_url, connect
from privacy.stores.base import StoreError
from privacy.stores.consent_ledger import remove_records
from privacy.stores.scrub import scrub_postgres
from privacy.verification import search_postgres

TABLES = ("consent.records", "consent.links", "consent.erasures", "consent.erased", "consent.heads", "audit.log")  # fmt: skip
CHANGES: tuple[LiteralString, ...] = (
    "alter table {} disable trigger all",
    "alter table {} disable trigger user",
    "alter table {} owner to selvedge_privacy",
    "alter table {} rename to other",
    "create trigger mine before delete on {} for each row execute function suppress_redundant_updates_trigger()",
    "create rule mine as on insert to {} do instead nothing",
    "truncate {} cascade",
    "drop table {} cascade",
)
STATEMENTS: tuple[LiteralString, ...] = (
    "set role selvedge_ledger",
    "set session_replication_role = replica",
    "drop schema consent cascade",
    "alter schema audit rename to other",
    "drop trigger refuse_removal on consent.records",
    "create or replace function consent.refuse_removal() returns trigger language plpgsql as 'begin return old; end'",
    "create or replace function audit.refuse() returns trigger language plpgsql as 'begin return old; end'",
    "create or replace function consent.genesis() returns bytea language sql as 'select null'",
    "alter function consent.refuse_removal() reset search_path",
    "grant selvedge_ledger to selvedge_privacy",
    "update consent.records set decision = 'opt_in'",
    "insert into consent.links values (9, 9, '', '')",
    "update audit.log set actor = 'x'",
    "delete from audit.log",
)


@contextmanager
def _administrator() -> Iterator[psycopg.Connection[Any]]:
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        yield connection


@pytest.fixture
def ledger_of_two(clean_database: None) -> None:
    """A record that is still there, one that was erased lawfully, a signed head, and entries in the audit log."""
    for letter in "ab":
        said = datetime(2026, 3, 1, tzinfo=UTC)
        ledger.append(
            [ConsentRecord(letter * 32, Purpose.ANALYTICS, Decision.OPT_OUT, said, "banner", "1", "shop", letter)]
        )  # fmt: skip
    with connect(Role.PRIVACY) as connection:
        row = connection.execute("select max(record_id) from consent.records").fetchone()
        assert row
        assert remove_records(connection, [row[0]]) == 1
    chain.sign_head()


def _refused(statement: str) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        connect(Role.PRIVACY) as connection,
    ):
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize("table", TABLES)
def test_the_application_cannot_take_the_protection_off_a_table(
    ledger_of_two: None, table: str
) -> None:
    for change in CHANGES:
        _refused(change.format(table))
    assert (verify_chain().findings, audit.check().faults) == ([], ())


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_application_cannot_get_round_the_protection(
    ledger_of_two: None, statement: str
) -> None:
    _refused(statement)


def test_an_operator_of_the_applications_own_does_not_pass_for_a_note_of_erasure(
    ledger_of_two: None,
) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "create function requests.same(bigint, bigint) returns boolean language sql as 'select true'"
        )
        connection.execute(
            "create operator requests.= (leftarg = bigint, rightarg = bigint, function = requests.same)"
        )
        connection.execute("set local search_path = requests, pg_catalog")
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("delete from consent.records")
        connection.rollback()


def test_a_superusers_truncation_of_the_audit_log_is_refused(ledger_of_two: None) -> None:
    with pytest.raises(psycopg.errors.RaiseException), _administrator() as connection:
        connection.execute("truncate audit.log")


def test_nobody_is_or_becomes_the_owner(servers: object) -> None:
    with _administrator() as connection:
        logins = connection.execute("select rolcanlogin, rolpassword from pg_authid where rolname = %s", [LEDGER_OWNER]).fetchall()  # fmt: skip
        members = connection.execute("select member::regrole::text from pg_auth_members where roleid = %s::regrole", [LEDGER_OWNER]).fetchall()  # fmt: skip
    assert (logins, members) == ([(False, None)], [])


def test_every_function_that_a_trigger_of_theirs_runs_is_the_owners(servers: object) -> None:
    with _administrator() as connection:
        others = connection.execute(
            "select t.tgfoid::regproc::text from pg_trigger t join pg_proc p on p.oid = t.tgfoid "
            "where not t.tgisinternal and t.tgrelid = any(%s::text[]::regclass[]) and p.proowner <> %s::regrole",
            [list(TABLES), LEDGER_OWNER],
        ).fetchall()
    # It marks models, in tables of the privacy role, with the rights of that role.
    assert others == [("consent.mark_after_refusal",)]


def test_what_was_erased_leaves_tables_that_the_application_does_not_own(
    ledger_of_two: None,
) -> None:
    def files() -> list[Any]:
        with _administrator() as connection:
            rows = connection.execute("select pg_relation_filenode(t) from unnest(%s::text[]::regclass[]) as t", [list(TABLES)])  # fmt: skip
            return [row[0] for row in rows]

    before = files()
    assert scrub_postgres((name.split(".")[0], name.split(".")[1]) for name in TABLES) == len(
        TABLES
    )
    assert not {*before} & {*files()}


def test_a_table_that_may_not_be_rewritten_fails_rather_than_keep_its_bytes(
    ledger_of_two: None,
) -> None:
    with _administrator() as connection:
        connection.execute("create table shop.strangers (pseudonym text)")
    try:
        with pytest.raises(StoreError, match=r"shop\.strangers belongs to another role"):
            scrub_postgres([("shop", "strangers")])
        _refused("select consent.rewrite('shop.strangers')")
    finally:
        with _administrator() as connection:
            connection.execute("drop table shop.strangers")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PRIVACY])
def test_nobody_else_has_the_ledger_rewritten(servers: object, role: Role) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connect(role) as connection:
        connection.execute("select consent.rewrite('consent.records'::text::regclass)")


def _tables() -> set[str]:
    with _administrator() as connection:
        rows = connection.execute(
            "select format('%s.%s', schemaname, tablename) from pg_tables where schemaname !~ '^(pg_|information_schema)' "
            "union all select format('%s.%s', schemaname, matviewname) from pg_matviews"
        )
        return {row[0] for row in rows} - {"public.alembic_version"}


def test_every_table_is_searched_once_whoever_owns_it(ledger_of_two: None) -> None:
    result = search_postgres([b"nowhere" * 8])
    assert result.searched == result.existing == len(_tables())
    assert result.findings == []
    found = search_postgres([b"a" * 32]).findings
    assert [str(finding) for finding in found] == ["table consent.records: 1 left"]


def test_a_table_whose_rows_hide_from_the_search_is_a_finding(ledger_of_two: None) -> None:
    with _administrator() as connection:
        connection.execute("alter table consent.links enable row level security")
    try:
        result = search_postgres([b"nowhere" * 8])
    finally:
        with _administrator() as connection:
            connection.execute("alter table consent.links disable row level security")
    assert [str(finding) for finding in result.findings] == ["table consent.links cannot be read, so it was not searched"]  # fmt: skip
    assert result.existing == result.searched + 1
