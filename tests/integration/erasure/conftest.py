"""A platform that a test may stop, copy and restore: a state folder, a Postgres and a Redis of its own."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.servers.postgres import migrate, start_postgres
from orchestration.servers.process import stop
from orchestration.servers.redis import start_redis
from privacy import database
from privacy.settings import PlatformSettings


class OwnPlatform:
    """Servers on a state folder, and copies of its stores."""

    STORES = ("postgres", "redis", "lake", "models")

    def __init__(self, settings: PlatformSettings, backup: Path) -> None:
        self.settings = settings
        self.backup = backup

    def start(self) -> None:
        start_postgres(self.settings)
        start_redis(self.settings)
        migrate()

    def stop(self) -> None:
        stop(self.settings, "redis")
        stop(self.settings, "postgres")

    def back_up(self) -> None:
        """Copy every store while nothing runs, as the runbook says."""
        self.stop()
        self.backup.mkdir()
        for name in self.STORES:
            self._copy(self.settings.home / name, self.backup / name)
        self.start()

    def restore(self, *stores: str) -> None:
        """Put the copies of `stores` in the place of what is there."""
        self.stop()
        for name in stores:
            subprocess.run(["rm", "-rf", self.settings.home / name], check=True)
            self._copy(self.backup / name, self.settings.home / name)
        self.start()

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        subprocess.run(["cp", "-a", source, target], check=True)


@pytest.fixture
def own_platform(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    settings: PlatformSettings,
    read_settings: Callable[[], None],
) -> Iterator[OwnPlatform]:
    root = tmp_path_factory.mktemp("own")
    monkeypatch.setenv("SELVEDGE_HOME", str(root / "home"))
    read_settings()
    database._role_secret.cache_clear()
    platform = OwnPlatform(settings, root / "backup")
    platform.start()
    yield platform
    platform.stop()
    monkeypatch.undo()
    database._role_secret.cache_clear()
