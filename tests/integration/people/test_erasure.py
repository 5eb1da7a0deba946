"""An erasure reaches every store, down to the bytes on disk, and tells the truth when one fails."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import pytest
import redis

from privacy import lake, registry, requests, tombstones, verification
from privacy.database import Role, admin_url, connect
from privacy.file_search import needles_of, search_files
from privacy.requests import RequestKind, RequestStatus
from privacy.settings import PlatformSettings
from privacy.stores import handler_for
from privacy.stores.base import StoreError
from privacy.vault import Vault
from privacy.verification import search_redis, verify
from recommenders.artifacts import latest_version, load_manifest, version_folder


def counts(pseudonym: str) -> dict[str, int]:
    """What each asset and store holds of a subject."""
    return {
        contract.key: handler_for(contract).find(contract, [pseudonym]).get(pseudonym, 0)
        for contract in registry.load().holding_subjects
    }


def test_an_erasure_leaves_no_byte_of_the_pseudonym_and_nobody_else_loses_anything(
    people, servers: PlatformSettings
) -> None:
    before = counts(people.stayer)
    held = counts(people.leaver)
    own = ("exports", "objections", "privacy_requests", "retained_records", "temporary_files")
    assert {key for key, count in held.items() if not count} <= {f"platform/{name}" for name in own}
    assert search_files(servers.home, needles_of([people.leaver])).holding

    request, new = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    assert new
    done = requests.process(request.request_id)

    assert done.unfinished == ()
    assert done.status is RequestStatus.COMPLETED
    assert not any(counts(people.leaver).values())
    assert search_files(servers.home, needles_of([people.leaver])).holding == {}
    assert verify([people.leaver], registry.load()).findings == []
    assert counts(people.stayer) == before
    assert Vault().reveal(people.stayer)["name"] == "Odo Brandt"
    assert tombstones.is_erased([people.leaver, people.stayer]) == [True, False]


def test_what_serving_reads_is_gone_before_the_job_runs(
    people, redis_client: "redis.Redis"
) -> None:
    requests.submit(RequestKind.ERASURE, people.leaver, "test")

    assert [key for key in redis_client.scan_iter() if people.leaver.encode() in key] == []
    found = registry.load()
    profile = found.get("features/subject_profile")
    assert handler_for(profile).find(profile, people.both) == {people.stayer: 1}
    with connect(Role.CONSENT) as connection:
        objected = connection.execute(
            "select count(*) from consent.withheld where pseudonym = %s", [people.leaver]
        ).fetchone()
    assert objected == (len(found.holding_subjects),)


def test_the_same_open_request_is_one_request(people) -> None:
    first, new = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    again, new_again = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    other, _ = requests.submit(RequestKind.ERASURE, people.stayer, "test")

    assert (new, new_again) == (True, False)
    assert first.request_id == again.request_id != other.request_id


def test_the_table_of_requests_holds_no_pseudonym(people) -> None:
    requests.create(RequestKind.ERASURE, people.leaver, "test")
    with connect(Role.PRIVACY) as connection:
        row = connection.execute("select r::text from requests.privacy_requests r").fetchone()
    assert people.leaver not in row[0]


def test_one_failing_store_leaves_the_request_incomplete_and_named(
    people, servers: PlatformSettings
) -> None:
    log = servers.lake_dir / "interactions" / "_delta_log"
    hidden = log.with_name("hidden")
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    log.rename(hidden)
    log.mkdir()
    (log / f"{0:020}.json").write_text("{broken")

    tried = requests.process(request.request_id)

    assert tried.status is RequestStatus.INCOMPLETE
    assert any("lake/interactions" in reason for reason in tried.unfinished)
    assert not any(people.leaver in reason for reason in tried.unfinished)

    shutil.rmtree(log)
    hidden.rename(log)
    again = requests.process(request.request_id)
    assert again.unfinished == ()
    assert again.status is RequestStatus.COMPLETED
    assert again.attempts == 2
    assert search_files(servers.home, needles_of([people.leaver])).holding == {}


def test_a_crash_between_steps_is_resumed_where_it_stopped(
    people, servers: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    original = lake.erase

    def killed(*arguments: object) -> int:
        original(*arguments)  # the store is changed, the step is not recorded
        raise Killed

    monkeypatch.setattr(lake, "erase", killed)
    with pytest.raises(Killed):
        requests.process(request.request_id)
    monkeypatch.undo()
    assert requests.get(request.request_id).status is RequestStatus.IN_PROGRESS

    done = requests.process(request.request_id)
    assert done.status is RequestStatus.COMPLETED
    erased = {step.asset_key: step.affected for step in done.steps() if step.step == "erase"}
    assert erased["lake/interactions"] == 50
    assert search_files(servers.home, needles_of([people.leaver])).holding == {}


def test_bytes_of_rows_that_died_before_the_erasure_go_too(
    people, servers: PlatformSettings
) -> None:
    with connect(Role.INGEST) as connection:
        connection.execute("delete from shop.returns where pseudonym = %s", [people.leaver])

    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    done = requests.process(request.request_id)

    assert done.unfinished == ()
    assert search_files(servers.home, needles_of([people.leaver])).holding == {}


def test_a_copy_that_no_contract_tells_of_keeps_the_request_incomplete(people) -> None:
    with connect(Role.DBT) as connection:
        connection.execute("create table marts.forgotten as select pseudonym from shop.orders")
    try:
        request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
        tried = requests.process(request.request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        assert any("marts.forgotten" in reason for reason in tried.unfinished)
    finally:
        with connect(Role.DBT) as connection:
            connection.execute("drop table marts.forgotten")


def test_a_copy_in_any_file_keeps_the_request_incomplete(people, servers: PlatformSettings) -> None:
    stray = servers.home / "exports" / "notes.csv"
    stray.parent.mkdir()
    stray.write_text(f"seen,{people.leaver}\n")
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    try:
        tried = requests.process(request.request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        assert any("exports/notes.csv" in reason for reason in tried.unfinished)
    finally:
        shutil.rmtree(stray.parent)


def test_a_part_of_the_state_on_another_disk_is_searched_as_well(
    people, servers: PlatformSettings, tmp_path: Path
) -> None:
    servers.logs_dir.mkdir(exist_ok=True)
    moved = servers.logs_dir / "old"
    moved.symlink_to(tmp_path)
    stray = tmp_path / "api.log"
    stray.write_text(people.leaver)
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    try:
        tried = requests.process(request.request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        assert any("logs/old/api.log: 1 left" in reason for reason in tried.unfinished)
        stray.unlink()
        tmp_path.rmdir()  # as if the disk were not mounted
        tried = requests.process(request.request_id)
        assert any("logs/old cannot be read" in reason for reason in tried.unfinished)
    finally:
        moved.unlink()
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED


def test_a_model_forgets_the_subject_and_stays_loadable(people) -> None:
    folder = version_folder("lightfm", latest_version("lightfm"))
    model = registry.load().get("models/lightfm")

    assert handler_for(model).erase(model, [people.leaver]) == 1

    load_manifest(folder)  # verifies every hash
    assert pl.read_parquet(folder / "subjects.parquet")["pseudonym"].to_list() == [people.stayer]
    assert np.load(folder / "subject_vectors.npy").tolist() == [[3.0, 4.0]]
    assert np.load(folder / "item_vectors.npy").shape == (3, 2)
    assert [path.name for path in Path(folder).parent.iterdir()] == [folder.name]


def test_a_stream_keeps_its_consumers_and_their_pending_entries(
    people, redis_client: "redis.Redis"
) -> None:
    redis_client.xgroup_create("sv:events", "lake", id="0")
    redis_client.xreadgroup("lake", "writer", {"sv:events": ">"}, count=8)
    last = redis_client.xinfo_stream("sv:events")["last-generated-id"]
    stream = registry.load().get("platform/event_stream")

    assert handler_for(stream).erase(stream, [people.leaver]) == 5

    assert handler_for(stream).find(stream, people.both) == {people.stayer: 5}
    group = redis_client.xinfo_groups("sv:events")[0]
    assert (group["name"], group["pending"]) == (b"lake", 3)
    unread = redis_client.xreadgroup("lake", "writer", {"sv:events": ">"})
    assert len(unread[0][1]) == 2
    assert redis_client.xinfo_stream("sv:events")["last-generated-id"] == last


def test_a_stream_holds_no_byte_of_an_entry_that_was_deleted_before(
    people, redis_client: "redis.Redis"
) -> None:
    for entry, fields in redis_client.xrange("sv:events"):
        if fields[b"pseudonym"].decode() == people.leaver:
            redis_client.xdel("sv:events", entry)
    assert people.leaver.encode() in redis_client.dump("sv:events"), "XDEL only marks an entry"
    stream = registry.load().get("platform/event_stream")

    assert handler_for(stream).erase(stream, [people.leaver]) == 0

    assert people.leaver.encode() not in redis_client.dump("sv:events")
    assert redis_client.xlen("sv:events") == 5


@pytest.fixture
def slow_log(redis_client: "redis.Redis") -> Iterator["redis.Redis"]:
    """A Redis that notes every command, as a server by URL may be set up."""
    kept = redis_client.config_get("slowlog-log-slower-than")
    redis_client.config_set("slowlog-log-slower-than", 0)
    yield redis_client
    redis_client.config_set("slowlog-log-slower-than", kept["slowlog-log-slower-than"])
    redis_client.slowlog_reset()


def test_the_embedded_redis_notes_no_command(people, redis_client: "redis.Redis") -> None:
    assert redis_client.config_get("slowlog-log-slower-than") == {"slowlog-log-slower-than": "-1"}


def test_what_redis_noted_of_slow_commands_is_found_and_forgotten(
    people, slow_log: "redis.Redis"
) -> None:
    slow_log.hgetall(f"sv:consent:{{{people.leaver}}}")
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    noted = [str(finding) for finding in search_redis(needles_of([people.leaver])).findings]
    assert any(place.startswith("Redis's logs of commands") for place in noted)

    assert requests.process(request.request_id).status is RequestStatus.COMPLETED

    entries = slow_log.slowlog_get(10_000)
    assert entries, "it notes what came later"
    assert not any(people.leaver.encode() in entry["command"] for entry in entries)


def test_what_redis_noted_of_refused_commands_is_found_and_forgotten(
    people, redis_client: "redis.Redis"
) -> None:
    login = {**redis_client.get_connection_kwargs(), "username": "reader", "password": "any"}
    redis_client.acl_setuser(
        "reader", enabled=True, nopass=True, keys=["products:*"], commands=["+get"]
    )
    try:
        with (
            redis.Redis(**login) as reader,
            pytest.raises(redis.exceptions.NoPermissionError),
        ):
            reader.get(f"sv:consent:{{{people.leaver}}}")
        assert search_redis(needles_of([people.leaver])).findings
        request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
        assert requests.process(request.request_id).status is RequestStatus.COMPLETED
        assert redis_client.acl_log() == []
    finally:
        redis_client.acl_deluser("reader")


def test_keys_of_redis_that_were_not_read_are_not_counted_as_searched(
    people, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = verification.read_keys

    def read_but_one(client: object, keys: list[bytes]) -> list[object]:
        return [None, *read(client, keys)[1:]]

    whole = search_redis(needles_of(["0" * 32]))
    assert whole.searched == whole.existing > 0
    monkeypatch.setattr(verification, "read_keys", read_but_one)
    missed = search_redis(needles_of(["0" * 32]))
    assert (missed.searched, missed.existing) == (whole.searched - 1, whole.existing)
    assert [str(finding) for finding in missed.findings] == ["1 keys of Redis were not searched"]


def test_a_locked_table_is_an_incomplete_request_not_an_endless_wait(
    people, monkeypatch: pytest.MonkeyPatch
) -> None:
    from privacy.stores import scrub

    monkeypatch.setattr(scrub, "_LOCK_TIMEOUT", "300ms")
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    with psycopg.connect(url) as reader:
        reader.execute("select count(*) from shop.orders")  # holds a lock until it commits
        tried = requests.process(request.request_id)
        reader.rollback()
    assert tried.status is RequestStatus.INCOMPLETE
    assert any("shop.orders is in use" in reason for reason in tried.unfinished)
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED


def test_an_unknown_kind_of_key_in_redis_is_not_passed_over() -> None:
    contract = registry.PLATFORM_CONTRACTS[0].model_copy(update={"handler": "nobody"})
    with pytest.raises(StoreError, match="no handler 'nobody'"):
        handler_for(contract)
