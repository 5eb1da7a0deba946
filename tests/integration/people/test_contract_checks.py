"""The check of a contract looks into every kind of store: who is in it, and who should not be. It tells counts alone."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest
import redis

from consent import ledger, masks
from consent.ledger import ConsentRecord, Decision
from consent.objections import object_to
from feature_repo.views import subject_profile_contract
from orchestration.contract_checks import ContractFindings, contract_checks, examine
from orchestration.contracted import contracted_asset
from orchestration.defs.consent.masks import CONTRACT as MASKS
from privacy import lake
from privacy.contracts import (
    SMALLEST_GROUP,
    Artifacts,
    AssetContract,
    Category,
    DeltaStore,
    LegalBasis,
    Purpose,
    RedisStore,
    Retention,
    Store,
)
from privacy.database import Role, connect
from privacy.registry import PLATFORM_CONTRACTS
from privacy.settings import PlatformSettings
from privacy.stores.feast_online import ALL_VIEWS
from recommenders.artifacts import save_artifact
from recommenders.online_profile import online_keys
from tests.integration.people.conftest import CONTRACTS, MODEL, NOW, People
from tests.integration.samples import contract

RAW = "customer-4711"
OWN = {contract.key.partition("/")[2]: contract for contract in PLATFORM_CONTRACTS}
ASSETS = {contract.key: contract for contract in CONTRACTS}
STARRED = contract("serving/top", RedisStore(pattern="sv:top:{{pseudonym}}:*"))


def _order(name: str) -> None:
    with connect(Role.INGEST) as connection:
        connection.execute(
            "insert into shop.orders (order_id, pseudonym, ordered_at, source, source_key) values ('x', %s, %s, 'test', 'x')",
            [name, NOW],
        )


def _event(name: str) -> None:
    rows = [{"pseudonym": name, "event_timestamp": NOW, "source_key": "x"}]
    lake.append_new("interactions", pa.Table.from_pylist(rows))


def _entry(client: "redis.Redis", name: str) -> None:
    client.xadd("sv:events", {"pseudonym": name, "event_id": "x"})


def _session(client: "redis.Redis", name: str) -> None:
    client.lpush(f"sv:session:{{{name}}}", "click\tP1")


def _feature(client: "redis.Redis", name: str) -> None:
    client.hset(online_keys([name])[0], "_ts:subject_profile", "x")


def _model(name: str) -> None:
    def write(folder: Path) -> None:
        pl.DataFrame({"pseudonym": [name]}).write_parquet(folder / "subjects.parquet")

    save_artifact(MODEL, write)


# Contract, how much the two subjects have in its store, and how much one of them has.
HELD = {
    "postgres": (ASSETS["shop/orders"], 2, 1),
    "view": (ASSETS["staging/stg_orders"], 2, 1),
    "delta": (ASSETS["lake/interactions"], 100, 50),
    "redis": (OWN["session_items"], 2, 1),
    "stream": (OWN["event_stream"], 10, 5),
    "feast": (subject_profile_contract, 2, 1),
    "every feast view": (OWN["online_features"], 2, 1),
    "model": (MODEL, 2, 1),
}


@pytest.mark.parametrize("kind", HELD)
def test_whoever_is_in_a_store_is_counted_and_nobody_is_at_fault(kind: str, people: People) -> None:
    asset, rows, _ = HELD[kind]
    findings = examine(asset)
    assert findings["rows"] == rows
    assert findings.clean


@pytest.mark.parametrize("kind", HELD)
def test_who_left_an_asset_is_found_in_it(kind: str, people: People) -> None:
    asset, rows, own = HELD[kind]
    object_to(people.leaver, asset.key, "test")
    findings = examine(asset)
    assert findings["rows_of_withheld_subjects"] == own
    assert findings["rows"] == rows
    assert not findings.clean


def test_an_objection_after_the_write_waits_for_the_next_run_and_is_missed_after_it(
    people: People,
) -> None:
    asset = ASSETS["shop/orders"]

    @contracted_asset(asset, group="test", kinds=())
    def orders() -> dg.MaterializeResult[None]:
        # The rows of the fixture are what was written; then, before the check, somebody objects.
        object_to(people.leaver, asset.key, "test")
        return dg.MaterializeResult(metadata={"dagster/row_count": 2})

    checked = [orders, *contract_checks(dg.Definitions(assets=[orders]))]
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [dg.materialize(checked, instance=instance, raise_on_error=False) for _ in range(2)]

    found = [
        evaluation.metadata["rows_of_withheld_subjects"].value
        for run in runs
        for evaluation in run.get_asset_check_evaluations()
    ]
    assert found == [0, 1], "the second run began after the objection, and kept the subject"
    assert [run.success for run in runs] == [True, False]


def test_an_objection_counts_that_waited_for_longer_than_the_contract_allows(
    people: People,
) -> None:
    asset = ASSETS["shop/orders"]
    object_to(people.leaver, asset.key, "test")
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert examine(asset, before).clean
    with connect(Role.PRIVACY) as connection:
        connection.execute("update consent.objections set stated_at = now() - interval '25 hours'")
    assert examine(asset, before - timedelta(days=2))["rows_of_withheld_subjects"] == 1


@pytest.mark.parametrize("kind", ["postgres", "delta", "redis", "stream", "feast", "model"])
def test_a_raw_identifier_in_the_pseudonyms_place_is_found_and_not_told(
    kind: str, people: People, redis_client: "redis.Redis"
) -> None:
    put: dict[str, Callable[[str], None]] = {
        "postgres": _order,
        "delta": _event,
        "redis": partial(_session, redis_client),
        "stream": partial(_entry, redis_client),
        "feast": partial(_feature, redis_client),
        "model": _model,
    }
    put[kind](RAW)
    findings = examine(HELD[kind][0])
    assert findings["malformed_pseudonyms"] == 1
    assert not findings.clean
    assert RAW not in repr(findings)


def test_a_long_stream_is_read_page_by_page(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privacy.stores.redis.BATCH_ROWS", 3)
    object_to(people.leaver, OWN["event_stream"].key, "test")
    findings = examine(OWN["event_stream"])
    assert (findings["rows"], findings["rows_of_withheld_subjects"]) == (10, 5)


def test_an_entry_without_a_subject_is_a_row_and_no_fault(
    people: People, redis_client: "redis.Redis"
) -> None:
    redis_client.xadd("sv:events", {"event_id": "x"})
    findings = examine(OWN["event_stream"])
    assert findings["rows"] == 11
    assert findings.clean


def test_a_pattern_with_a_star_finds_the_pseudonym_within_the_key(
    people: People, redis_client: "redis.Redis"
) -> None:
    for name in (*people.both, RAW):
        redis_client.set(f"sv:top:{{{name}}}:homepage", "P1")
    object_to(people.leaver, STARRED.key, "test")
    assert examine(STARRED) == ContractFindings(
        rows=3, malformed_pseudonyms=1, rows_of_withheld_subjects=1
    )


def test_other_views_and_other_projects_are_not_the_assets(
    people: People, redis_client: "redis.Redis"
) -> None:
    own, third = online_keys([people.stayer])[0], online_keys(["f" * 32])[0]
    redis_client.hset(own.removesuffix(b"selvedge") + b"not-selvedge", "_ts:subject_profile", "x")
    redis_client.hset(third, "_ts:of_another_view", "x")
    assert examine(subject_profile_contract)["rows"] == 2
    assert OWN["online_features"].store.feature_view == ALL_VIEWS  # type: ignore[union-attr]
    assert examine(OWN["online_features"])["rows"] == 3


def test_the_mask_of_who_left_the_masks_may_stay_without_a_bit(people: People) -> None:
    for purpose in (Purpose.PERSONALISATION, Purpose.ANALYTICS):
        ledger.append(
            [ConsentRecord(people.leaver, purpose, Decision.OPT_IN, NOW, "t", "1", "t", purpose)]
        )
    masks.write_all()
    object_to(people.leaver, MASKS.key, "test")
    assert examine(MASKS)["rows_of_withheld_subjects"] == 1
    masks.refresh(people.leaver)
    findings = examine(MASKS)
    assert findings["rows"] == 2
    assert findings.clean


def _aggregate(key: str, store: Store, *columns: str) -> AssetContract:
    return AssetContract(
        key=key,
        owner="team:data-platform",
        description="Figures of many.",
        category=Category.AGGREGATE,
        purposes=(Purpose.ANALYTICS,),
        legal_basis=LegalBasis.CONSENT,
        retention=Retention(days=30),
        store=store,
        people=columns,
    )


def test_a_row_of_few_people_breaks_the_contract_of_an_aggregate(servers: PlatformSettings) -> None:
    counted = _aggregate("lake/try_counts", DeltaStore(path="try_counts"), "subjects")
    lake.replace("try_counts", pa.table({"subjects": [SMALLEST_GROUP, None, 4_000]}))
    assert examine(counted).clean
    lake.replace("try_counts", pa.table({"subjects": [SMALLEST_GROUP - 1, None, 4_000]}))
    assert examine(counted)["groups_of_too_few_people"] == 1


def test_a_model_of_few_people_or_of_an_unknown_number_breaks_it(servers: PlatformSettings) -> None:
    counted = _aggregate("models/try_scores", Artifacts(path="try_scores"))

    def write(folder: Path) -> None:
        pl.DataFrame({"product_id": ["P1"]}).write_parquet(folder / "scores.parquet")

    for people, few in ((SMALLEST_GROUP, 0), (None, 0), (SMALLEST_GROUP - 1, 1)):
        manifest = save_artifact(counted, write, smallest_group=people)
        assert examine(counted)["groups_of_too_few_people"] == few
    path = servers.models_dir / "try_scores" / manifest.version / "manifest.json"
    silent = {key: v for key, v in json.loads(path.read_text()).items() if key != "smallest_group"}
    path.write_text(json.dumps(silent))
    assert examine(counted)["groups_of_too_few_people"] == 1


def test_a_subjects_column_in_a_model_of_products_is_found(servers: PlatformSettings) -> None:
    counted = _aggregate("models/try_columns", Artifacts(path="try_columns"))

    def write(folder: Path) -> None:
        pl.DataFrame({"pseudonym": ["f" * 32]}).write_parquet(folder / "scores.parquet")

    save_artifact(counted, write, smallest_group=SMALLEST_GROUP)
    assert examine(counted)["personal_columns"] == 1


def test_a_table_that_is_not_there_is_a_fault(servers: PlatformSettings) -> None:
    missing = contract("lake/try_missing", DeltaStore(path="try_missing"))
    assert examine(missing)["missing_tables"] == 1
    assert not examine(missing).clean
