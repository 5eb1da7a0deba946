from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString

import pytest

from orchestration.ingest.run import ingest
from orchestration.sources.model import TABLES
from privacy import tombstones
from privacy.database import Role, connect
from privacy.identifiers import EMAIL, PHONE, InvalidIdentifierError, canonical
from privacy.key_providers.file import FileKeyProvider
from privacy.pseudonymise import Pseudonymiser
from privacy.settings import Environment
from privacy.vault import (
    CUSTOMER_NUMBER,
    IdentifierConflictError,
    UnknownSubjectError,
    Vault,
)
from tests.integration.privacy_ingest.small_shop import AT, SmallShop, customer, interaction

pytestmark = pytest.mark.usefixtures("clean_platform")
MAIL, PHONE_NUMBER = "qxmarkermail@shop.test", "+49 30 99887766"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(FileKeyProvider(tmp_path / "secrets" / "keys.json", Environment.TEST))


@pytest.fixture
def two(vault: Vault) -> tuple[str, str]:
    one, other = vault.resolve(CUSTOMER_NUMBER, ["a", "b"], create=True)
    assert one
    assert other
    return one, other


def _rows(statement: LiteralString) -> list[tuple[Any, ...]]:
    with connect(Role.PRIVACY) as connection:
        return connection.execute(statement).fetchall()


def test_several_identifiers_lead_to_one_subject(vault: Vault, two: tuple[str, str]) -> None:
    for _ in range(2):
        vault.link(two[0], EMAIL, "Ada@shop.test")
        vault.link(two[0], EMAIL, "ada.2@shop.test")
        vault.link(two[0], PHONE, PHONE_NUMBER)
    assert vault.lookup(EMAIL, "ada@SHOP.test") == vault.lookup(PHONE, "03099887766") == two[0]
    assert vault.lookup(CUSTOMER_NUMBER, "ada@shop.test") is None
    assert sorted(vault.identifiers_of([two[0]])) == sorted(
        canonical(kind, text)
        for kind, text in (
            (CUSTOMER_NUMBER, "a"),
            (EMAIL, "ada@shop.test"),
            (EMAIL, "ada.2@shop.test"),
            (PHONE, "+493099887766"),
        )
    )


def test_an_identifier_of_somebody_else_is_a_conflict_that_says_what_to_do(
    vault: Vault, two: tuple[str, str]
) -> None:
    vault.link(two[0], EMAIL, "qx@shop.test")
    with pytest.raises(IdentifierConflictError, match=r"Vault.settle") as refused:
        vault.link(two[1], EMAIL, "qx@shop.test")
    assert "qx" not in str(refused.value)
    assert vault.lookup(EMAIL, "qx@shop.test") == two[0]
    vault.settle(two[1], EMAIL, "qx@shop.test")
    assert vault.lookup(EMAIL, "qx@shop.test") == two[1]
    assert not vault.unlink(two[0], EMAIL, "qx@shop.test")
    assert vault.unlink(two[1], EMAIL, "qx@shop.test")
    assert vault.lookup(EMAIL, "qx@shop.test") is None


def test_what_several_subjects_claim_leads_to_nobody_until_it_is_settled(
    vault: Vault, two: tuple[str, str]
) -> None:
    mails = ["own@shop.test", "shared@shop.test", "shared@shop.test", "no address", None]
    people = [two[0], two[0], two[1], two[1], two[1]]
    assert vault.link_many(EMAIL, people, mails) == (2, 1, 1)
    assert vault.link_many(EMAIL, people, mails) == (0, 0, 1)
    assert vault.lookup(EMAIL, "own@shop.test") == two[0]
    assert vault.lookup(EMAIL, "shared@shop.test") is None
    assert vault.resolve(EMAIL, ["shared@shop.test"], create=True) == [None]
    with pytest.raises(IdentifierConflictError):
        vault.link(two[0], EMAIL, "shared@shop.test")
    vault.settle(two[1], EMAIL, "shared@shop.test")
    assert vault.lookup(EMAIL, "shared@shop.test") == two[1]


def test_nothing_is_linked_to_a_subject_that_the_vault_does_not_hold(vault: Vault) -> None:
    with pytest.raises(UnknownSubjectError):
        vault.link("0" * 32, EMAIL, "a@b.test")
    with pytest.raises(InvalidIdentifierError):
        vault.link("0" * 32, PHONE, "12")
    assert _rows("select count(*) from vault.identifiers") == [(0,)]


