"""Retention deletes what is overdue in every kind of store, keeps the rest, and finds what it could not delete."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import redis
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.views import subject_profile_contract
from privacy import lake, registry
from privacy.contracts import (
    Artifacts,
    AssetContract,
    DeltaStore,
    PostgresStore,
    Purpose,
    Store,
    Unlearn,
)
from privacy.database import Role, connect
from privacy.file_search import needles_of, search_files
from privacy.retention import RetentionReport, enforce, restricted
from privacy.settings import PlatformSettings
from privacy.vault import CUSTOMER_NUMBER, Vault
from recommenders.artifacts import publish_live, save_artifact
from recommenders.features import apply_definitions, feature_store
from recommenders.online_profile import online_keys
from tests.integration.samples import agree, contract, profile

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=400)


def _contract(
    key: str, store: Store, column: str | None, days: int = 365, unlearn: Unlearn | None = None
) -> AssetContract:
    return contract(key, store, unlearn, purpose=Purpose.ANALYTICS, column=column, days=days)


def _shop(table: str, column: str) -> AssetContract:
    return _contract(f"shop/{table}", PostgresStore(schema_name="shop", table=table), column)


MODEL = _contract("models/lightfm", Artifacts(path="lightfm"), None, 30, Unlearn.FOLD_OUT)
LAKE = _contract("lake/interactions", DeltaStore(path="interactions"), "event_timestamp")
REBUILT = _contract("marts/rebuilt", PostgresStore(schema_name="marts", table="rebuilt"), None)
CONTRACTS = (
    _shop("orders", "ordered_at"),
    _shop("feedback", "given_at"),
    LAKE,
    subject_profile_contract,
    MODEL,
    REBUILT,
)


@dataclass(frozen=True)
class People:
    """Pseudonyms: whose data are all old, whose are old and new, and whose are old and restricted."""

    gone: str
    active: str
    restricted: str

    @property
    def all(self) -> tuple[str, ...]:
        return self.gone, self.active, self.restricted


@pytest.fixture
def people(
    servers: PlatformSettings, clean_database: None, redis_client: "redis.Redis"
) -> Iterator[People]:
    for folder in (servers.lake_dir, servers.models_dir):
        shutil.rmtree(folder, ignore_errors=True)
    registry.publish(CONTRACTS)
    resolved = Vault().resolve(CUSTOMER_NUMBER, ["C-1", "C-2", "C-3"], create=True)
    subjects = People(*[str(name) for name in resolved])
    with connect(Role.PRIVACY) as connection:
        connection.execute("update vault.subjects set created = %s", [OLD])
        connection.execute(
            "insert into consent.objections (pseudonym, asset_key, decision, mechanism) "
            "select %s, unnest(%s::text[]), 'object', 'restriction'",
            [subjects.restricted, ["shop/orders", "lake/interactions"]],
        )
    _fill_tables(subjects)
    _fill_lake(subjects)
    with connect(Role.DBT) as connection:
        connection.execute("create table marts.rebuilt as select pseudonym from shop.orders")
    yield subjects
    with connect(Role.DBT) as connection:
        connection.execute("drop table if exists marts.rebuilt")
        connection.execute("drop view if exists marts.seen")


def _fill_tables(people: People) -> None:
    with connect(Role.INGEST) as connection:
        for number, (subject, at) in enumerate(
            [*((subject, OLD) for subject in people.all), (people.active, NOW)]
        ):
            connection.execute(
                "insert into shop.orders (order_id, pseudonym, ordered_at, source, source_key) values (%s, %s, %s, 't', %s)",
                [f"o{number}", subject, at, f"o{number}"],
            )
        connection.execute(
            "insert into shop.feedback (feedback_id, pseudonym, given_at, source, source_key) values ('f', %s, %s, 't', 'f')",
            [people.gone, OLD],
        )


def _fill_lake(people: People) -> None:
    subjects = [*people.all, people.active, None]
    rows = pa.table(
        {
            "pseudonym": pa.array(subjects, pa.string()),
            "source_key": pa.array([f"e{n}" for n in range(5)]),
            "event_timestamp": pa.array([OLD, OLD, OLD, NOW, OLD], pa.timestamp("us", tz="UTC")),
        }
    )
    assert lake.append_new("interactions", rows) == 5


def entry(report: RetentionReport, key: str) -> tuple[int, int, int]:
    """(deleted, restricted, left) of one asset."""
    (found,) = [asset for asset in report.assets if asset.asset == key]
    assert found.error is None, found.error
    return found.deleted, found.restricted, found.left


def test_overdue_rows_leave_tables_and_lake_and_those_of_a_restricted_subject_stay(
    people: People, servers: PlatformSettings
) -> None:
    assert restricted("shop/orders") == {people.restricted}

    report = enforce(registry.load())

    assert report.faults == ()
    assert entry(report, "shop/orders") == (2, 1, 0)
    assert entry(report, "shop/feedback") == (1, 0, 0)
    assert entry(report, "lake/interactions") == (3, 1, 0)
    with connect(Role.PRIVACY) as connection:
        orders = connection.execute("select pseudonym from shop.orders order by 1").fetchall()
    assert sorted(row[0] for row in orders) == sorted([people.active, people.restricted])
    kept = lake.open_table("interactions").to_pyarrow_table()["pseudonym"].to_pylist()
    assert sorted(kept) == sorted([people.active, people.restricted])


def test_bytes_of_overdue_rows_leave_the_disk_and_the_log_holds_no_subject(
    people: People, servers: PlatformSettings
) -> None:
    with connect(Role.DBT) as connection:
        connection.execute("drop table marts.rebuilt")
    folder = servers.lake_dir / "interactions"
    assert search_files(servers.home / "postgres", needles_of([people.gone])).holding

    enforce(registry.load())

    assert search_files(servers.home, needles_of([people.gone])).holding == {}
    assert search_files(folder / "_delta_log", needles_of(people.all)).holding == {}
    assert len(list(folder.glob("*.parquet"))) == len(lake.open_table("interactions").file_uris())


def test_a_dry_run_counts_and_deletes_nothing(people: People) -> None:
    report = enforce(registry.load(), dry_run=True)

    assert entry(report, "shop/orders") == (2, 1, 0)
    assert entry(report, "lake/interactions") == (3, 1, 0)
    assert lake.count("interactions") == 5
    again = enforce(registry.load())
    assert again.deleted >= report.deleted


def test_a_second_run_finds_nothing(people: People) -> None:
    enforce(registry.load())
    assert enforce(registry.load()).deleted == 0


def test_a_subject_of_whom_nothing_is_left_leaves_the_vault(people: People) -> None:
    with connect(Role.DBT) as connection:
        connection.execute("drop table marts.rebuilt")

    report = enforce(registry.load())

    assert Vault().known(people.all) == {people.active, people.restricted}
    assert entry(report, "platform/vault") == (1, 0, 0)


def test_a_subject_with_a_statement_that_must_be_kept_stays(people: People) -> None:
    agree(people.gone, Purpose.ANALYTICS, OLD, "opt_out")
    enforce(registry.load())
    assert people.gone in Vault().known(people.all)


def test_a_table_without_a_time_ages_with_its_last_materialisation(people: People) -> None:
    fresh = enforce(registry.load(), written={"marts/rebuilt": NOW})
    assert entry(fresh, "marts/rebuilt") == (0, 0, 0)
    stale = enforce(registry.load(), written={"marts/rebuilt": OLD})
    assert entry(stale, "marts/rebuilt") == (4, 0, 0)


def test_a_view_that_shows_overdue_rows_is_a_fault(people: People) -> None:
    view = PostgresStore(schema_name="marts", table="seen", is_view=True)
    with connect(Role.DBT) as connection:
        connection.execute(
            "create view marts.seen as select pseudonym, ordered_at from shop.orders"
        )
    registry.publish((_contract("marts/seen", view, "ordered_at", days=100),))

    report = enforce(registry.load())

    assert report.faults == ("marts/seen: 3 overdue are left",)


def test_a_store_that_fails_is_named_and_the_others_are_cleared(
    people: People, servers: PlatformSettings
) -> None:
    log = servers.lake_dir / "interactions" / "_delta_log" / f"{0:020}.json"
    log.write_text("{broken")

    report = enforce(registry.load())

    named = {fault.partition(":")[0] for fault in report.faults}
    # Whether a subject has nothing left cannot be told either, while a store does not answer.
    assert "lake/interactions" in named
    assert named - {"lake/interactions"} <= {
        f"platform/{x}" for x in ("vault", "consent_records", "objections")
    }
    assert entry(report, "shop/orders") == (2, 1, 0)
    assert people.gone in Vault().known(people.all)


def test_keys_without_an_expiry_get_the_contracts_and_stream_entries_go(
    people: People, redis_client: "redis.Redis"
) -> None:
    key = f"sv:session:{{{people.active}}}"
    redis_client.lpush(key, "click")
    redis_client.set(f"sv:seen:{{{people.active}}}", "e", ex=timedelta(days=30))
    old = int(OLD.timestamp() * 1000)
    redis_client.xadd("sv:events", {"pseudonym": people.gone}, id=f"{old}-0")
    redis_client.xadd("sv:events", {"pseudonym": people.active})

    report = enforce(registry.load())

    assert 0 < redis_client.ttl(key) <= 86_400
    assert 0 < redis_client.ttl(f"sv:seen:{{{people.active}}}") <= 2 * 86_400
    assert entry(report, "platform/session_items") == (1, 0, 0)
    assert entry(report, "platform/seen_events") == (1, 0, 0)
    assert entry(report, "platform/event_stream") == (1, 0, 0)
    assert redis_client.xlen("sv:events") == 1
    assert people.gone.encode() not in redis_client.dump("sv:events")


def test_online_features_go_by_their_time(people: People, redis_client: "redis.Redis") -> None:
    feature_store.cache_clear()
    apply_definitions()
    for subject in (people.gone, people.active):
        agree(subject, Purpose.PERSONALISATION, OLD)
    rows = [profile(people.gone, OLD), profile(people.active, NOW)]
    feature_store().write_to_online_store("subject_profile", pd.DataFrame(rows))
    gone, active = online_keys([people.gone, people.active])
    assert redis_client.exists(gone, active) == 2

    report = enforce(registry.load())

    assert entry(report, "features/subject_profile")[0] == 1
    assert redis_client.hexists(gone, b"_ts:subject_profile") is False
    stamp = Timestamp.FromString(redis_client.hget(active, b"_ts:subject_profile"))
    assert stamp.ToDatetime(tzinfo=UTC).date() == NOW.date()


def _age(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "created": OLD.isoformat()}))


def test_old_versions_go_and_the_live_one_is_reported(
    people: People, servers: PlatformSettings
) -> None:
    def write(folder: Path) -> None:
        pl.DataFrame({"pseudonym": [people.active]}).write_parquet(folder / "subjects.parquet")
        np.save(folder / "vectors.npy", np.ones((1, 2), np.float32))

    live = save_artifact(MODEL, write)
    publish_live({"lightfm": live.version})
    newer = save_artifact(MODEL, write)
    root = servers.models_dir / "lightfm"
    for manifest in (live, newer):
        _age(root / manifest.version)

    report = enforce(registry.load())

    assert [path.name for path in root.iterdir()] == [live.version]
    (model,) = [asset for asset in report.assets if asset.asset == "models/lightfm"]
    assert (model.deleted, model.kept, model.left) == (1, 1, 0)
    assert "train and publish a new one" in model.why


def test_expired_exports_quarantine_and_closed_requests_go(people: People) -> None:
    with connect(Role.PRIVACY) as connection:
        for number, closed in enumerate((NOW - timedelta(days=4000), NOW, None)):
            connection.execute(
                "insert into requests.privacy_requests (request_id, kind, fingerprint, status, expected_completion_time, "
                "completed) values (%s, 'access', '', 'completed', now(), %s)",
                [f"00000000-0000-0000-0000-00000000000{number}", closed],
            )
        connection.execute(
            "insert into requests.exports values ('00000000-0000-0000-0000-000000000001', %s, '', %s)",
            [people.active, OLD],
        )
    with connect(Role.INGEST) as connection:
        connection.execute(
            "insert into shop.quarantine values ('t', 'orders', 'a.csv', 1, 'missing', %s), ('t', 'orders', 'a.csv', 2, 'x', %s)",
            [OLD, NOW],
        )

    report = enforce(registry.load())

    assert report.faults == ()
    for key in ("exports", "privacy_requests", "quarantine"):
        assert entry(report, f"platform/{key}") == (1, 0, 0), key


def test_the_report_and_the_audit_log_name_nobody(people: People) -> None:
    report = enforce(registry.load())
    with connect(Role.PRIVACY) as connection:
        log = connection.execute("select l::text from audit.log l").fetchall()
    assert len(log) == 1
    text = json.dumps(report.as_json()) + str(log)
    assert not any(subject in text for subject in people.all)


def test_a_historic_source_counts_from_its_last_day(people: People) -> None:
    report = enforce(registry.load(), as_of=OLD + timedelta(days=10))
    assert entry(report, "shop/orders") == (0, 0, 0)
    assert entry(report, "lake/interactions") == (0, 0, 0)


def test_the_job_reports_counts_and_fails_where_something_is_left(people: People) -> None:
    import dagster as dg

    from orchestration.defs.privacy.retention import retention

    with dg.DagsterInstance.ephemeral() as instance:
        result = retention.execute_in_process(instance=instance)
        assert result.success
        text = " ".join(str(record) for record in instance.all_logs(result.run_id))
        assert not any(subject in text for subject in people.all)
    view = PostgresStore(schema_name="marts", table="seen", is_view=True)
    with connect(Role.DBT) as connection:
        connection.execute(
            "create view marts.seen as select pseudonym, ordered_at from shop.orders"
        )
    registry.publish((_contract("marts/seen", view, "ordered_at", days=1),))
    with dg.DagsterInstance.ephemeral() as instance:
        failed = retention.execute_in_process(instance=instance, raise_on_error=False)
    assert not failed.success
