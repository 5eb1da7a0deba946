"""The ranker API as a process: two workers behind one port."""

import json
import sys
import urllib.error
import urllib.request
from importlib.metadata import version

from orchestration.servers.dagster import dagster_environment
from orchestration.servers.process import ServerRecord, free_port, last_port, start
from privacy.settings import PlatformSettings

__all__ = ["ranker_answers", "start_ranker"]

PREFERRED_PORT = 18000


def start_ranker(settings: PlatformSettings, workers: int = 2) -> ServerRecord:
    """Start the API on a free port."""
    port = free_port(last_port(settings, "ranker", PREFERRED_PORT))
    address = f"http://127.0.0.1:{port}"
    arguments = ("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers))
    return start(
        settings,
        "ranker",
        [sys.executable, "-m", "serving", *arguments],
        port=port,
        address=address,
        url=address,
        version=version("selvedge"),
        ready=lambda: ranker_answers(port),
        env=dagster_environment(settings),
        timeout=90,
    )


def ranker_answers(port: int, path: str = "/health/live") -> bool:
    """Whether the API answers `path` with success."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as response:
            json.load(response)
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
