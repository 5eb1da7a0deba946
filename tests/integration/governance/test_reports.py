"""The record of processing and the facts of an impact assessment say what the contracts and the stores say, of nobody in person."""

import itertools
import json
import random
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from consent.purposes import purpose_definitions
from orchestration.governance import dpia, ropa
from orchestration.governance.measures import measures
from privacy import lake, registry
from privacy.anonymity import measure
from privacy.contracts import (
    AssetContract,
    Category,
    DeltaStore,
    LegalBasis,
    PostgresStore,
    Purpose,
    Retention,
    Withhold,
)
from privacy.controller import ControllerError, load_controller
from privacy.database import Role, connect
from privacy.settings import Environment, PlatformSettings

Row = tuple[str, str | None, str | None, str | None]


def contract(store: DeltaStore | PostgresStore, key: str = "lake/people") -> AssetContract:
    return AssetContract(
        key=key,
        owner="team:privacy",
        description="People and what they wear.",
        category=Category.PSEUDONYMOUS,
        purposes=(Purpose.ANALYTICS,),
        legal_basis=LegalBasis.CONSENT,
        retention=Retention(days=730, column="seen"),
        store=store,
        subject="pseudonym",
        quasi_identifiers=("country", "age_band"),
        sensitive=("shape",),
        withhold=Withhold(at="materialisation", within=timedelta(days=1)),
    )


def rows(seed: int, count: int) -> list[Row]:
    """Some people with several rows, some with unknown values."""
    draw = random.Random(seed)
    return [
        (
            f"{draw.randrange(count // 2 + 1):032x}",
            draw.choice(["DE", "FR", None]),
            draw.choice(["18-24", "25-34", None]),
            draw.choice(["pear", "straight", None]),
        )
        for _ in range(count)
    ]


def expected(data: list[Row]) -> tuple[int, int, int, int]:
    """(k, l, groups, small groups), by the definitions, one row after the other."""
    people: dict[Any, set[str]] = defaultdict(set)
    shapes: dict[Any, set[str]] = defaultdict(set)
    for person, country, age, shape in data:
        people[country, age].add(person)
        shapes[country, age] |= {shape} - {None}
    sizes = [len(group) for group in people.values()]
    diversity = min(len(shapes[group]) for group in people)
    return min(sizes), diversity, len(sizes), sum(size < 10 for size in sizes)


@pytest.mark.parametrize(("seed", "count"), list(itertools.product(range(3), (1, 12, 400))))
def test_k_and_l_are_those_of_their_definitions_in_both_stores(
    seed: int, count: int, servers: PlatformSettings
) -> None:
    data = rows(seed, count)
    names = ("pseudonym", "country", "age_band", "shape")
    lake.replace(
        "people",
        pa.table(
            {
                n: pa.array(v, pa.string())
                for n, v in zip(names, zip(*data, strict=True), strict=True)
            }
        ),
    )
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "create table requests.people (pseudonym text, country text, age_band text, shape text)"
        )
        connection.cursor().executemany("insert into requests.people values (%s, %s, %s, %s)", data)
    try:
        stores = (DeltaStore(path="people"), PostgresStore(schema_name="requests", table="people"))
        for store in stores:
            found = measure(contract(store))
            assert found is not None
            assert (
                found.k,
                found.diversity["shape"],
                found.groups,
                found.small_groups,
            ) == expected(data)
    finally:
        with connect(Role.PRIVACY) as connection:
            connection.execute("drop table requests.people")


def test_an_empty_or_missing_table_has_no_k(servers: PlatformSettings) -> None:
    found = measure(contract(DeltaStore(path="nowhere")))
    assert found is not None
    assert (found.k, found.groups) == (None, 0)


@pytest.fixture
def published(servers: PlatformSettings, clean_database: None) -> registry.Registry:
    from orchestration.contracted import contracts_of
    from orchestration.definitions import defs

    registry.publish(contracts_of(defs))
    return registry.load()


