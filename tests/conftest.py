"""One platform for a test run: a state folder of its own, real Postgres and Redis, one Spark session."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psycopg
import pytest
import redis

from privacy.settings import PlatformSettings, platform_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("selvedge", deadline=None)
hypothesis.settings.load_profile("selvedge")


@pytest.fixture(scope="session", autouse=True)
def _test_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point every setting at a folder of this run, whatever the caller's environment says."""
    root = tmp_path_factory.mktemp("selvedge")
    for name in [name for name in os.environ if name.startswith("SELVEDGE_")]:
        if name != "SELVEDGE_DATA":
            del os.environ[name]
    os.environ["SELVEDGE_ENVIRONMENT"] = "test"
    os.environ["SELVEDGE_HOME"] = str(root / "home")
    os.environ["SELVEDGE_SHOP_HOME"] = str(root / "shop")
    platform_settings.cache_clear()
    yield
    platform_settings.cache_clear()


@pytest.fixture(scope="session")
def settings(_test_environment: None) -> PlatformSettings:
    """Settings of the test run."""
    return platform_settings()


@pytest.fixture
def read_settings(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Let the run's settings say, until the test ends, what the environment says now."""

    def read() -> None:
        told = PlatformSettings()
        for name in PlatformSettings.model_fields:
            monkeypatch.setattr(settings, name, getattr(told, name))

    return read


@pytest.fixture(autouse=True)
def _one_settings_object(settings: PlatformSettings) -> Iterator[None]:
    """A test that made another would leave all after it changing settings that nothing reads."""
    yield
    assert platform_settings() is settings, "change settings through read_settings, not the cache"


@pytest.fixture(scope="session")
def servers(settings: PlatformSettings) -> Iterator[PlatformSettings]:
    """Running, migrated Postgres and a running Redis, stopped after the run."""
    from orchestration.servers.postgres import migrate, start_postgres
    from orchestration.servers.process import stop
    from orchestration.servers.redis import start_redis

    start_postgres(settings)
    start_redis(settings)
    try:
        migrate()
        yield settings
    finally:
        stop(settings, "redis")
        stop(settings, "postgres")


@pytest.fixture(scope="session")
def spark(settings: PlatformSettings) -> Iterator["SparkSession"]:
    """The run's one Spark session, stopped after the run."""
    from orchestration.spark import get_spark, stop_spark

    yield get_spark()
    stop_spark()


@pytest.fixture
def redis_client(servers: PlatformSettings) -> Iterator["redis.Redis"]:
    """A client of the run's Redis."""
    from privacy.database import redis_url

    client = redis.Redis.from_url(redis_url())
    yield client
    client.close()


@pytest.fixture
def clean_database(servers: PlatformSettings, redis_client: "redis.Redis") -> None:
    """Empty tables, keys and lake, for tests that count what is there."""
    from privacy.database import admin_url

    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where schemaname in ('vault', 'consent', 'shop', 'requests', 'audit')"
        ).fetchall()
        # The ledger refuses to lose anything; only who may switch triggers off can begin a test without it.
        connection.execute("set session_replication_role = replica")
        connection.execute("truncate " + ", ".join(row[0] for row in tables) + " cascade")  # type: ignore[arg-type]
    redis_client.flushdb()
    # What a new platform has not either: a count of erasures that its stores would lag behind, or stamps without one.
    shutil.rmtree(servers.tombstones_dir, ignore_errors=True)
    for folder in (servers.lake_dir, servers.models_dir):
        (folder / ".epoch").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is missing."""
    from privacy.settings import PROJECT_ROOT

    folder = Path(os.environ.get("SELVEDGE_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data sets not found at {folder}; set SELVEDGE_DATA to their folder")
    return folder
