"""Invoices survive an erasure, stripped to what the law needs, for the privacy role alone, until the duty ends."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from privacy import duties, registry, requests
from privacy.certificates import get as certificate_of
from privacy.contracts import Duty, Retention
from privacy.database import Role, connect
from privacy.exports.document import asset_entry
from privacy.requests import RequestKind, RequestStatus
from privacy.verification import verify
from tests.integration.people.conftest import CONTRACTS, NOW, document_of

DUTIES = {
    "shop/orders": Duty(
        reference="§ 147 AO",
        years=8,
        column="ordered_at",
        fields=("order_id", "ordered_at", "currency"),
    ),
    "shop/order_lines": Duty(
        reference="§ 147 AO",
        years=8,
        column="ordered_at",
        fields=("order_line_id", "order_id", "unit_price"),
    ),
}


@pytest.fixture
def under_duty(people) -> Iterator[None]:
    vouchers = Retention(days=2922, column="ordered_at", year_end_in="Europe/Berlin")
    registry.publish(
        contract.model_copy(update={"duty": DUTIES[contract.key], "retention": vouchers})
        if contract.key in DUTIES
        else contract
        for contract in CONTRACTS
    )
    yield
    registry.publish(CONTRACTS)


def erase(pseudonym: str) -> requests.PrivacyRequest:
    request, _ = requests.submit(RequestKind.ERASURE, pseudonym, "test")
    return requests.process(request.request_id)


def kept() -> list[tuple]:
    with connect(Role.PRIVACY) as connection:
        return connection.execute(
            "select asset_key, record, keep_until::text from requests.retained_records order by 1"
        ).fetchall()


def test_invoices_survive(people, under_duty: None) -> None:
    done = erase(people.leaver)

    assert (done.status, done.unfinished) == (RequestStatus.COMPLETED, ())
    assert kept() == [
        (
            "shop/order_lines",
            {"order_line_id": "l0", "order_id": "o0", "unit_price": 19.9},
            "2034-12-31",
        ),
        (
            "shop/orders",
            {"order_id": "o0", "ordered_at": "2026-11-01T12:00:00+00:00", "currency": None},
            "2034-12-31",
        ),
    ]
    assert verify([people.leaver], registry.load()).findings == []
    with connect(Role.PRIVACY) as connection:
        left = connection.execute("select array_agg(order_id) from shop.orders").fetchone()
    assert left == (["o1"],), "the stayer's order is where it was"


def test_the_certificate_and_the_export_name_the_duty(people, under_duty: None) -> None:
    asked, _ = requests.submit(RequestKind.ACCESS, people.leaver, "test")
    requests.process(asked.request_id)
    document, _ = requests.export_of(asked.request_id)
    assets = {entry["asset"]: entry for entry in document_of(document)["assets"]}
    assert assets["shop/orders"]["rows"][0]["order_id"] == "o0"
    contract = registry.load().get("shop/orders")
    assert asset_entry(contract, ())["kept_by_law"] == assets["shop/orders"]["kept_by_law"]
    assert assets["shop/orders"]["kept_by_law"]["reference"] == "§ 147 AO"

    done = erase(people.leaver)
    text = certificate_of(done.request_id).decode()
    assert '"records": 1' in text
    assert "\\u00a7 147 AO" in text


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PRIVACY])
def test_nobody_else_reads_them(people, under_duty: None, role: Role) -> None:
    erase(people.leaver)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connect(role) as connection:
        connection.execute("select count(*) from requests.retained_records")


def test_a_record_whose_duty_ended_is_erased_like_any_other(people, under_duty: None) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute("update shop.orders set ordered_at = '2001-06-01'")
    erase(people.leaver)
    assert [row[0] for row in kept()] == ["shop/order_lines"]


def test_they_leave_when_the_duty_ends(people, under_duty: None) -> None:
    erase(people.leaver)
    assert duties.release() == 0
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.retained_records set keep_until = current_date - 1 where asset_key = 'shop/orders'"
        )
    assert duties.release() == 1
    assert [row[0] for row in kept()] == ["shop/order_lines"]


def test_the_year_ends_where_the_law_holds(people, under_duty: None) -> None:
    new_year_in_berlin = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update shop.orders set ordered_at = %s where order_id = 'o0'", [new_year_in_berlin]
        )
    erase(people.leaver)
    assert {row[0]: row[2] for row in kept()} == {
        "shop/orders": "2035-12-31",
        "shop/order_lines": "2034-12-31",
    }
    assert NOW.year == 2026
