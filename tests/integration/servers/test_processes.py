"""Servers start on free ports, are told apart from others, and their death is reported with their log."""

import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from orchestration.servers import platform
from orchestration.servers.process import (
    ServerError,
    free_port,
    read_record,
    start,
    stop,
    wait_until,
)
from privacy.database import Role, connect
from privacy.settings import PlatformSettings


def _start(settings: PlatformSettings, name: str, code: str, ready: bool = True) -> int:
    record = start(
        settings,
        name,
        [sys.executable, "-c", code],
        port=0,
        address="nowhere",
        url="nowhere",
        version="1",
        ready=lambda: ready,
        timeout=10,
    )
    return record.pid


@pytest.fixture
def own_settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path)


def test_a_port_that_is_taken_is_avoided() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_a_server_that_ends_at_once_is_an_error_with_the_end_of_its_log(
    own_settings: PlatformSettings,
) -> None:
    with pytest.raises(ServerError, match=r"(?s)status 3.*no such table"):
        _start(own_settings, "broken", "print('no such table'); raise SystemExit(3)", ready=False)
    assert read_record(own_settings, "broken") is None


def test_a_stopped_server_leaves_no_child(own_settings: PlatformSettings) -> None:
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    process = psutil.Process(_start(own_settings, "parent", code))
    assert wait_until(lambda: bool(process.children()), 10)
    children = process.children()
    assert stop(own_settings, "parent")
    assert not any(child.is_running() for child in [process, *children])


def test_records_are_readable_by_their_owner_alone(own_settings: PlatformSettings) -> None:
    _start(own_settings, "sleeper", "import time; time.sleep(60)")
    mode = (own_settings.run_dir / "sleeper.json").stat().st_mode & 0o777
    stop(own_settings, "sleeper")
    assert mode == 0o600


def test_a_server_that_died_is_reported_with_its_log(own_settings: PlatformSettings) -> None:
    pid = _start(
        own_settings, "redis", "print('last words', flush=True); import time; time.sleep(60)"
    )
    log = own_settings.logs_dir / "redis.log"
    assert wait_until(lambda: "last words" in log.read_text(), 10)
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(10)
    (redis,) = [server for server in platform.status(own_settings) if server.name == "redis"]
    assert redis.health == "died"
    assert "last words" in (redis.log_tail or "")


def test_postgres_listens_on_loopback_and_wants_a_password(servers: PlatformSettings) -> None:
    record = read_record(servers, "postgres")
    assert record is not None
    addresses = {
        connection.laddr.ip
        for connection in psutil.Process(record.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            f"postgresql://selvedge_admin@127.0.0.1:{record.port}/selvedge", password=""
        )


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PRIVACY])
def test_only_the_privacy_role_reads_the_vault(servers: PlatformSettings, role: Role) -> None:
    with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from vault.identifiers")


@pytest.mark.parametrize("role", [Role.CONSENT, Role.SERVING, Role.INGEST, Role.DBT])
def test_the_application_cannot_change_the_consent_ledger(
    servers: PlatformSettings, role: Role
) -> None:
    for statement in (
        "update consent.records set decision = 'opt_in'",
        "delete from consent.records",
    ):
        with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
