"""A small shop in Postgres: twelve subjects who agree to analytics, one who refuses, one who withdrew, one who objects."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from privacy.database import Role, connect

ORDERED = datetime(2026, 3, 4, 12, tzinfo=UTC)
AGREEING = [f"{number:032x}" for number in range(1, 13)]
REFUSING, WITHDREW, OBJECTING = f"{101:032x}", f"{102:032x}", f"{103:032x}"
EVERYONE = [*AGREEING, REFUSING, WITHDREW, OBJECTING]


def _insert(connection: psycopg.Connection[Any], table: str, rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        full = {"source": "test", "source_key": f"{table}-{number}", **row}
        names, values = ", ".join(full), ", ".join(f"%({name})s" for name in full)
        connection.execute(f"insert into {table} ({names}) values ({values})", full)  # type: ignore[arg-type]


def _fill_shop(connection: psycopg.Connection[Any]) -> None:
    _insert(
        connection,
        "shop.products",
        [
            {"product_id": "dress", "price": 80, "sizes": '["S", "M"]', "updated_at": ORDERED},
            {"product_id": "coat", "price": None, "updated_at": ORDERED},
            {"product_id": "scarf", "price": 20, "updated_at": ORDERED},
        ],
    )
    _insert(
        connection,
        "shop.inventory",
        [
            {"product_id": "dress", "size": "S", "quantity": 0, "updated_at": ORDERED},
            {"product_id": "dress", "size": "M", "quantity": 4, "updated_at": ORDERED},
            {"product_id": "scarf", "size": "one", "quantity": 0, "updated_at": ORDERED},
        ],
    )
    _insert(
        connection,
        "shop.customers",
        [{"pseudonym": subject, "updated_at": ORDERED} for subject in EVERYONE],
    )
    _fill_orders(connection)


def _fill_orders(connection: psycopg.Connection[Any]) -> None:
    """One dress each on the first day; on the next, one subject alone buys a coat of unknown price."""
    orders = [(f"o{n}", subject, "dress", 80, ORDERED) for n, subject in enumerate(EVERYONE)]
    orders.append(("late", AGREEING[0], "coat", None, ORDERED + timedelta(days=1)))
    _insert(
        connection,
        "shop.orders",
        [
            {"order_id": order, "pseudonym": subject, "ordered_at": at, "currency": "EUR"}
            for order, subject, _, _, at in orders
        ],
    )
    _insert(
        connection,
        "shop.order_lines",
        [
            {
                "order_line_id": f"{order}-1",
                "order_id": order,
                "pseudonym": subject,
                "product_id": product,
                "quantity": 1,
                "unit_price": price,
                "ordered_at": at,
            }
            for order, subject, product, price, at in orders
        ],
    )
    returned = {"return_id": "r", "order_line_id": "o0-1", "pseudonym": AGREEING[0], "quantity": 1}
    _insert(connection, "shop.returns", [returned | {"returned_at": ORDERED + timedelta(days=2)}])


def _fill_ledger(connection: psycopg.Connection[Any]) -> None:
    statements = [
        (subject, "opt_in", ORDERED - timedelta(days=9))
        for subject in EVERYONE
        if subject != REFUSING
    ]
    statements += [
        (REFUSING, "opt_out", ORDERED - timedelta(days=9)),
        (WITHDREW, "opt_out", ORDERED + timedelta(days=9)),
    ]
    _insert(
        connection,
        "consent.records",
        [
            {
                "pseudonym": subject,
                "purpose": "analytics",
                "decision": decision,
                "stated_at": at,
                "mechanism": "test",
                "policy_version": "1",
            }
            for subject, decision, at in statements
        ],
    )
    for asset in ("marts/fct_orders", "staging/stg_shop__returns"):
        connection.execute(
            "insert into consent.objections (pseudonym, asset_key, decision, mechanism) "
            "values (%s, %s, 'object', 'test')",
            [OBJECTING, asset],
        )


@pytest.fixture
def shop(clean_database: None) -> None:
    """The small shop, in the tables that the ingest and the ledger write."""
    with connect(Role.INGEST) as connection:
        _fill_shop(connection)
    with connect(Role.CONSENT) as connection:
        _fill_ledger(connection)
