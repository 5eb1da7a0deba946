"""The profile assets, materialised over a real lake and ledger: who refused, withdrew or objected is in none of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pytest

from consent import ledger, objections
from consent.ledger import ConsentRecord, Decision
from orchestration.contract_checks import examine
from orchestration.defs.profiles import (
    assets,
    contracts,
    interaction_matrix,
    product_popularity,
    products,
    publish,
)
from orchestration.defs.profiles.checks import no_count_of_few_people
from orchestration.defs.profiles.publish import publish_of_subjects
from orchestration.ingest.interactions import SCHEMA, append_interactions
from privacy import lake
from privacy.contracts import Purpose
from privacy.database import Role, connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("clean_database")
DAY = timedelta(days=1)
NEWEST = datetime(2026, 6, 1, 12, tzinfo=UTC)
AGREES, REFUSES, WITHDREW, OBJECTS, NO_TRAINING, LATE = (f"{number:032x}" for number in range(6))
ALL = (AGREES, REFUSES, WITHDREW, OBJECTS, NO_TRAINING, LATE)
# With the three who may be counted they are ten; they agree to analytics alone.
CROWD = tuple(f"{number:032x}" for number in range(100, 107))
BEHAVIOUR = (Purpose.ANALYTICS, Purpose.PERSONALISATION, Purpose.MODEL_TRAINING)


def _say(subject: str, purpose: Purpose, decision: Decision, at: datetime) -> None:
    key = f"{subject}|{purpose}|{at}"
    ledger.append([ConsentRecord(subject, purpose, decision, at, "test", "1", "test", key)])


@pytest.fixture
def shop(spark: "SparkSession") -> Iterator[None]:
    """Six subjects who each viewed a coat 20 days and bought it 5 days before the newest event, each with another will; and
    a crowd that did the same."""
    events = [
        {
            "pseudonym": subject,
            "event_type": kind,
            "product_id": "coat",
            "event_timestamp": NEWEST - days * DAY,
            "source": "test",
            "source_key": f"{subject}{kind}",
        }
        for subject in (*ALL, *CROWD)
        for kind, days in (("page_view", 20), ("purchase", 5))
    ]
    lake.replace("interactions", pa.Table.from_pylist([], schema=SCHEMA))
    append_interactions(
        pa.Table.from_pylist(events, schema=SCHEMA.remove(SCHEMA.get_field_index("created")))
    )
    lake.replace(
        "products",
        pa.Table.from_pylist(
            [{"product_id": "coat", "category": "outdoor"}], schema=products.SCHEMA
        ),
    )
    for subject in (AGREES, WITHDREW, OBJECTS, NO_TRAINING):
        for purpose in BEHAVIOUR:
            _say(subject, purpose, Decision.OPT_IN, NEWEST - 100 * DAY)
    for subject in CROWD:
        _say(subject, Purpose.ANALYTICS, Decision.OPT_IN, NEWEST - 100 * DAY)
    for purpose in BEHAVIOUR:
        _say(WITHDREW, purpose, Decision.OPT_OUT, NEWEST - DAY)
        _say(REFUSES, purpose, Decision.OPT_OUT, NEWEST - 100 * DAY)
        _say(LATE, purpose, Decision.OPT_IN, NEWEST - 10 * DAY)
    _say(NO_TRAINING, Purpose.MODEL_TRAINING, Decision.OPT_OUT, NEWEST - DAY)
    for contract in (
        contracts.SESSIONS,
        contracts.PROFILE,
        contracts.INTERACTION_MATRIX,
        contracts.POPULARITY,
    ):
        objections.object_to(OBJECTS, contract.key, "test")
    yield
    lake.replace("interactions", pa.Table.from_pylist([], schema=SCHEMA))


def _rows(path: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pa.table(lake.open_table(path).to_pyarrow_table()).to_pylist()
    return rows


def test_each_asset_holds_whoever_agrees_to_its_purposes(shop: None) -> None:
    chosen = [
        assets.lake_sessions,
        assets.lake_subject_profile,
        assets.lake_product_popularity,
        assets.lake_interaction_matrix,
    ]
    result = dg.materialize(chosen)
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    visits = {(row["pseudonym"], row["started_at"]) for row in _rows("sessions")}
    assert {subject for subject, _ in visits} == {AGREES, NO_TRAINING, LATE, *CROWD}
    assert (LATE, NEWEST - 20 * DAY) not in visits
    matrix = {row["pseudonym"]: row["weight"] for row in _rows("interaction_matrix")}
    assert matrix == {AGREES: 9.0, LATE: 8.0}
    profiles = [(row["pseudonym"], row["event_timestamp"]) for row in _rows("subject_profile")]
    clock = max(at for _, at in profiles)  # type: ignore[type-var]
    assert clock == NEWEST - 5 * DAY + timedelta(microseconds=1)
    assert {subject for subject, at in profiles if at == clock} == {AGREES, NO_TRAINING, LATE}
    assert {subject for subject, at in profiles if at != clock} == {AGREES}
    (popular,) = _rows("product_popularity")
    assert (popular["event_timestamp"], popular["subjects"]) == (clock, 10)
    assert (popular["views_7d"], popular["purchases_7d"]) == (0, 10)


def test_nine_people_make_no_product_popular(shop: None) -> None:
    objections.object_to(CROWD[0], contracts.POPULARITY.key, "test")
    result = dg.materialize([assets.lake_product_popularity, no_count_of_few_people])
    assert result.success
    assert _rows("product_popularity") == []
    assert all(check.passed for check in result.get_asset_check_evaluations())


def test_a_count_of_few_events_fails_the_check(shop: None) -> None:
    row = {"product_id": "coat", "event_timestamp": NEWEST, "subjects": 40, "views_7d": 400}
    for carts, passed in ((0, True), (None, True), (10, True), (9, False)):
        rows = pa.Table.from_pylist([row | {"carts_7d": carts}], schema=product_popularity.SCHEMA)
        lake.replace("product_popularity", rows)
        result = no_count_of_few_people()
        assert isinstance(result, dg.AssetCheckResult)
        assert result.passed is passed


def test_the_contract_of_popularity_breaks_with_a_row_of_nine_people(shop: None) -> None:
    row = {"product_id": "coat", "event_timestamp": NEWEST, "subjects": 9}
    rows = pa.Table.from_pylist([row], schema=product_popularity.SCHEMA)
    lake.replace("product_popularity", rows)
    assert examine(contracts.POPULARITY)["groups_of_too_few_people"] == 1


def test_what_the_metadata_says_is_counts_alone(shop: None) -> None:
    result = dg.materialize([assets.lake_interaction_matrix])
    metadata = result.asset_materializations_for_node("lake__interaction_matrix")[0].metadata
    assert metadata["dagster/row_count"].value == 2
    assert not any(subject in str(entry.value) for entry in metadata.values() for subject in ALL)


def test_who_leaves_while_a_table_is_written_is_not_left_in_it(
    shop: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"product_id": "coat", "weight": 1.0, "interactions": 1, "event_timestamp": NEWEST}
    rows = pa.Table.from_pylist(
        [{"pseudonym": subject, **row} for subject in (AGREES, LATE, WITHDREW)],
        schema=interaction_matrix.SCHEMA,
    )
    write = lake.replace

    def write_while_someone_leaves(path: str, table: pa.Table) -> int:
        version = write(path, table)
        _say(LATE, Purpose.MODEL_TRAINING, Decision.OPT_OUT, NEWEST)
        return version

    monkeypatch.setattr(publish.lake, "replace", write_while_someone_leaves)
    published = publish_of_subjects(
        contracts.INTERACTION_MATRIX, rows, ("pseudonym", "product_id"), Purpose.MODEL_TRAINING
    )
    assert [row["pseudonym"] for row in _rows("interaction_matrix")] == [AGREES]
    assert published.rows == 1


def test_the_catalogue_reaches_the_lake_with_the_unknown_unknown() -> None:
    with connect(Role.DBT) as connection:
        connection.execute("drop table if exists marts.dim_products")
        connection.execute(
            "create table marts.dim_products as select 'coat' as product_id, 'Coat' as name, null::text as brand, "
            "'outdoor' as category, 7.5 as sustainability_rating, null::numeric as price, null::text as currency, "
            "array['S', 'M'] as sizes, null::text[] as in_stock_sizes, array['winter'] as season_tags, null::text as description, "
            "null::timestamptz as released_at, null::timestamptz as event_timestamp, timestamptz '2026-06-01 12:00Z' as created"
        )
    try:
        assert dg.materialize([assets.lake_products]).success
    finally:
        with connect(Role.DBT) as connection:
            connection.execute("drop table marts.dim_products")
    (row,) = _rows("products")
    assert (row["price"], row["in_stock_sizes"], row["sizes"]) == (None, None, ["S", "M"])
    assert row["event_timestamp"] == row["created"] == NEWEST
    assert row["sustainability_rating"] == 7.5
