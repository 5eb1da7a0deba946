"""After an erasure a touched row brings nobody back; what a person does themselves does, and their other rows follow."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from consent import ledger
from orchestration.ingest.run import ingest
from orchestration.sources.model import TABLES
from privacy import lake, tombstones
from privacy.clocks import AHEAD
from privacy.database import Role, connect
from privacy.identifiers import EMAIL, PHONE
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.integration.privacy_ingest.small_shop import (
    AT,
    SmallShop,
    consent,
    customer,
    interaction,
    shop_rows,
)

pytestmark = pytest.mark.usefixtures("clean_platform")
NUMBER, MAIL = "qx4711marker", "qxmarkermail@shop.test"
ERASED, SINCE = AT + timedelta(days=1), AT + timedelta(days=2)
ORDER = {"order_id": "O9", "subject_id": NUMBER, "ordered_at": SINCE}
ORDER_LINE = {**ORDER, "order_line_id": "L9", "product_id": "P1", "quantity": 1}
RETURNING: dict[str, tuple[str, dict[str, Any]]] = {
    "an agreement": ("consents", consent(NUMBER, "personalisation", at=SINCE)),
    "an order": ("orders", ORDER),
    "a line of an order": ("order_lines", ORDER_LINE),
    "a new account": ("customers", customer(NUMBER, signed_up_at=SINCE, updated_at=SINCE)),
}


@pytest.fixture
def erased() -> str:
    """The pseudonym of somebody whose customer row was taken in, and who was erased."""
    ingest("customers", SmallShop({"customers": [customer(NUMBER, signed_up_at=AT)]}))
    pseudonym = _lookup()
    assert pseudonym
    vault = Vault()
    tombstones.record([pseudonym], vault.identifiers_of([pseudonym]), ERASED)
    vault.erase([pseudonym])
    with connect(Role.PRIVACY) as connection:
        connection.execute("delete from shop.customers")
    return pseudonym


def _lookup(kind: str = CUSTOMER_NUMBER, text: str = NUMBER) -> str | None:
    return Vault().lookup(kind, text)


def _ingest_all(rows: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
    """Rows that tombstones dropped, by table."""
    return {name: ingest(name, SmallShop(rows)).tombstoned for name in TABLES}


def _touched() -> dict[str, list[dict[str, Any]]]:
    """Every row of the person that a shop may change or add after they left."""
    rows = shop_rows(NUMBER)
    rows["customers"] = [customer(NUMBER, signed_up_at=AT, updated_at=SINCE)]
    rows["returns"] = [
        {"return_id": "R9", "order_id": "O1", "subject_id": NUMBER, "quantity": 1, "reason": "refund",
         "returned_at": SINCE}
    ]  # fmt: skip
    rows["interactions"].append(interaction("E9", NUMBER, event_timestamp=SINCE))
    rows["consents"] = [consent(NUMBER, "personalisation"), consent(NUMBER, "analytics", "opt_out", SINCE)]  # fmt: skip
    return rows


def test_rows_that_the_shop_touches_bring_nobody_back(erased: str) -> None:
    for _ in range(2):
        dropped = _ingest_all(_touched())
        assert {"customers": 1, "returns": 1, "consents": 2}.items() <= dropped.items()
    assert _lookup() is None
    assert _lookup(EMAIL, MAIL) is None
    with connect(Role.PRIVACY) as connection:
        held = connection.execute(
            "select (select count(*) from shop.returns), (select count(*) from vault.direct_identifiers), "
            "(select count(*) from consent.records)"
        ).fetchone()
    assert held == (0, 0, 0)


def test_an_agreement_that_nobody_stated_brings_nobody_back(erased: str) -> None:
    rows = {"interactions": [interaction("E9", NUMBER, event_timestamp=SINCE)]}
    summary = ingest("consents", SmallShop(rows), assume_consent=True)
    assert (summary.written, summary.tombstoned) == (0, summary.read)
    assert _lookup() is None


@pytest.mark.parametrize("what", list(RETURNING))
def test_who_comes_back_by_themselves_is_somebody_new_and_their_newer_rows_follow(
    erased: str, what: str
) -> None:
    table, row = RETURNING[what]
    rows = _touched()
    rows[table] = [*([] if table == "customers" else rows.get(table, [])), row]
    _ingest_all(rows)
    anew = _lookup()
    assert anew not in (None, erased)
    assert _lookup(EMAIL, MAIL) == anew, "their address came back with them"
    assert Vault().reveal(str(anew))["name"] == "Ada Qxmarkername"
    assert lake.count("interactions", "pseudonym", str(anew)) == 1, "the past stays gone"
    with connect(Role.PRIVACY) as connection:
        orders = connection.execute("select count(*) from shop.orders").fetchone()
    assert orders == (int(what == "an order"),)


def test_a_child_who_comes_back_is_known_as_one_before_their_agreement_is_looked_at(
    erased: str,
) -> None:
    child = customer(NUMBER, birth_date=date(2013, 5, 17), signed_up_at=AT, updated_at=SINCE)
    said = consent(NUMBER, "personalisation", at=SINCE)
    _ingest_all({"customers": [child], "consents": [said]})
    anew = _lookup()
    assert anew
    assert ledger.history(anew)
    assert ledger.current(anew) == frozenset()


def test_a_row_follows_at_the_next_ingest_of_its_table(erased: str) -> None:
    shop = SmallShop({"interactions": [interaction("E9", NUMBER, event_timestamp=SINCE)]})
    assert ingest("interactions", shop).tombstoned == 1
    ingest("consents", SmallShop({"consents": [consent(NUMBER, "analytics", at=SINCE)]}))
    assert ingest("interactions", shop).written == 1


def test_what_a_fast_clock_dates_after_the_erasure_is_from_before_it(erased: str) -> None:
    said = consent(NUMBER, "personalisation", at=ERASED + AHEAD)
    assert ingest("consents", SmallShop({"consents": [said]})).tombstoned == 1
    assert _lookup() is None


def test_who_is_being_erased_again_is_not_back_by_a_touched_row(erased: str) -> None:
    ingest("orders", SmallShop({"orders": [ORDER]}))
    anew = _lookup()
    assert anew
    tombstones.record([anew], Vault().identifiers_of([anew]), datetime.now(UTC))
    touched = customer(NUMBER, signed_up_at=AT, updated_at=datetime.now(UTC) + timedelta(hours=1))
    assert ingest("customers", SmallShop({"customers": [touched]})).tombstoned == 1


def test_another_account_takes_an_erased_address_over_only_if_it_is_newer(erased: str) -> None:
    old = customer("other", signed_up_at=AT, updated_at=SINCE)
    ingest("customers", SmallShop({"customers": [old]}))
    assert _lookup(text="other")
    assert _lookup(EMAIL, MAIL) is None
    assert _lookup(PHONE, old["phone"]) is None
    new = customer("third", signed_up_at=SINCE, updated_at=SINCE)
    ingest("customers", SmallShop({"customers": [new]}))
    assert _lookup(EMAIL, MAIL) == _lookup(text="third")
    ingest("customers", SmallShop({"customers": [old, new]}))
    assert _lookup(EMAIL, MAIL) is None, "two who live claim it"
