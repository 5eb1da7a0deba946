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


def _counting(changed: dict[str, Any], category: str) -> dict[str, Any]:
    """An intermediate model that says it holds nobody, and counts the customers of staging; a mart reads it."""
    node = copy.deepcopy(changed["nodes"]["model.selvedge.int_customers__consented"])
    node |= {"name": "int_signups__consented", "unique_id": "model.selvedge.int_signups__consented"}
    contract = {"category": category, "reason": "Counts.", "people": ["customers"]}
    node["config"]["meta"]["contract"] = (
        contract if category == "aggregate" else contract | {"people": []}
    )
    node["depends_on"] = {"macros": [], "nodes": ["model.selvedge.stg_shop__customers"]}
    changed["nodes"][node["unique_id"]] = node
    changed["nodes"]["model.selvedge.kpi_daily"]["depends_on"]["nodes"].append(node["unique_id"])
    return node


@pytest.mark.parametrize("category", ["aggregate", "none"])
def test_who_refused_is_not_counted_either(changed: dict[str, Any], category: str) -> None:
    node = _counting(changed, category)
    assert layering_faults(changed) == [
        "int_signups__consented reads stg_shop__customers and does not call the macro consented",
        "kpi_daily (marts) reads int_signups__consented, which no consent filter has passed",
    ]
    node["depends_on"]["macros"] = ["macro.selvedge.serves"]
    assert layering_faults(changed) == []


def test_a_model_that_reads_what_is_filtered_needs_no_filter_of_its_own(
    changed: dict[str, Any],
) -> None:
    node = _counting(changed, "aggregate")
    node["depends_on"]["nodes"] = ["model.selvedge.int_customers__consented"]
    assert layering_faults(changed) == []


def test_staging_that_says_it_holds_nobody_is_not_believed(changed: dict[str, Any]) -> None:
    staging = changed["nodes"]["model.selvedge.stg_shop__customers"]
    staging["config"]["meta"]["contract"] = {"category": "none", "reason": "None at all."}
    _counting(changed, "none")
    assert len(layering_faults(changed)) == 2


def test_what_is_neither_model_nor_source_is_refused(changed: dict[str, Any]) -> None:
    mart = changed["nodes"]["model.selvedge.kpi_daily"]
    mart["depends_on"]["nodes"].append("snapshot.selvedge.customers_then")
    with pytest.raises(LayeringError, match=r"kpi_daily reads snapshot\.selvedge\.customers_then"):
        check_layers(changed)


@pytest.mark.parametrize(
    "parent", ["model.selvedge.stg_shop__customers", "model.selvedge.int_customers__consented", "source.selvedge.consent.intervals"]
)  # fmt: skip
def test_a_snapshot_of_people_is_refused(changed: dict[str, Any], parent: str) -> None:
    changed["nodes"]["snapshot.selvedge.product_history"]["depends_on"]["nodes"].append(parent)
    with pytest.raises(LayeringError, match="a snapshot reads staging about goods alone"):
        check_layers(changed)


@pytest.mark.parametrize(
    ("name", "schema"),
    [("snapshot.selvedge.product_history", "marts"), ("model.selvedge.dim_products", "snapshots")],
)
def test_snapshots_and_nothing_else_lie_in_their_schema(
    changed: dict[str, Any], name: str, schema: str
) -> None:
    changed["nodes"][name]["schema"] = schema
    with pytest.raises(LayeringError, match=f"lies in '{schema}': snapshots, and nothing else"):
        check_layers(changed)


@pytest.mark.parametrize(
    ("code", "schemas"),
    [
        ("select count(*) from shop.customers", ["shop"]),
        ('select 1 from "shop" . "customers" join selvedge.Vault.subjects using (p)', ["shop", "vault"]),
        ("select 1 from a, STAGING.stg_shop__customers", ["staging"]),
        ("select 1 from consent.records -- from vault.subjects", ["consent"]),
        ("select '--' from {{ 'shop' }}.customers", ["shop"]),
        ("{% set n = run_query('select 1 from vault.subjects') %} select 1", ["vault"]),
        ("select '{{ run_query(\"select 1 from vault.subjects\") }}'", ["vault"]),
        ("select 'from shop.customers', 'it''s -- ' as x /* shop.orders */ from {{ ref('a') }}", []),
        ("-- the customer's shop.customers\nselect workshop.a, o.shop from {{ source('shop', 'orders') }} o", []),
        ("{# shop.orders #} select orders.pseudonym from {{ ref('int_orders__consented') }} as orders", []),
    ],
)  # fmt: skip
def test_a_relation_that_is_named_literally_is_refused(
    changed: dict[str, Any], code: str, schemas: list[str]
) -> None:
    changed["nodes"]["model.selvedge.kpi_daily"]["raw_code"] = code
    faults = layering_faults(changed)
    assert [fault.split("'")[1] for fault in faults] == schemas
    assert all("use ref() or source()" in fault for fault in faults)


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
        # dbt enforces no contract of a snapshot: a test of the built one holds its columns.
        assert model["config"]["contract"]["enforced"] or model["resource_type"] == "snapshot"
        assert all(column["description"] for column in model["columns"].values()), model["name"]


def test_every_model_past_staging_has_a_unit_test() -> None:
    tested = {test["model"] for test in manifest()["unit_tests"].values()}
    reading = (node for node in models(manifest()) if node["depends_on"]["nodes"])
    assert tested == {n["name"] for n in reading if n["schema"] in ("intermediate", "marts")}


def test_the_unit_tests_speak_of_the_assets_and_the_retention_of_the_models() -> None:
    """They run under names of their own, so that they say both themselves."""
    nodes = {node["name"]: node for node in models(manifest())}
    for test in manifest()["unit_tests"].values():
        node, said = nodes[test["model"]], (test["overrides"] or {}).get("macros", {})
        if "asset_key" in said:
            assert said["asset_key"] == f"{node['schema']}/{node['name']}"
        if "retention" in said:
            assert said["retention"] == contract_of(node).retention.model_dump(
                exclude_defaults=True
            )  # type: ignore[union-attr]


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
