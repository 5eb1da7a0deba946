"""A contract that contradicts itself, or an asset without one, is refused with a sentence that names it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.contracted import RowCountError, contracted_asset, contracts_of
from orchestration.defs.ingest.contracts import CONTRACTS
from privacy.contracts import (
    AssetContract,
    Category,
    ContractError,
    DeltaStore,
    Duty,
    LegalBasis,
    NoStore,
    PostgresStore,
    Purpose,
    Retention,
    Withhold,
    no_personal_data,
)


def _personal(key: str = "lake/visits", **changes: Any) -> AssetContract:
    fields: dict[str, Any] = {
        "key": key,
        "owner": "team:privacy",
        "description": "Visits of the shop.",
        "category": Category.PSEUDONYMOUS,
        "purposes": (Purpose.ANALYTICS,),
        "legal_basis": LegalBasis.CONSENT,
        "retention": Retention(days=30),
        "store": DeltaStore(path="visits"),
        "subject": "pseudonym",
        "withhold": Withhold(at="materialisation", within=timedelta(days=1)),
    }
    return AssetContract(**(fields | changes))


@pytest.mark.parametrize("field", ["purposes", "legal_basis", "retention", "subject", "withhold"])
def test_personal_data_without_a_field_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match=f"lake/visits.*{field}"):
        _personal(**{field: () if field == "purposes" else None})


_ORDERED = st.datetimes(datetime(2010, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize("name", ["orders", "order_lines"])
@given(ordered=_ORDERED, days=st.integers(0, 365), seconds=st.integers(-7200, 7200))
def test_an_order_is_overdue_on_the_day_after_the_law_stops_asking_for_it(
    name: str, ordered: datetime, days: int, seconds: int
) -> None:
    """Around the end of the duty, by the second: § 147 (4) AO counts from the end of the calendar year, in Berlin."""
    contract = CONTRACTS[name]
    duty, retention = contract.duty, contract.retention
    assert duty
    assert retention
    zone = ZoneInfo(duty.time_zone)
    ends = datetime(ordered.astimezone(zone).year + duty.years + 1, 1, 1, tzinfo=zone)
    now = ends.astimezone(UTC) + timedelta(days=days if seconds >= 0 else -days, seconds=seconds)
    assert (ordered < retention.overdue_before(now)) == (now >= ends)
    assert retention.last_day(ordered) == ends.date()


def test_a_retention_that_ends_before_the_law_allows_is_refused() -> None:
    duty = Duty(reference="§ 147 AO", years=8, column="ordered_at", fields=("order_id",))
    table = PostgresStore(schema_name="shop", table="orders")
    for kept in (
        Retention(days=2921, column="ordered_at", year_end_in="Europe/Berlin"),
        Retention(days=3287, column="ordered_at"),
        Retention(days=4000, column="shipped_at"),
        Retention(days=4000),
    ):
        with pytest.raises(ValidationError, match=r"before the duty ends.*2922 days or more"):
            _personal("shop/orders", store=table, duty=duty, retention=kept)
    assert _personal(
        "shop/orders", store=table, duty=duty, retention=Retention(days=3288, column="ordered_at")
    ).duty


def test_a_year_without_a_column_is_refused() -> None:
    with pytest.raises(ValidationError, match="names no column"):
        Retention(days=1, year_end_in="Europe/Berlin")


def test_no_personal_data_needs_a_reason() -> None:
    with pytest.raises(ValidationError, match="needs a reason"):
        no_personal_data(
            "lake/products", owner="team:a", description="d", reason="", store=NoStore()
        )


def test_a_contract_survives_json() -> None:
    contract = _personal()
    assert AssetContract.model_validate_json(contract.model_dump_json()) == contract


def test_an_asset_without_a_contract_is_named() -> None:
    @dg.asset(key=["lake", "bare"])
    def bare() -> None: ...

    with pytest.raises(ContractError, match="lake/bare has no AssetContract"):
        contracts_of(dg.Definitions(assets=[bare]))


def test_an_asset_for_more_than_its_input_was_collected_for_is_refused() -> None:
    @contracted_asset(_personal(), group="lake", kinds=["delta"])
    def visits() -> None: ...

    @contracted_asset(
        _personal("lake/letters", purposes=(Purpose.MARKETING_EMAIL,)),
        group="lake",
        kinds=["delta"],
        deps=["lake/visits"],
    )
    def letters() -> None: ...

    with pytest.raises(ContractError, match=r"lake/letters serves marketing_email.*lake/visits"):
        contracts_of(dg.Definitions(assets=[visits, letters]))


def test_an_aggregate_table_says_how_many_people_stand_behind_a_row() -> None:
    silent = _personal(category=Category.AGGREGATE, subject=None, withhold=None)
    counted = silent.model_copy(update={"people": ("subjects",)})

    def _defined(contract: AssetContract) -> dg.Definitions:
        @contracted_asset(contract, group="lake", kinds=["delta"])
        def visits() -> None: ...

        return dg.Definitions(assets=[visits])

    assert contracts_of(_defined(counted)) == [counted]
    with pytest.raises(ContractError, match=r"lake/visits is an aggregate.*`people`.*10 or more"):
        contracts_of(_defined(silent))


def test_an_asset_that_does_not_say_how_many_rows_it_holds_fails() -> None:
    said: dict[str, int] = {}

    @contracted_asset(_personal(), group="lake", kinds=["delta"])
    def visits() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata=dict(said))

    with pytest.raises(RowCountError, match="lake/visits does not say how many rows"):
        dg.materialize([visits])
    said["dagster/row_count"] = 0
    assert dg.materialize([visits]).success


def test_the_contract_gives_an_asset_its_key_owner_and_description() -> None:
    @contracted_asset(_personal(), group="lake", kinds=["delta"], columns={"pseudonym": "string"})
    def visits() -> None: ...

    (spec,) = dg.Definitions(assets=[visits]).resolve_all_asset_specs()
    assert spec.key.to_user_string() == "lake/visits"
    assert spec.owners == ["team:privacy"]
    assert spec.description == "Visits of the shop."
    assert spec.tags["selvedge/category"] == "pseudonymous"
