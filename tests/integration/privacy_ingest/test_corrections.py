"""A correction wins over rows of the source that are older than it, and gives way to newer ones."""

from datetime import UTC, date, datetime, timedelta

import pytest

from consent import ledger, objections
from orchestration.ingest.run import ingest
from privacy import requests
from privacy.database import Role, connect
from privacy.identifiers import EMAIL, PHONE
from privacy.rectification import Corrections, FeedbackCorrection
from privacy.requests import RequestKind, RequestStatus
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.integration.privacy_ingest.small_shop import AT, SmallShop, customer, shop_rows

pytestmark = pytest.mark.usefixtures("clean_platform")
NUMBER = "qx4711marker"
CORRECTED = Corrections(
    email="right@shop.test",
    country="FR",
    preferred_sizes=("S",),
    birth_date=date(1950, 1, 1),
    feedback=(FeedbackCorrection(feedback_id="F1", rating=1.5),),
)


def _shop(**changes: object) -> SmallShop:
    rows = shop_rows()
    rows["customers"][0] = customer(NUMBER, **changes)
    return SmallShop(rows)


def _subject() -> str:
    found = Vault().lookup(CUSTOMER_NUMBER, NUMBER)
    assert found
    return found


def _stored() -> tuple[object, ...]:
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select c.country, c.preferred_sizes, c.age_band, c.body_shape, f.rating::float, c.updated_at "
            "from shop.customers c join shop.feedback f using (pseudonym) where pseudonym = %s",
            [_subject()],
        ).fetchone()
    assert row
    return row


@pytest.fixture
def _corrected(clean_platform: None) -> None:
    for name in ("customers", "feedback"):
        ingest(name, _shop())
    request, _ = requests.submit(
        RequestKind.RECTIFICATION, _subject(), "test", corrections=CORRECTED
    )
    assert request.status is RequestStatus.COMPLETED, request.unfinished


@pytest.mark.usefixtures("_corrected")
def test_older_rows_of_the_source_do_not_undo_a_correction() -> None:
    right = ("FR", ["S"], "65+", None, 1.5, AT)
    assert _stored() == right
    for name in ("customers", "feedback"):
        assert ingest(name, _shop()).written == 0
    assert _stored() == right

    # A row that is newer than what is held, and older than the correction: what was not corrected changes.
    later = AT + timedelta(days=1)
    ingest("customers", _shop(updated_at=later, body_shape="pear"))
    assert _stored() == ("FR", ["S"], "65+", "pear", 1.5, later)
    assert Vault().reveal(_subject())["email"] == "right@shop.test"


@pytest.mark.usefixtures("_corrected")
def test_a_table_made_anew_from_the_source_is_correct() -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute("truncate shop.customers, shop.feedback")
    for name in ("customers", "feedback"):
        ingest(name, _shop())
    assert _stored()[:3] == ("FR", ["S"], "65+")


@pytest.mark.usefixtures("_corrected")
def test_a_row_that_the_shop_changed_after_the_correction_counts() -> None:
    after = datetime.now(UTC) + timedelta(minutes=1)
    ingest("customers", _shop(updated_at=after, country="IT", email="newest@shop.test"))
    assert _stored()[:2] == ("IT", ["M", "L"])
    assert Vault().reveal(_subject())["email"] == "newest@shop.test"


def test_rows_of_somebody_under_a_restriction_are_kept_and_taken_in() -> None:
    ingest("customers", _shop())
    subject = _subject()
    requests.submit(RequestKind.RESTRICTION, subject, "test")
    summary = ingest("customers", _shop(updated_at=AT + timedelta(days=1), country="AT"))
    assert (summary.withheld, summary.written, summary.total) == (0, 1, 2)
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select country from shop.customers where pseudonym = %s", [subject]
        ).fetchone()
    assert row == ("AT",)
    assert objections.withheld("shop/customers") == {subject}


@pytest.mark.usefixtures("_corrected")
def test_older_rows_do_not_bring_a_corrected_identifier_back_and_newer_ones_lead() -> None:
    vault, subject = Vault(), _subject()
    assert vault.lookup(EMAIL, "right@shop.test") == subject
    assert vault.lookup(EMAIL, "qxmarkermail@shop.test") is None

    ingest("customers", _shop(updated_at=AT + timedelta(days=1), phone="+49 30 12345670"))
    assert vault.lookup(EMAIL, "qxmarkermail@shop.test") is None
    assert vault.lookup(PHONE, "+49 30 12345670") == subject, "it was not corrected"

    after = datetime.now(UTC) + timedelta(minutes=1)
    ingest("customers", _shop(updated_at=after, email="newest@shop.test"))
    assert vault.lookup(EMAIL, "newest@shop.test") == subject


def test_older_rows_do_not_make_a_child_an_adult_again() -> None:
    """The source says 1990, the person said 14 years ago; then the shop corrects its row."""
    for name in ("customers", "consents"):
        ingest(name, _shop(signed_up_at=AT))
    subject = _subject()
    assert ledger.current(subject)
    born = date(AT.year - 13, 1, 1)
    requests.submit(
        RequestKind.RECTIFICATION, subject, "test", corrections=Corrections(birth_date=born)
    )
    assert ledger.current(subject) == frozenset()

    ingest("customers", _shop(signed_up_at=AT, updated_at=AT + timedelta(days=1)))
    assert ledger.current(subject) == frozenset()

    after = datetime.now(UTC) + timedelta(minutes=1)
    ingest("customers", _shop(signed_up_at=AT, updated_at=after))
    assert ledger.current(subject)


def test_a_corrected_country_counts_where_the_source_knows_an_age_alone() -> None:
    known = {"birth_date": None, "age": 14, "signed_up_at": AT}
    for name in ("customers", "consents"):
        ingest(name, _shop(**known, country="AT"))
    subject = _subject()
    assert ledger.current(subject), "at fourteen one agrees for oneself in Austria"
    requests.submit(
        RequestKind.RECTIFICATION, subject, "test", corrections=Corrections(country="DE")
    )
    ingest("customers", _shop(**known, country="AT"))
    assert ledger.current(subject) == frozenset()
