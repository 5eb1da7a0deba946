"""Prices keep the decimals that the source gave them, through the ingest's tables and up to the sums of the marts."""

from decimal import Decimal
from typing import Any

import psycopg
from sqlalchemy.engine import URL

from orchestration.warehouse_project import run_dbt
from privacy.database import Role, admin_url, connect
from privacy.settings import PROJECT_ROOT

MIGRATION = PROJECT_ROOT / "privacy" / "migrations" / "versions" / "0013_prices.sql"


def _one(query: str) -> tuple[Any, ...]:
    with connect(Role.DBT) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row


def test_prices_below_a_cent_are_added_as_they_are(shop: None) -> None:
    with connect(Role.INGEST) as connection:
        connection.execute(
            "update shop.order_lines set unit_price = 12.3456 where order_id <> 'late'"
        )

    assert run_dbt(["--quiet", "build"]) == 0

    assert _one("select revenue, average_order_value from marts.kpi_daily where orders is not null") == (
        13 * Decimal("12.3456"),
        Decimal("12.35"),
    )  # fmt: skip
    assert _one("select total from marts.fct_orders where order_id = 'o0'") == (Decimal("12.3456"),)


def test_a_database_whose_warehouse_was_built_before_can_be_migrated(shop: None) -> None:
    assert run_dbt(["--quiet", "build"]) == 0
    url: URL = admin_url().set(drivername="postgresql")

    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        connection.execute(MIGRATION.read_bytes())
        left = connection.execute("select viewname from pg_views where schemaname = 'staging'").fetchall()  # fmt: skip

    assert "stg_shop__order_lines" not in {name for (name,) in left}
    assert run_dbt(["--quiet", "build"]) == 0
    assert _one("select count(*) from intermediate.int_order_lines__consented") == (14,)
