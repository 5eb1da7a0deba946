"""What is stored is judged by the same rules; a raw identifier or an unmasked text stops what depends on it."""

from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pytest

from orchestration.defs.quality.checks import quality_checks
from orchestration.ingest.interactions import append_interactions
from orchestration.quality.run import check_stored_table, run_suites
from privacy.database import Role, connect

KEY = f"{7:032x}"
AT = datetime(2026, 3, 4, tzinfo=UTC)


def _customer(pseudonym: str, source_key: str = KEY) -> None:
    with connect(Role.INGEST) as connection:
        connection.execute(
            "insert into shop.customers (pseudonym, age_band, updated_at, source, source_key) "
            "values (%s, '25-34', %s, 'test', %s)",
            [pseudonym, AT, source_key],
        )


def _feedback(text: str) -> None:
    with connect(Role.INGEST) as connection:
        connection.execute(
            "insert into shop.feedback (feedback_id, pseudonym, rating, text_masked, given_at, source, source_key) "
            "values ('f', %s, 7.5, %s, %s, 'test', %s)",
            [KEY, text, AT, KEY],
        )


def _visit(**changes: object) -> None:
    row = {
        "pseudonym": KEY,
        "session": None,
        "event_type": "page_view",
        "product_id": "p",
        "size": None,
        "query": None,
        "dwell_seconds": 3.0,
        "position": 1,
        "touchpoint": None,
        "ranking_id": None,
        "event_timestamp": AT,
        "source": "test",
        "source_key": KEY,
    }
    append_interactions(pa.Table.from_pylist([row | changes]))


@pytest.fixture
def customers(clean_database: None) -> None:
    _customer(KEY)


def test_nothing_stored_is_nothing_to_pass(clean_database: None) -> None:
    report = run_suites()
    assert report.rows == sum(
        table.rows or 0 for table in report.tables if table.name == "interactions"
    )
    assert all(not table.broken for table in report.tables if table.name != "interactions")


def test_good_rows_pass_and_are_counted(customers: None) -> None:
    report = check_stored_table("customers")
    assert report.success, [result.sentence() for result in report.broken]
    assert report.rows == 1
    assert any(result.checked == 1 for result in report.results if result.column == "pseudonym")


def test_a_raw_identifier_in_the_pseudonyms_place_breaks_a_critical_rule(customers: None) -> None:
    _customer("customer-4711", f"{8:032x}")
    report = check_stored_table("customers")
    assert [result.sentence() for result in report.broken] == [
        "pseudonym is a pseudonym: 1 of 2 break it"
    ]
    assert report.severity == "critical"
    assert "4711" not in repr(report)


def test_an_address_left_in_a_masked_text_is_found(clean_database: None) -> None:
    _feedback("fits well, <NAME> liked it")
    assert check_stored_table("feedback").success
    with connect(Role.INGEST) as connection:
        connection.execute("update shop.feedback set text_masked = 'write to me: jane@example.org'")
    report = check_stored_table("feedback")
    assert [result.column for result in report.broken] == ["text_masked"]
    assert "jane" not in repr(report)


def test_a_column_that_the_contract_does_not_know_is_found(customers: None) -> None:
    with connect(Role.INGEST) as connection:
        connection.execute("alter table shop.customers add column email text")
    try:
        assert [result.column for result in check_stored_table("customers").broken] == ["columns"]
    finally:
        with connect(Role.INGEST) as connection:
            connection.execute("alter table shop.customers drop column email")


def test_interactions_of_the_lake_are_judged_too(servers: object) -> None:
    before = check_stored_table("interactions")
    _visit(source_key=f"{9001:032x}", event_type="teleport", session="visit-1")
    after = check_stored_table("interactions")
    assert (after.rows or 0) == (before.rows or 0) + 1
    assert {"event_type", "session"} <= {result.column for result in after.broken}


def test_the_checks_fail_and_block_where_identity_is_at_stake(customers: None) -> None:
    _customer("customer-4711", f"{8:032x}")
    checks = {
        definition.check_key.asset_key.to_user_string(): definition for definition in quality_checks
    }
    blocking = {
        key for key, definition in checks.items() if next(iter(definition.check_specs)).blocking
    }
    without_subjects = {"shop/products", "shop/inventory"}
    assert blocking == set(checks) - without_subjects
    assert {"consent/records", "shop/feedback", "shop/orders"} <= blocking

    @dg.asset(key=["shop", "customers"])
    def customers_asset() -> None: ...

    result = dg.materialize([customers_asset, checks["shop/customers"]], raise_on_error=False)
    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert "4711" not in str(evaluation.metadata) + str(evaluation.description)


def test_an_address_in_masked_feedback_stops_what_is_made_of_it(clean_database: None) -> None:
    _feedback("write to me: jane@example.org")

    @dg.asset(key=["shop", "feedback"])
    def feedback_asset() -> None: ...

    @dg.asset(deps=[feedback_asset])
    def made_of_it() -> None: ...

    check = next(
        check for check in quality_checks if check.check_key.asset_key.path == ["shop", "feedback"]
    )
    result = dg.materialize([feedback_asset, made_of_it, check], raise_on_error=False)
    assert not result.success
    assert not result.asset_materializations_for_node("made_of_it")
