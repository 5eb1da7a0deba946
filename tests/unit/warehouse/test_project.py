"""The dbt project holds its layers, explains every column, and parses with no database running."""

import copy
from typing import Any

import pytest

from orchestration.defs.ingest.contracts import CONTRACTS
from orchestration.warehouse_contracts import (
    LayeringError,
    check_layers,
    contract_of,
    layering_faults,
    models,
)
from orchestration.warehouse_project import WarehouseProjectError, manifest, run_dbt
from privacy.contracts import Category, ColumnTag, ContractError, Purpose


@pytest.fixture
def changed() -> dict[str, Any]:
    """A manifest that a test may change."""
    return copy.deepcopy(manifest())


def test_marts_read_only_what_the_consent_filter_has_passed() -> None:
    assert layering_faults(manifest()) == []


def test_a_mart_that_reads_staging_about_people_is_refused(changed: dict[str, Any]) -> None:
    mart = changed["nodes"]["model.selvedge.fct_orders"]
    mart["depends_on"]["nodes"].append("model.selvedge.stg_shop__orders")
    with pytest.raises(LayeringError, match=r"fct_orders .marts. reads stg_shop__orders"):
        check_layers(changed)


def test_a_mart_that_reads_the_shop_is_refused(changed: dict[str, Any]) -> None:
    mart = changed["nodes"]["model.selvedge.fct_orders"]
    mart["depends_on"]["nodes"].append("source.selvedge.shop.orders")
    with pytest.raises(LayeringError, match=r"fct_orders reads shop\.orders"):
        check_layers(changed)


def test_an_intermediate_without_the_filter_is_refused(changed: dict[str, Any]) -> None:
    model = changed["nodes"]["model.selvedge.int_orders__consented"]
    model["depends_on"]["macros"] = ["macro.selvedge.not_withheld"]
    with pytest.raises(LayeringError, match="does not call the macro consented"):
        check_layers(changed)


def test_a_mart_that_keeps_those_who_objected_is_refused(changed: dict[str, Any]) -> None:
    changed["nodes"]["model.selvedge.fct_orders"]["depends_on"]["macros"] = []
    with pytest.raises(LayeringError, match="does not leave out those who objected"):
        check_layers(changed)


def test_a_model_without_a_contract_is_refused(changed: dict[str, Any]) -> None:
    model = changed["nodes"]["model.selvedge.fct_orders"]
    del model["config"]["meta"]["contract"]
    with pytest.raises(ContractError, match="marts/fct_orders has no contract"):
        contract_of(model)


def test_a_contract_that_names_no_column_of_the_model_is_refused(changed: dict[str, Any]) -> None:
    model = changed["nodes"]["model.selvedge.fct_orders"]
    model["config"]["meta"]["contract"]["subject"] = "customer"
    with pytest.raises(ContractError, match="'customer'"):
        contract_of(model)


def test_every_model_and_column_is_described_and_held_to_its_contract() -> None:
    for model in models(manifest()):
        assert model["description"], model["name"]
        assert model["config"]["contract"]["enforced"], model["name"]
        assert all(column["description"] for column in model["columns"].values()), model["name"]


def test_marts_serve_analytics_and_daily_figures_are_of_groups() -> None:
    contracts = {contract.key: contract for contract in map(contract_of, models(manifest()))}
    assert contracts["marts/fct_orders"].purposes == (Purpose.ANALYTICS,)
    assert contracts["marts/fct_orders"].subject == "pseudonym"
    assert contracts["marts/kpi_daily"].category is Category.AGGREGATE
    assert contracts["marts/dim_products"].category is Category.NONE
    assert Purpose.SERVICE in contracts["staging/stg_shop__orders"].purposes


def test_the_ranker_is_an_exposure() -> None:
    assert manifest()["exposures"]["exposure.selvedge.ranker"]["depends_on"]["nodes"] == [
        "model.selvedge.dim_products"
    ]


@pytest.mark.parametrize("args", [["show", "--select", "fct_orders"], ["test", "--store-failures"]])
def test_a_command_that_would_write_rows_to_disk_is_refused(args: list[str]) -> None:
    with pytest.raises(WarehouseProjectError, match="is refused"):
        run_dbt(args)


def test_a_column_says_in_its_meta_what_it_may_hold() -> None:
    tags = {node["name"]: contract_of(node).columns for node in models(manifest())}
    assert tags["stg_shop__returns"] == {"reason": ColumnTag.MASKED_TEXT}
    assert tags["dim_products"] == {}


def test_every_voucher_and_every_view_of_one_has_one_retention() -> None:
    """A view that is kept shorter than its table would show overdue rows, one that is kept longer promises too much."""
    views = {node["name"]: contract_of(node) for node in models(manifest())}
    for name in ("orders", "order_lines", "returns"):
        assert views[f"stg_shop__{name}"].retention == CONTRACTS[name].retention
