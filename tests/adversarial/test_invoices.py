"""What tax law keeps of an erased canary's orders stays, field by field, and leads to nobody."""

import json

import pytest

from privacy import certificates, duties, registry
from privacy.contracts import AssetContract
from privacy.database import Role, connect
from tests.adversarial.reading import as_administrator
from tests.adversarial.traces import traces
from tests.adversarial.whole_platform import Platform


def retained() -> dict[tuple[str, str], int]:
    """How often each retained record is there, by asset and content."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select asset_key, record::text, count(*) from requests.retained_records group by 1, 2"
        ).fetchall()
    return {(key, record): count for key, record, count in rows}


def _age_an_order(pseudonym: str) -> None:
    """Let one of the subject's orders be of 2009: no duty keeps a voucher that long, and no ingest would take it in."""
    with as_administrator() as connection:
        for table in ("orders", "order_lines"):
            aged = connection.execute(
                f"update shop.{table} set ordered_at = '2009-05-04 10:00Z' where pseudonym = %s and order_id like '%%C'",
                [pseudonym],
            ).rowcount
            assert aged == 1


def under_a_duty() -> list[AssetContract]:
    return [contract for contract in registry.load().contracts if contract.duty is not None]


def test_invoices_survive_stripped_and_leave_when_their_duty_ends(platform: Platform) -> None:
    [canary] = platform.take()
    name, before = platform.pseudonym(canary), retained()
    _age_an_order(name)
    expected = {
        contract.key: duties.under_duty(contract, [name])[name] for contract in under_a_duty()
    }
    assert expected, "there are assets that the law keeps something of"
    assert all(count == 2 for count in expected.values()), "the order of 2009 is past its duty"

    [request] = platform.erase([canary])

    added = {each: count for each, count in retained().items() if before.get(each) != count}
    assert len(added) == sum(expected.values())
    for contract in under_a_duty():
        records = [json.loads(record) for key, record in added if key == contract.key]
        assert len(records) == expected[contract.key]
        assert contract.duty is not None
        assert all(set(record) == set(contract.duty.fields) for record in records)
    kept = json.loads(certificates.get(request.request_id))["kept_by_law"]
    assert {each["asset"]: each["records"] for each in kept} == expected
    assert traces(platform, [canary]) == []

    with as_administrator() as connection:
        connection.execute("update requests.retained_records set keep_until = current_date - 1")
    assert duties.release() >= len(added)
    assert retained() == {}


def test_a_reader_of_the_shop_sees_no_retained_record(platform: Platform) -> None:
    from psycopg.errors import InsufficientPrivilege

    for role in (Role.DBT, Role.INGEST, Role.SERVING, Role.DAGSTER):
        with pytest.raises(InsufficientPrivilege), connect(role) as connection:
            connection.execute("select * from requests.retained_records")
