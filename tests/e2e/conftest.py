"""The demo as a newcomer runs it: one command, a state folder of its own, real servers, a small simulated shop."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from privacy.settings import PROJECT_ROOT

CUSTOMERS = "1000"


@dataclass(frozen=True)
class Demo:
    """A running demo and how to reach it."""

    home: Path
    shop: Path
    environment: dict[str, str]
    output: str

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `./selvedge …` against this demo."""
        return _selvedge(self.environment, *arguments)

    def status(self) -> dict[str, Any]:
        """What `status --json` prints."""
        report: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return report

    def server(self, name: str) -> dict[str, Any]:
        """One server of `status`."""
        return next(server for server in self.status()["servers"] if server["name"] == name)

    def api(self, scope: str) -> httpx.Client:
        """A client of the ranker API with the key of `scope`."""
        status = self.status()
        address = next(server for server in status["servers"] if server["name"] == "ranker")[
            "address"
        ]
        key = status["api_keys"][scope]
        return httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=120
        )


def _selvedge(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *arguments],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`./selvedge demo --detach` on a small shop in which five marked customers were planted."""
    from tests.e2e.marked import plant

    root = tmp_path_factory.mktemp("demo")
    home, shop = root / "home", root / "shop"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SELVEDGE_")},
        "SELVEDGE_ENVIRONMENT": "test",
        "SELVEDGE_HOME": str(home),
        "SELVEDGE_SHOP_HOME": str(shop),
    }
    plant(shop, customers=int(CUSTOMERS))
    try:
        result = _selvedge(environment, "demo", "--detach", "--customers", CUSTOMERS)
        assert result.returncode == 0, f"{result.stdout[-6000:]}\n{result.stderr[-3000:]}"
        yield Demo(home, shop, environment, result.stdout)
    finally:
        _selvedge(environment, "down")
