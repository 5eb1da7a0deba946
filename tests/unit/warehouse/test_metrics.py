"""The metrics of the semantic layer lead to measures, and those to columns that their models have."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import sqlglot
from sqlglot import exp

from orchestration.warehouse_project import manifest

KPIS = {
    "revenue",
    "average_order_value",
    "revenue_per_customer",
    "return_rate",
    "time_to_first_purchase",
}


def _expressions(semantic_model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and SQL of everything that a semantic model reads; what has no expression is a column of its name."""
    for part in ("entities", "dimensions", "measures"):
        for each in semantic_model[part]:
            yield each["name"], each.get("expr") or each["name"]


def _unknown_columns(read: Mapping[str, Any]) -> list[str]:
    """``semantic model.part: column`` for each column that the model below has not."""
    unknown = []
    for semantic_model in read["semantic_models"].values():
        [below] = semantic_model["depends_on"]["nodes"]
        for name, expression in _expressions(semantic_model):
            columns = sqlglot.parse_one(expression, dialect="postgres").find_all(exp.Column)
            missing = {column.name for column in columns} - set(read["nodes"][below]["columns"])
            unknown += [f"{semantic_model['name']}.{name}: {column}" for column in sorted(missing)]
    return unknown


def _measures_of(read: Mapping[str, Any], metric: str) -> set[str]:
    """Names of the measures that a metric comes down to."""
    [node] = [node for node in read["metrics"].values() if node["name"] == metric]
    params = node["type_params"]
    if node["type"] == "simple":
        return {params["measure"]["name"]}
    parts = [params[part]["name"] for part in ("numerator", "denominator")]
    return {measure for part in parts for measure in _measures_of(read, part)}


def test_every_column_that_a_metric_reads_exists() -> None:
    assert _unknown_columns(manifest()) == []


def test_a_column_that_a_model_lost_is_found() -> None:
    read = copy.deepcopy(manifest())
    del read["nodes"]["model.selvedge.dim_customers"]["columns"]["first_ordered_at"]
    assert _unknown_columns(read) == ["customers.median_days_to_first_order: first_ordered_at"]


def test_every_metric_comes_down_to_measures_and_all_are_used() -> None:
    read = manifest()
    measures = {
        measure["name"]
        for model in read["semantic_models"].values()
        for measure in model["measures"]
    }
    names = {metric["name"] for metric in read["metrics"].values()}
    assert names >= KPIS
    assert set.union(*(_measures_of(read, name) for name in names)) == measures


def test_metrics_are_described_and_read_marts_alone() -> None:
    read = manifest()
    for each in [*read["metrics"].values(), *read["semantic_models"].values()]:
        assert each["description"], each["name"]
    for model in read["semantic_models"].values():
        assert all(read["nodes"][name]["schema"] == "marts" for name in model["depends_on"]["nodes"])  # fmt: skip