def test_two_who_claim_one_address_at_once_do_not_both_get_it(
    vault: Vault, two: tuple[str, str]
) -> None:
    def claim(who: str) -> bool:
        try:
            vault.link(who, EMAIL, "a@b.test")
        except IdentifierConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(claim, [two[0], two[1]] * 4))
    owner = vault.lookup(EMAIL, "a@b.test")
    assert owner in two
    assert results == [who == owner for who in [two[0], two[1]] * 4]


def test_the_ingest_of_customers_links_their_address_and_phone_number() -> None:
    shop = SmallShop(
        {"customers": [customer("n1"), customer("n2", email="N2@shop.test", phone="not a number")]}
    )
    assert ingest("customers", shop).contested == 0
    vault = Vault()
    assert vault.lookup(EMAIL, MAIL) == vault.lookup(PHONE, PHONE_NUMBER)
    assert vault.lookup(EMAIL, MAIL) == vault.lookup(CUSTOMER_NUMBER, "n1")
    assert vault.lookup(EMAIL, "n2@shop.test") == vault.lookup(CUSTOMER_NUMBER, "n2")
    before = _rows("select xmin::text, * from vault.identifiers order by lookup")
    assert len(before) == 5
    ingest("customers", shop)
    assert _rows("select xmin::text, * from vault.identifiers order by lookup") == before


def test_a_shared_address_is_counted_once_and_opens_nobodys_data() -> None:
    shop = SmallShop({"customers": [customer("n1"), customer("n2", phone=None)]})
    assert [ingest("customers", shop).contested for _ in range(2)] == [1, 0]
    assert Vault().lookup(EMAIL, MAIL) is None
    assert Vault().lookup(PHONE, PHONE_NUMBER) == Vault().lookup(CUSTOMER_NUMBER, "n1")


def test_an_erased_subject_stays_erased_under_every_identifier() -> None:
    shop = SmallShop({"customers": [customer("n1")]})
    ingest("customers", shop)
    vault = Vault()
    pseudonym = vault.lookup(CUSTOMER_NUMBER, "n1")
    assert pseudonym
    tombstones.record([pseudonym], vault.identifiers_of([pseudonym]), AT + timedelta(days=1))
    vault.erase([pseudonym])
    assert _rows("select count(*) from vault.identifiers") == [(0,)]
    assert ingest("customers", shop).tombstoned == 1
    table = TABLES["interactions"]
    for kind, text in ((EMAIL, MAIL.upper()), (PHONE, "030 99887766"), (CUSTOMER_NUMBER, "n1")):
        batch = next(SmallShop({"interactions": [interaction("E1", text)]}).read("interactions"))
        done = Pseudonymiser(subject_kind=kind).apply(batch.rows, table, "other source")
        assert (done.tombstoned, done.rows.num_rows) == (1, 0)
    # Another account's old row carries the address: the account stays, the address leads nowhere.
    ingest("customers", SmallShop({"customers": [customer("n2")]}))
    assert vault.lookup(EMAIL, MAIL) is None
    since = AT + timedelta(days=2)
    ingest("customers", SmallShop({"customers": [customer("n2", updated_at=since)]}))
    assert vault.lookup(EMAIL, MAIL) is None, "that a row was touched says nothing of the address"
    later = customer("n3", signed_up_at=since, updated_at=since)
    ingest("customers", SmallShop({"customers": [later]}))
    assert vault.lookup(EMAIL, MAIL) == vault.lookup(CUSTOMER_NUMBER, "n3")


def test_a_running_ingest_notices_an_erasure_between_two_batches() -> None:
    pseudonymiser, table = Pseudonymiser(), TABLES["interactions"]
    batches = [
        next(SmallShop({"interactions": [interaction(event, "n1")]}).read("interactions")).rows
        for event in ("E1", "E2")
    ]
    assert pseudonymiser.apply(batches[0], table, "small").rows.num_rows == 1
    vault = Vault()
    pseudonym = vault.lookup(CUSTOMER_NUMBER, "n1")
    assert pseudonym
    tombstones.record([pseudonym], vault.identifiers_of([pseudonym]), AT + timedelta(days=1))
    vault.erase([pseudonym])
    assert pseudonymiser.apply(batches[1], table, "small").tombstoned == 1
    assert vault.lookup(CUSTOMER_NUMBER, "n1") is None
