"""What a query's columns are made of."""

import pytest
from sqlglot.errors import SqlglotError

from orchestration.lineage.columns import Source
from orchestration.lineage.of_sql import sql_lineage

COLUMNS = {
    "shop/orders": {"order_id": "text", "pseudonym": "text", "ordered_at": "timestamptz"},
    "shop/order_lines": {"order_id": "text", "quantity": "int", "unit_price": "numeric"},
}


def test_a_column_is_followed_through_names_joins_and_sums_to_the_tables() -> None:
    query = """
        with lines as (
            select order_id, sum(quantity * unit_price) as total, count(*) as lines
            from "selvedge"."shop"."order_lines" group by order_id
        )
        select o.order_id, o.pseudonym as who, lines.total, lines.lines, (o.ordered_at at time zone 'UTC')::date as day
        from "selvedge"."shop"."orders" as o left join lines on lines.order_id = o.order_id
        where exists (select 1 from consent.intervals as i where i.pseudonym = o.pseudonym)
    """
    assert sql_lineage(query, COLUMNS) == {
        "order_id": {Source("shop/orders", "order_id")},
        "who": {Source("shop/orders", "pseudonym")},
        "total": {
            Source("shop/order_lines", "quantity"),
            Source("shop/order_lines", "unit_price"),
        },
        "lines": set(),
        "day": {Source("shop/orders", "ordered_at")},
    }


def test_a_star_and_a_column_without_its_table_are_known_by_the_schema() -> None:
    query = """
        with both_of as (select * from shop.orders join shop.order_lines using (order_id))
        select pseudonym, quantity from both_of
    """
    assert sql_lineage(query, COLUMNS) == {
        "pseudonym": {Source("shop/orders", "pseudonym")},
        "quantity": {Source("shop/order_lines", "quantity")},
    }


def test_a_text_that_is_no_query_is_refused() -> None:
    with pytest.raises(SqlglotError):
        sql_lineage("select from where (", COLUMNS)
