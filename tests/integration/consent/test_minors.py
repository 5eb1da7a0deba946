"""Minors: known from the customers' dates of birth, guarded by their guardians, and their own persons from the day on."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import redis

from consent import ledger, masks, minors, models
from consent.ledger import ConsentRecord, Decision
from consent.masks import Mask, mask_key
from orchestration.ingest.run import ingest
from privacy.age_of_consent import Ages, ages, comes_of_age
from privacy.contracts import Purpose
from privacy.registry import PLATFORM_CONTRACTS
from privacy.stores import handler_for
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.integration.privacy_ingest.small_shop import SmallShop, consent, customer

SIGNED_UP = datetime(2026, 3, 1, 12, tzinfo=UTC)
BORN = date(2011, 5, 17)  # 14 at sign-up
CONTRACT = next(c for c in PLATFORM_CONTRACTS if c.key == "platform/minors")
Ingested = Callable[..., str]


@pytest.fixture
def ingested(clean_database: None) -> Ingested:
    """Bring in a customer, and statements as (mechanism, decision, time); gives the pseudonym."""

    def bring(*said: tuple[str, str, datetime], **known: Any) -> str:
        known = {"birth_date": BORN, "signed_up_at": SIGNED_UP, **known}
        rows = [
            consent("C1", "personalisation", decision, at) | {"mechanism": mechanism}
            for mechanism, decision, at in said
        ]
        ingest("customers", SmallShop({"customers": [customer("C1", **known)]}))
        ingest("consents", SmallShop({"consents": rows}))
        return str(Vault().resolve(CUSTOMER_NUMBER, ["C1"], create=False)[0])

    return bring


def test_the_ages_are_those_that_member_states_may_choose() -> None:
    rule = ages()
    assert {"AT", "BE", "DE", "FR", "IT", "ES", "NL", "PL", "SE"} <= rule.countries.keys()
    assert all(13 <= age <= 16 for age in rule.countries.values())
    assert (rule.of("fr"), rule.of(" AT "), rule.of("Atlantis"), rule.of(None)) == (15, 14, 16, 16)


def test_somebody_born_on_the_29th_of_february_comes_of_age_when_the_day_is_over() -> None:
    assert comes_of_age(date(2012, 2, 29), "DE") == date(2028, 2, 29)
    assert comes_of_age(date(2012, 2, 29), "FR") == date(2027, 3, 1)


@pytest.mark.parametrize(
    ("country", "counts"),
    [("AT", True), ("ES", True), ("FR", False), ("DE", False), (None, False), ("XX", False)],
)
def test_whether_a_fourteen_year_olds_own_agreement_counts_is_for_their_country_to_say(
    ingested: Ingested, country: str | None, counts: bool
) -> None:
    pseudonym = ingested(("banner", "opt_in", SIGNED_UP), country=country)
    assert (ledger.current(pseudonym) == {Purpose.PERSONALISATION}) is counts


def test_a_guardian_agrees_and_the_minor_may_refuse_but_not_agree_again(ingested: Ingested) -> None:
    april, may, june = (datetime(2026, month, 1, tzinfo=UTC) for month in (4, 5, 6))
    child, guardian = ("banner", "opt_in", SIGNED_UP), ("guardian_email", "opt_in", april)
    assert ledger.current(ingested(child, guardian)) == {Purpose.PERSONALISATION}
    refused = ingested(child, guardian, ("privacy_centre", "opt_out", may))
    assert ledger.current(refused) == frozenset()
    assert ledger.current(ingested(("banner", "opt_in", june))) == frozenset()


@pytest.mark.parametrize(
    ("mechanism", "month", "day", "counts"),
    [
        ("banner", 5, 16, False),
        ("banner", 5, 17, True),
        ("guardian", 5, 16, True),  # and goes on counting after the day
        ("guardian", 5, 17, False),
    ],
)
def test_from_the_day_on_the_subjects_own_agreement_counts_and_a_guardians_no_more(
    ingested: Ingested, mechanism: str, month: int, day: int, counts: bool
) -> None:
    pseudonym = ingested(
        (mechanism, "opt_in", datetime(2020, month, day, tzinfo=UTC)),
        birth_date=date(2004, 5, 17),
        signed_up_at=datetime(2020, 3, 1, tzinfo=UTC),
    )
    assert (ledger.current(pseudonym) == {Purpose.PERSONALISATION}) is counts


def test_a_statement_dated_after_the_day_but_received_before_it_is_a_minors(
    ingested: Ingested,
) -> None:
    ahead = datetime(2101, 1, 1, tzinfo=UTC)
    assert ledger.current(ingested(("banner", "opt_in", ahead), birth_date=date(2084, 1, 1))) == (
        frozenset()
    )


def test_nobody_can_agree_for_an_adult(ingested: Ingested) -> None:
    said = ("guardian", "opt_in", SIGNED_UP)
    assert ledger.current(ingested(said, birth_date=date(1990, 5, 17))) == frozenset()


def test_only_minors_are_kept_and_not_their_dates_of_birth(ingested: Ingested) -> None:
    pseudonym = ingested(birth_date=date(2008, 1, 1))
    assert handler_for(CONTRACT).find(CONTRACT, [pseudonym]) == {}, "18 at sign-up"
    ingested(country="AT")
    assert handler_for(CONTRACT).find(CONTRACT, [pseudonym]) == {}, "14 is enough in Austria"
    ingested(country="FR")
    (row,) = handler_for(CONTRACT).export(CONTRACT, pseudonym)
    assert row["minor_until"] == "2026-05-17"


def test_an_age_alone_counts_as_the_youngest_that_it_can_mean(ingested: Ingested) -> None:
    pseudonym = ingested(birth_date=None, age=15, country="DE")
    (row,) = handler_for(CONTRACT).export(CONTRACT, pseudonym)
    assert row["minor_until"] == "2027-03-01", "15 on 1 March 2026: 16 within a year"


def test_an_unknown_age_is_an_adults_unless_the_platform_says_otherwise(ingested: Ingested) -> None:
    said = ("banner", "opt_in", SIGNED_UP)
    pseudonym = ingested(said, birth_date=None)
    assert ledger.current(pseudonym) == {Purpose.PERSONALISATION}
    strict = Ages(default=16, unknown_age="minor", countries={})
    assert minors.record([pseudonym], [None], ["DE"], [None], strict) == 1
    assert ledger.current(pseudonym) == frozenset()
    assert handler_for(CONTRACT).export(CONTRACT, pseudonym)[0]["minor_until"] == "9999-12-31"


def test_who_turns_out_to_be_a_minor_is_served_no_longer_and_models_forget_them(
    ingested: Ingested, redis_client: "redis.Redis"
) -> None:
    said = ("banner", "opt_in", SIGNED_UP)
    pseudonym = ingested(said, birth_date=None)
    masks.refresh(pseudonym)
    models.trained("models/lightfm", "v1", [Purpose.PERSONALISATION], models.snapshot())
    redis_client.lpush(f"sv:session:{{{pseudonym}}}", "click\tP1")
    before = models.snapshot()
    ingested(said, birth_date=BORN)
    assert masks.masks_of(redis_client, [pseudonym]) == {pseudonym: Mask()}
    assert redis_client.exists(mask_key(pseudonym)) == 1
    assert redis_client.exists(f"sv:session:{{{pseudonym}}}") == 0
    assert models.due()["models/lightfm"].subjects == 1
    left = models.left_since(before, [pseudonym], Purpose.PERSONALISATION, ["models/lightfm"])
    assert left == {pseudonym}


def test_a_child_of_any_age_is_known_as_one(ingested: Ingested) -> None:
    pseudonym = ingested(("banner", "opt_in", SIGNED_UP), birth_date=date(2019, 1, 1))
    assert ledger.current(pseudonym) == frozenset()


def test_statements_of_a_list_count_as_those_of_an_ingest(ingested: Ingested) -> None:
    pseudonym = ingested()
    for mechanism, expected in (("banner", frozenset()), ("guardian", {Purpose.ANALYTICS})):
        said = ConsentRecord(
            pseudonym,
            Purpose.ANALYTICS,
            Decision.OPT_IN,
            SIGNED_UP,
            mechanism,
            "1",
            "api",
            mechanism,
        )
        ledger.append([said])
        assert ledger.current(pseudonym) == expected