def test_the_record_has_an_activity_for_each_purpose_and_every_asset_in_its_own(
    published: registry.Registry,
) -> None:
    record = ropa.record_of_processing(published, load_controller(), measures())

    activities = {activity["purpose"]: activity for activity in record["activities"]}
    assert set(activities) == {purpose.value for purpose in purpose_definitions()}
    for held in published.contracts:
        if held.category is not Category.NONE:
            for purpose in held.purposes:
                listed = [asset["asset"] for asset in activities[purpose.value]["assets"]]
                assert held.key in listed, (held.key, purpose)
    page = ropa.as_markdown(record)
    for words in (
        "Controller",
        "Data protection officer",
        "Transfers to third countries",
        "erased after",
        "FileKeyProvider",
    ):
        assert words in page
    assert "8 years from the end of the year of ordered_at" in page
    assert json.loads(json.dumps(record)) == record


def test_the_facts_hold_volumes_lineage_and_anonymity(published: registry.Registry) -> None:
    from orchestration.definitions import defs

    with connect(Role.INGEST) as connection:
        for number in range(12):
            connection.execute(
                "insert into shop.customers (pseudonym, country, age_band, body_shape, source, source_key) "
                "values (%s, 'DE', '25-34', %s, 't', %s)",
                [f"{number:032x}", "pear" if number % 2 else "apple", str(number)],
            )

    found = dpia.facts(published, defs, measures())

    customers = next(entry for entry in found["data"] if entry["asset"] == "shop/customers")
    assert (customers["rows"], customers["subjects"]) == (12, 12)
    k = next(entry for entry in found["anonymity"] if entry["asset"] == "shop/customers")
    assert (k["k"], k["diversity"]["body_shape"], k["small_groups"]) == (12, 2, 0)
    sizes = next(e for e in found["lineage"] if e["column"] == "shop/customers.preferred_sizes")
    assert "marts/dim_customers" in sizes["same_column_in"]
    shape = next(e for e in found["lineage"] if e["column"] == "shop/customers.body_shape")
    assert shape["same_column_in"] == []
    page = dpia.as_markdown(found)
    assert f"{0:032x}" not in page
    assert "| `shop/customers` | country, age_band, height_band | 12 |" in page


def test_quasi_identifiers_are_columns_of_their_asset() -> None:
    from orchestration.contracted import contracts_of
    from orchestration.definitions import defs
    from orchestration.policy.columns import columns_of

    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    for held in contracts_of(defs):
        if declared := columns_of(specs[held.key]):
            assert {*held.quasi_identifiers, *held.sensitive} <= set(declared), held.key


def test_production_refuses_placeholders(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_controller().placeholders
    monkeypatch.setattr(settings, "environment", Environment.PRODUCTION)
    with pytest.raises(ControllerError, match="still has placeholders"):
        load_controller()


def test_a_transfer_out_of_the_eea_needs_a_safeguard(tmp_path: Path) -> None:
    file = tmp_path / "controller.yaml"
    person = {"name": "A", "contact": "a@shop.example"}
    who = {
        "name": "Mail Inc.",
        "role": "processor",
        "service": "Sends letters.",
        "for": ["marketing_email"],
        "country": "US",
    }
    held = {
        "controller": person,
        "data_protection_officer": person,
        "supervisory_authority": "B",
        "categories_of_subjects": ["customers"],
    }
    file.write_text(yaml.safe_dump({**held, "recipients": [who]}))
    with pytest.raises(ControllerError, match=r"Mail Inc\..*leaves the EEA \(US\)"):
        load_controller(file)
    safe = {**who, "safeguard": "standard contractual clauses"}
    file.write_text(yaml.safe_dump({**held, "recipients": [safe]}))
    record = ropa.record_of_processing(registry.Registry(()), load_controller(file), ())
    letters = next(a for a in record["activities"] if a["purpose"] == "marketing_email")
    assert letters["third_country_transfers"][0]["safeguard"] == "standard contractual clauses"
    assert record["placeholders"] == []
