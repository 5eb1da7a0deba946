"""The warehouse on real Postgres: only agreed rows reach the marts, and unknown stays unknown."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.contract_checks import examine
from orchestration.warehouse_contracts import contract_of, models
from orchestration.warehouse_project import manifest, run_dbt, state_dir
from privacy.database import Role, connect
from tests.integration.warehouse.conftest import AGREEING as FIRST_TWELVE

AGREEING = set(FIRST_TWELVE)
REFUSING, WITHDREW, OBJECTING = f"{101:032x}", f"{102:032x}", f"{103:032x}"
MARTS = ("dim_customers", "fct_orders", "fct_order_lines", "kpi_daily", "dim_products")
BUILD = ["--quiet", "build", "--exclude-resource-type", "test", "unit_test"]


def _rows(query: str) -> list[tuple[Any, ...]]:
    with connect(Role.DBT) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def _subjects(relation: str) -> set[str]:
    return {row[0] for row in _rows(f"select pseudonym from {relation}")}


def _fails_of(folder: Path, pattern: str) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and re.search(pattern.encode(), path.read_bytes())
    ]


@pytest.mark.usefixtures("servers")
def test_an_empty_warehouse_builds(clean_database: None) -> None:
    assert run_dbt(["--quiet", "build"]) == 0
    assert [_rows(f"select count(*) from marts.{mart}") for mart in MARTS] == [[(0,)]] * 5


def test_the_marts_hold_what_was_agreed_to_and_nothing_else(shop: None) -> None:
    assert run_dbt(["--quiet", "build"]) == 0

    assert _subjects("staging.stg_shop__orders") == {*AGREEING, REFUSING, WITHDREW, OBJECTING}
    assert _subjects("intermediate.int_orders__consented") == {*AGREEING, OBJECTING}
    assert _subjects("marts.dim_customers") == {*AGREEING, OBJECTING}
    assert _subjects("marts.fct_order_lines") == {*AGREEING, OBJECTING}
    assert _subjects("marts.fct_orders") == AGREEING

    totals = _rows(
        "select total, lines from marts.fct_orders where order_id in ('o0', 'late') order by order_id"
    )
    assert totals == [(None, 1), (80, 1)]
    assert _rows("select returned_quantity from marts.fct_order_lines where order_id = 'o0'") == [
        (1,)
    ]
    assert _rows(
        "select in_stock_sizes, units_in_stock, price from marts.dim_products order by product_id"
    ) == [
        (None, None, None),
        (["M"], 4, 80),
        ([], 0, 20),
    ]

    kpis = _rows(
        "select customers, orders, items, revenue, currency, returns from marts.kpi_daily order by day"
    )
    assert kpis == [(13, 13, 13, 13 * 80, "EUR", None), *[(None,) * 6] * 2]

    statistics = _rows(
        "select count(*) from pg_stats where schemaname = 'marts' and attname = 'pseudonym'"
    )
    assert statistics == [(0,)]
    assert not _fails_of(state_dir(), "0{29}[0-9a-f]{3}")


def test_the_assets_count_rows_and_checks_and_the_page_is_written(shop: None) -> None:
    from orchestration.defs.warehouse.build import docs, warehouse

    result = dg.materialize([warehouse, docs])

    assert result.success
    counts = {
        event.asset_key.path[-1]: event.step_materialization_data.materialization.metadata[
            "dagster/row_count"
        ].value
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert counts["docs"] == len(counts) - 1
    assert counts["fct_orders"] == 13
    assert counts["int_orders__consented"] == 14
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == len(list(warehouse.check_specs))
    assert all(evaluation.passed for evaluation in evaluations)
    assert (state_dir() / "docs" / "index.html").stat().st_size > 100_000


def test_who_withdrew_since_the_build_began_leaves_at_the_next_one(shop: None) -> None:
    assert run_dbt(BUILD) == 0
    tested = ["--quiet", "test", "--select", "assert_no_mart_holds_a_subject_without_agreement"]

    # By the clock of the next command, one withdraws after it began, the other before.
    _withdraw(FIRST_TWELVE[0], datetime.now(UTC) + timedelta(minutes=5))
    assert run_dbt(tested) == 0
    _withdraw(FIRST_TWELVE[1], datetime.now(UTC) - timedelta(seconds=1))
    assert run_dbt(tested) == 1


def _withdraw(subject: str, at: datetime) -> None:
    with connect(Role.CONSENT) as connection:
        connection.execute(
            "insert into consent.records (pseudonym, purpose, decision, stated_at, mechanism, policy_version, source, "
            "source_key) values (%s, 'analytics', 'opt_out', %s, 'test', '1', 'test', %s)",
            [subject, at, f"withdrawal {subject}"],
        )


def test_a_day_of_nine_customers_breaks_the_contract_of_the_figures(shop: None) -> None:
    assert run_dbt(BUILD) == 0
    kpis = next(contract_of(node) for node in models(manifest()) if node["name"] == "kpi_daily")
    assert examine(kpis).clean
    with connect(Role.DBT) as connection:
        connection.execute("update marts.kpi_daily set customers = 9 where customers is not null")
    assert examine(kpis)["groups_of_too_few_people"] == 1
    assert run_dbt(["--quiet", "test", "--select", "kpi_daily"]) == 1


def test_one_mart_can_be_materialised_alone(shop: None) -> None:
    from orchestration.defs.warehouse.build import warehouse

    assert run_dbt(BUILD) == 0
    result = dg.materialize([warehouse], selection='key:"marts/dim_products"')

    assert [event.asset_key for event in result.get_asset_materialization_events()] == [
        dg.AssetKey(["marts", "dim_products"])
    ]


def test_a_source_that_was_never_read_is_stale(shop: None) -> None:
    assert run_dbt(["--quiet", "source", "freshness"]) == 1
    with connect(Role.INGEST) as connection:
        for table in ("customers", "products", "inventory", "orders", "order_lines", "returns"):
            connection.execute(
                "insert into shop.ingest_runs values (gen_random_uuid(), 'test', %s, 0, 0, 0, 0, 0, now(), now())",
                [table],
            )
    assert run_dbt(["--quiet", "source", "freshness"]) == 0
