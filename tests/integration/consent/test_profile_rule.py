"""What a profile may tell follows the one rule of consent: in the shop's function and among the lake's events, on any history."""

from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
import pytest
import redis
from hypothesis import HealthCheck, example, given, settings

from orchestration.ingest.interactions import append_interactions
from privacy import lake
from privacy.contracts import Purpose
from privacy.database import Role, connect
from serving.shop_profile import read_lake, read_shop
from tests.integration.consent.test_one_rule import (
    HOURS,
    OF_MINORS,
    START,
    SUBJECTS,
    History,
    _begin_empty,
    _tell,
    histories,
)

ASKED = Purpose.PERSONALISATION
ROWS = [(subject, hour) for subject in SUBJECTS for hour in range(-1, HOURS + 1)]


@pytest.fixture(scope="module")
def told_of(servers: object) -> Iterator[None]:
    """A purchase and a view of every subject in every hour, each of a product named after the hour."""
    with connect(Role.INGEST) as connection:
        connection.cursor().executemany(
            "insert into shop.order_lines (order_line_id, order_id, pseudonym, product_id, quantity, ordered_at, source, source_key) "
            "values (%s, 'O', %s, %s, 1, %s, 'rule', %s)",
            [
                (f"L{number}", subject, str(hour), START + timedelta(hours=hour), f"rule-{number}")
                for number, (subject, hour) in enumerate(ROWS)
            ],
        )
    events = [
        {
            "pseudonym": subject,
            "event_type": "page_view",
            "product_id": str(hour),
            "event_timestamp": START + timedelta(hours=hour),
            "source": "rule",
            "source_key": f"rule-{number}",
        }
        for number, (subject, hour) in enumerate(ROWS)
    ]
    append_interactions(_table(events))
    yield
    lake.erase("interactions", "pseudonym", list(SUBJECTS))
    with connect(Role.INGEST) as connection:
        connection.execute("delete from shop.order_lines where source = 'rule'")


def _table(rows: list[dict[str, object]]) -> pa.Table:
    from orchestration.ingest.interactions import SCHEMA

    known = pa.schema([field for field in SCHEMA if field.name != "created"])
    return pa.Table.from_pylist(rows, schema=known)


def _in_personalisation(history: History) -> History:
    """The same history, of the purpose that a profile serves."""
    swap = {Purpose.ANALYTICS: ASKED, ASKED: Purpose.ANALYTICS}
    return History(
        [(said[0], swap.get(said[1], said[1]), *said[2:]) for said in history.statements],
        history.objections,
        history.minors,
        history.guardians,
    )


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(ASKED))
@example(_in_personalisation(OF_MINORS))
def test_what_is_told_is_what_the_rule_lets_be_told(
    told_of: None, redis_client: "redis.Redis", history: History
) -> None:
    _begin_empty(redis_client)
    _tell(history)
    for subject in SUBJECTS:
        hours = [
            str(hour)
            for name, hour in ROWS
            if name == subject and history.serves(subject, ASKED, hour, "shop/order_lines")
        ]
        bought, viewed = read_shop(subject, ()).purchased, read_lake(subject).get("page_view")
        assert bought.count == len(hours)
        assert bought.latest == hours[::-1]
        assert (list(viewed.products) if viewed else []) == hours[::-1]
