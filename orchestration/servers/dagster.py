"""Dagster's processes: one code server with the definitions, the web UI and the daemon; storage in Postgres."""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster
import yaml
from dagster import DagsterInstance
from dagster._daemon.controller import all_daemons_healthy
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import SQLAlchemyError

from orchestration.servers.process import (
    ServerRecord,
    free_port,
    last_port,
    start,
)
from privacy.database import Role, role_url
from privacy.secret_files import write_private
from privacy.settings import PROJECT_ROOT, PlatformSettings

__all__ = [
    "code_server_answers",
    "daemon_beats",
    "dagster_environment",
    "instance",
    "start_code_server",
    "start_daemon",
    "start_webserver",
    "webserver_answers",
]

POSTGRES_VARIABLE = "SELVEDGE_DAGSTER_POSTGRES_URL"
LOCATION = "selvedge"
PREFERRED_UI_PORT, PREFERRED_CODE_PORT = 13000, 14000


def _dagster_home(settings: PlatformSettings) -> Path:
    return settings.home / "dagster"


def _instance_config(home: Path) -> dict[str, Any]:
    return {
        "storage": {"postgres": {"postgres_url": {"env": POSTGRES_VARIABLE}}},
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(home / "storage")},
        },
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(home / "compute-logs")},
        },
        # One run at a time: the runs write the same tables. Whoever allows more still gets one run of each pool at a time; a pool of runs,
        # unlike one of steps, cannot be left taken by a process that died.
        "concurrency": {
            "runs": {"max_concurrent_runs": 1},
            "pools": {"default_limit": 1, "granularity": "run"},
        },
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 180},
        # Runs say by a tag whether they are taken up again; a step that failed is repeated by itself, or not at all.
        "run_retries": {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False},
        "freshness": {"enabled": True},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }


def dagster_environment(settings: PlatformSettings) -> dict[str, str]:
    """Environment of every Dagster process; writes `dagster.yaml` on the way."""
    home = _dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(_instance_config(home)))
    url = role_url(Role.DAGSTER, "postgresql").render_as_string(hide_password=False)
    return {
        "DAGSTER_HOME": str(home),
        POSTGRES_VARIABLE: url,
        "PYTHONPATH": str(PROJECT_ROOT),
        "SELVEDGE_HOME": str(settings.home),
        "SELVEDGE_SHOP_HOME": str(settings.shop_home),
    }


def instance(settings: PlatformSettings) -> DagsterInstance:
    """The Dagster instance of this platform; sets this process's environment for it."""
    os.environ.update(dagster_environment(settings))
    return DagsterInstance.get()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def _start(
    settings: PlatformSettings,
    name: str,
    command: list[str],
    port: int,
    ready: Any,
    address: str,
    env: Mapping[str, str],
) -> ServerRecord:
    return start(
        settings,
        name,
        command,
        port=port,
        address=address,
        url=address,
        version=dagster.__version__,
        ready=ready,
        env=env,
        timeout=180,
    )


def start_code_server(settings: PlatformSettings) -> ServerRecord:
    """Start the process that holds the definitions and launches runs."""
    port = free_port(last_port(settings, "dagster-code", PREFERRED_CODE_PORT))
    command = _command(
        *("dagster", "code-server", "start", "--host", "127.0.0.1", "--port", str(port)),
        *("--module-name", "orchestration.definitions", "--working-directory", str(PROJECT_ROOT)),
        *("--location-name", LOCATION, "--log-level", "warning"),
        "--use-python-environment-entry-point",
    )
    environment = dagster_environment(settings)
    return _start(
        settings,
        "dagster-code",
        command,
        port,
        lambda: code_server_answers(port),
        f"127.0.0.1:{port}",
        environment,
    )


def code_server_answers(port: int) -> bool:
    """Whether the code server says that it serves."""
    from dagster._grpc.client import DagsterGrpcClient

    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        client = DagsterGrpcClient(host="127.0.0.1", port=port)
        return str(client.health_check_query()) == "SERVING"  # type: ignore[no-untyped-call]
    except (OSError, dagster.DagsterError):
        return False


def _workspace(settings: PlatformSettings) -> str:
    """A workspace file that names the running code server, so that the code is loaded once."""
    port = last_port(settings, "dagster-code", PREFERRED_CODE_PORT)
    path = _dagster_home(settings) / "workspace.yaml"
    server = {"host": "127.0.0.1", "port": port, "location_name": LOCATION}
    write_private(path, yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    return str(path)


def start_webserver(settings: PlatformSettings) -> ServerRecord:
    """Start the Dagster UI."""
    port = free_port(last_port(settings, "dagster-ui", PREFERRED_UI_PORT))
    command = _command(
        *("dagster_webserver", "--host", "127.0.0.1", "--port", str(port)),
        *("--workspace", _workspace(settings), "--dagster-log-level", "warning"),
    )
    return _start(
        settings,
        "dagster-ui",
        command,
        port,
        lambda: webserver_answers(port),
        f"http://127.0.0.1:{port}",
        dagster_environment(settings),
    )


def webserver_answers(port: int) -> bool:
    """Whether the UI answers with its version."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=3) as response:
            return "dagster_version" in json.load(response)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def daemon_beats(settings: PlatformSettings) -> bool:
    """Whether every daemon (schedules, sensors, queue, monitoring) has sent a heartbeat lately."""
    try:
        return bool(all_daemons_healthy(instance(settings)))
    except (dagster.DagsterError, DagsterPostgresException, SQLAlchemyError):
        return False


def start_daemon(settings: PlatformSettings) -> ServerRecord:
    """Start the process that runs schedules, sensors and the queue of runs."""
    command = _command(
        *("dagster._daemon", "run", "--workspace", _workspace(settings), "--log-level", "warning")
    )
    return _start(
        settings,
        "dagster-daemon",
        command,
        0,
        lambda: daemon_beats(settings),
        "schedules, sensors and the run queue",
        dagster_environment(settings),
    )
