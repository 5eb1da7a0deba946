"""What products were is kept beside what they are, and tells which price held when."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestration.contract_checks import examine
from orchestration.warehouse_contracts import contract_of, models
from orchestration.warehouse_project import manifest, run_dbt
from privacy.coverage import places
from privacy.database import Role, connect
from privacy.registry import Registry
from tests.integration.warehouse.conftest import ORDERED

LATER = ORDERED + timedelta(days=7)
PRICES = """
    select product_id, price, valid_from, valid_to from marts.dim_product_prices
    where product_id in ('dress', 'scarf') order by product_id, valid_from
"""


def _rows(query: str) -> list[tuple[Any, ...]]:
    with connect(Role.DBT) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


@pytest.fixture
def new_history(shop: None) -> None:
    """A history that no other test has written to."""
    with connect(Role.DBT) as connection:
        connection.execute("drop table if exists snapshots.product_history")


def test_a_price_that_changed_is_kept_with_its_time(new_history: None) -> None:
    assert run_dbt(["--quiet", "build"]) == 0
    assert _rows(PRICES) == [("dress", 80, ORDERED, None), ("scarf", 20, ORDERED, None)]

    with connect(Role.INGEST) as connection:
        connection.execute(
            "update shop.products set price = 59.995, updated_at = %s where product_id = 'dress'",
            [LATER],
        )
        # Touched, and the same: no state of its own.
        connection.execute(
            "update shop.products set updated_at = %s where product_id = 'scarf'", [LATER]
        )
    assert run_dbt(["--quiet", "build"]) == 0

    assert _rows(PRICES) == [
        ("dress", 80, ORDERED, LATER),
        ("dress", Decimal("59.995"), LATER, None),
        ("scarf", 20, ORDERED, None),
    ]
    assert _rows("select price from marts.dim_products where product_id = 'dress'") == [
        (Decimal("59.995"),)
    ]
    assert run_dbt(["--quiet", "snapshot"]) == 0
    assert _rows("select count(*) from snapshots.product_history") == [(4,)]


def test_the_history_is_what_its_contract_says(new_history: None) -> None:
    assert run_dbt(["--quiet", "build", "--select", "+product_history"]) == 0

    nodes = {node["name"]: node for node in models(manifest())}
    history = nodes["product_history"]
    assert examine(contract_of(history)).clean
    built = _rows(
        "select column_name from information_schema.columns where table_schema = 'snapshots' and table_name = 'product_history'"
    )
    assert {name for (name,) in built} == set(history["columns"])
    registry = Registry(tuple(contract_of(node) for node in nodes.values()))
    known = dict(places(registry))
    assert known["table snapshots.product_history"]
