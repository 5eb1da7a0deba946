"""What exists and nobody registered keeps an erasure incomplete, in Postgres, in Redis and on disk."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
import redis
from deltalake import write_deltalake

from privacy import lake, registry, requests
from privacy.coverage import unknown_places
from privacy.database import Role, connect
from privacy.requests import RequestKind, RequestStatus
from privacy.settings import PlatformSettings, platform_settings


@contextmanager
def unknown_table() -> Iterator[str]:
    with connect(Role.DBT) as connection:
        connection.execute("create table marts.scores (reference text)")
    yield "table marts.scores is in no contract"
    with connect(Role.DBT) as connection:
        connection.execute("drop table marts.scores")


@contextmanager
def unknown_schema() -> Iterator[str]:
    with connect(Role.DBT) as connection:
        connection.execute("create table intermediate.copied as select 1 as one")
    yield "table intermediate.copied is in no contract"
    with connect(Role.DBT) as connection:
        connection.execute("drop table intermediate.copied")


@contextmanager
def unknown_key() -> Iterator[str]:
    from privacy.database import redis_url

    client = redis.Redis.from_url(redis_url())
    client.set("sv:cached:{0123456789abcdef0123456789abcdef}:list", "P1")
    yield "Redis keys sv:cached is in no contract"
    client.delete("sv:cached:{0123456789abcdef0123456789abcdef}:list")
    client.close()


@contextmanager
def unknown_stream() -> Iterator[str]:
    from privacy.database import redis_url

    client = redis.Redis.from_url(redis_url())
    client.xadd("sv:clicks", {"n": "1"})
    yield "Redis keys sv:clicks is in no contract"
    client.delete("sv:clicks")
    client.close()


@contextmanager
def unknown_delta_table() -> Iterator[str]:
    lake.replace("copies/events", pa.table({"n": [1]}))
    yield "Delta table copies/events is in no contract"
    _remove(platform_settings().lake_dir / "copies")


@contextmanager
def unknown_linked_table() -> Iterator[str]:
    """A table that lies on another disk."""
    with TemporaryDirectory() as disk:
        table = lake.table_path("copies")
        write_deltalake(disk, pa.table({"n": [1]}))
        table.symlink_to(disk)
        yield "Delta table copies is in no contract"
        table.unlink()


@contextmanager
def unknown_lake_folder() -> Iterator[str]:
    folder = platform_settings().lake_dir / "dump"
    folder.mkdir()
    yield "folder lake/dump is in no contract"
    folder.rmdir()


@contextmanager
def unknown_model() -> Iterator[str]:
    folder = platform_settings().models_dir / "experiment"
    folder.mkdir()
    yield "models experiment is in no contract"
    folder.rmdir()


@contextmanager
def unknown_folder() -> Iterator[str]:
    folder = platform_settings().home / "scratch"
    folder.mkdir()
    yield "folder scratch is in no contract"
    folder.rmdir()


def _remove(path: object) -> None:
    import shutil

    shutil.rmtree(str(path))


PLACES: tuple[Callable, ...] = (
    unknown_table,
    unknown_schema,
    unknown_key,
    unknown_stream,
    unknown_delta_table,
    unknown_linked_table,
    unknown_lake_folder,
    unknown_model,
    unknown_folder,
)


def test_everything_that_exists_is_known(people) -> None:
    unknown, existing = unknown_places(registry.load())
    assert unknown == []
    assert existing > 30


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_an_unknown_place_is_named(people, place: Callable) -> None:
    with place() as told:
        unknown, _ = unknown_places(registry.load())
        assert [f"{name} is in no contract" for name in unknown] == [told]


def test_an_unknown_place_keeps_an_erasure_incomplete_until_it_is_known(
    people, servers: PlatformSettings
) -> None:
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    with unknown_key() as told:
        tried = requests.process(request.request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        assert any(told in reason for reason in tried.unfinished)
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED


def test_an_artefact_of_a_build_that_holds_a_pseudonym_is_removed(
    people, servers: PlatformSettings
) -> None:
    leaked = servers.home / "dbt" / "target" / "run_results.json"
    leaked.parent.mkdir(parents=True, exist_ok=True)
    leaked.write_text(f'{{"message": "{people.leaver}"}}')
    kept = leaked.with_name("manifest.json")
    kept.write_text("{}")
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    assert requests.process(request.request_id).status is RequestStatus.COMPLETED
    assert (leaked.exists(), kept.exists()) == (False, True)


@pytest.mark.parametrize("role", [Role.DAGSTER, Role.FEAST])
def test_a_pseudonym_in_another_systems_storage_is_reported(people, role: Role) -> None:
    schema = role.value.removeprefix("selvedge_")
    table = f"{schema}.logged"
    with connect(role) as connection:
        connection.execute(f"create table {table} (event text)")  # type: ignore[arg-type]
        connection.execute(f"insert into {table} values (%s)", [f"key {people.leaver} failed"])  # type: ignore[arg-type]
    request, _ = requests.submit(RequestKind.ERASURE, people.leaver, "test")
    try:
        tried = requests.process(request.request_id)
    finally:
        with connect(role) as connection:
            connection.execute(f"drop table {table}")  # type: ignore[arg-type]
    assert tried.status is RequestStatus.INCOMPLETE
    assert any(f"table {table}: 1 left" in reason for reason in tried.unfinished)
