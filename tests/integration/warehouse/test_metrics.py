"""Every measure of the semantic layer computes on Postgres, and says what the marts say."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from orchestration.warehouse_project import manifest, run_dbt
from privacy.database import Role, connect
from tests.integration.warehouse.conftest import AGREEING, ORDERED

AGGREGATIONS = {
    "sum": "sum({})",
    "count": "count({})",
    "count_distinct": "count(distinct {})",
    "median": "percentile_cont(0.5) within group (order by {})",
}


def _measured() -> dict[str, Any]:
    """The value of every measure over all rows of its model."""
    values = {}
    with connect(Role.DBT) as connection:
        for model in manifest()["semantic_models"].values():
            relation = f"marts.{model['node_relation']['alias']}"
            for measure in model["measures"]:
                value = AGGREGATIONS[measure["agg"]].format(measure["expr"])
                row = connection.execute(f"select {value} from {relation}").fetchone()  # type: ignore[arg-type]
                assert row is not None
                values[measure["name"]] = row[0]
    return values


def test_measures_say_what_the_marts_say(shop: None) -> None:
    """Twelve orders of 80 by agreeing subjects, one more of an unknown price; one piece came back; two signed up before."""
    with connect(Role.INGEST) as connection:
        for subject, days in zip(AGREEING[:2], (1, 2), strict=True):
            connection.execute(
                "update shop.customers set signed_up_at = %s where pseudonym = %s",
                [ORDERED - timedelta(days=days), subject],
            )
    assert run_dbt(["--quiet", "build"]) == 0

    measured = _measured()
    assert measured.pop("order_revenue").is_nan(), "one price is unknown"
    assert measured == {
        "order_count": 13,
        "ordering_customers": 12,
        "ordered_items": 14,
        "returned_items": 1,
        "median_days_to_first_order": 1.5,
    }
    with connect(Role.DBT) as connection:
        connection.execute("delete from marts.fct_orders where total is null")
    assert _measured()["order_revenue"] == Decimal(12 * 80)
