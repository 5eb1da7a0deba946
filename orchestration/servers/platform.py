"""All servers of one machine together: started in order, stopped in reverse, and their state."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import psutil
import psycopg
import redis as redis_package

from orchestration.servers import dagster, ranker
from orchestration.servers.postgres import migrate, start_postgres
from orchestration.servers.process import ServerError, ServerRecord, log_tail, read_record, stop
from orchestration.servers.redis import start_redis
from privacy.database import admin_url, redis_url
from privacy.restore import refuse_restored
from privacy.settings import Environment, PlatformSettings

__all__ = [
    "SERVERS",
    "ServerStatus",
    "start_servers",
    "status",
    "stop_servers",
]

# Start order; stopped in reverse.
SERVERS = ("postgres", "redis", "dagster-code", "dagster-ui", "dagster-daemon", "ranker")


@dataclass(frozen=True)
class ServerStatus:
    """One server as `status` shows it; `health` is ok, not ready, died, stopped or unreachable."""

    name: str
    health: str
    address: str | None = None
    port: int | None = None
    pid: int | None = None
    version: str | None = None
    memory_mib: int | None = None
    log: str | None = None
    log_tail: str | None = None


Starter = Callable[[PlatformSettings], ServerRecord]


def _starters(settings: PlatformSettings) -> dict[str, Starter]:
    starters: dict[str, Starter] = {
        "postgres": start_postgres,
        "redis": start_redis,
        "dagster-code": dagster.start_code_server,
        "dagster-ui": dagster.start_webserver,
        "dagster-daemon": dagster.start_daemon,
        "ranker": ranker.start_ranker,
    }
    if settings.postgres_url:
        del starters["postgres"]
    if settings.redis_url:
        del starters["redis"]
    return starters


def start_servers(settings: PlatformSettings, names: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Start the named servers in order; yields each name and whether this call started it.

    Migrations run once Postgres is up. Servers configured by URL are left alone.
    """
    starters = _starters(settings)
    embedded = [name for name in ("postgres", "redis") if name in starters]
    if settings.environment is Environment.PRODUCTION and embedded:
        raise ServerError(
            f"Production needs servers of its own: set {' and '.join(f'SELVEDGE_{name.upper()}_URL' for name in embedded)}; "
            "the embedded ones, with generated passwords, are for development."
        )
    for name in SERVERS:
        if name in names and name in starters:
            if name not in ("postgres", "redis"):
                refuse_restored()
            record = read_record(settings, name)
            running = record is not None and record.alive
            if not running:
                starters[name](settings)
            yield name, not running
        if name == "redis":
            migrate()


def stop_servers(settings: PlatformSettings, names: tuple[str, ...] = SERVERS) -> Iterator[str]:
    """Stop the named servers in reverse order; yields the name of each that ran."""
    for name in reversed(SERVERS):
        if name in names and stop(settings, name):
            yield name


def _postgres_version() -> str | None:
    """The version that Postgres answers with; None where it does not answer."""
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            return str(connection.info.parameter_status("server_version")).partition(" ")[0]
    except psycopg.OperationalError:
        return None


def _redis_version() -> str | None:
    """The version that Redis answers with; None where it does not answer."""
    client = redis_package.Redis.from_url(redis_url(), socket_timeout=3)
    try:
        facts = cast(dict[str, Any], client.info("server"))
        return str(facts["redis_version"])
    except redis_package.RedisError:
        return None
    finally:
        client.close()


def _answers(settings: PlatformSettings, record: ServerRecord) -> bool:
    checks: dict[str, Callable[[], bool]] = {
        "postgres": lambda: _postgres_version() is not None,
        "redis": lambda: _redis_version() is not None,
        "dagster-code": lambda: dagster.code_server_answers(record.port),
        "dagster-ui": lambda: dagster.webserver_answers(record.port),
        "dagster-daemon": lambda: dagster.daemon_beats(settings),
        "ranker": lambda: ranker.ranker_answers(record.port, "/health/ready"),
    }
    return checks.get(record.name, lambda: True)()


def _memory(pid: int) -> int:
    """Proportional memory of a process and its children in MiB."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_full_info().pss
    return total // 2**20


def _external(name: str, version: str | None, address: str) -> ServerStatus:
    return ServerStatus(name, "ok" if version else "unreachable", address=address, version=version)


def _one(settings: PlatformSettings, name: str) -> ServerStatus:
    if name == "postgres" and settings.postgres_url:
        return _external(
            name,
            _postgres_version(),
            admin_url().set(drivername="postgresql", password=None).render_as_string(),
        )
    if name == "redis" and settings.redis_url:
        return _external(name, _redis_version(), redis_url().rsplit("@", 1)[-1])
    record = read_record(settings, name)
    if record is None:
        return ServerStatus(name, "stopped")
    details = {"address": record.address, "port": record.port, "version": record.version}
    if not record.alive:
        return ServerStatus(name, "died", log=record.log, log_tail=log_tail(record.log), **details)  # type: ignore[arg-type]
    health = "ok" if _answers(settings, record) else "not ready"
    return ServerStatus(
        name,
        health,
        pid=record.pid,
        memory_mib=_memory(record.pid),
        log=record.log,
        log_tail=None if health == "ok" else log_tail(record.log),
        **details,  # type: ignore[arg-type]
    )


def status(settings: PlatformSettings) -> list[ServerStatus]:
    """The state of every server, in start order."""
    return [_one(settings, name) for name in SERVERS]
