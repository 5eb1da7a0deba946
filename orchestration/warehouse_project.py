"""The dbt project of the warehouse: its environment, its manifest, and dbt run as a person would."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from privacy.contracts import SMALLEST_GROUP
from privacy.database import DatabaseUnavailableError, Role, role_url
from privacy.settings import PROJECT_ROOT, platform_settings

__all__ = [
    "PROJECT_DIR",
    "WarehouseProjectError",
    "dbt_environment",
    "dbt_executable",
    "manifest",
    "run_dbt",
    "state_dir",
]

PROJECT_DIR = PROJECT_ROOT / "dbt"
# Both would write rows of the warehouse to disk, where no erasure finds them.
REFUSED = {
    "show": "it prints rows, and dbt's log keeps them: query the marts with psql",
    "--store-failures": "it copies failing rows into a table that no erasure knows",
}


class WarehouseProjectError(RuntimeError):
    """dbt cannot be run or parsed as asked; says why and what to do."""


def state_dir() -> Path:
    """Folder of dbt's artefacts and logs; they hold names and counts, no rows."""
    return platform_settings().home / "dbt"


def dbt_executable() -> str:
    """Path of the dbt command of this environment."""
    return str(Path(sys.executable).parent / "dbt")


def _connection() -> dict[str, str]:
    url = role_url(Role.DBT)
    sslmode = url.query.get("sslmode")
    return {
        "SELVEDGE_DBT_HOST": url.host or "localhost",
        "SELVEDGE_DBT_PORT": str(url.port or 5432),
        "SELVEDGE_DBT_USER": url.username or Role.DBT.value,
        "DBT_ENV_SECRET_SELVEDGE_PASSWORD": str(url.password or ""),
        "SELVEDGE_DBT_DATABASE": url.database or "",
        **({"SELVEDGE_DBT_SSLMODE": sslmode} if isinstance(sslmode, str) else {}),
    }


def _folders(target: str) -> dict[str, str]:
    return {
        "DBT_PROJECT_DIR": str(PROJECT_DIR),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(state_dir() / target),
        "DBT_LOG_PATH": str(state_dir() / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "SELVEDGE_SMALLEST_GROUP": str(SMALLEST_GROUP),
    }


def dbt_environment(target: str = "target") -> dict[str, str]:
    """Environment variables with which dbt finds the project and connects as its own role.

    `target` names the artefact folder inside `state_dir`. Raises DatabaseUnavailableError where no Postgres is
    configured or running.
    """
    return {**_folders(target), **_connection()}


def run_dbt(args: list[str]) -> int:
    """Run dbt with `args` against the warehouse, output to the console; returns its exit status.

    Raises WarehouseProjectError for a command that would write rows to disk, DatabaseUnavailableError where no
    Postgres is running and the command is not one that needs none.
    """
    for arg in args:
        if arg in REFUSED:
            raise WarehouseProjectError(f"'dbt {arg}' is refused: {REFUSED[arg]}.")
    try:
        environment = dbt_environment()
    except DatabaseUnavailableError:
        if not {"parse", "ls", "list", "deps", "clean", "--help", "--version"} & set(args):
            raise
        environment = _folders("target")
    command = [dbt_executable(), *args]
    return subprocess.run(
        command, cwd=PROJECT_DIR, env={**os.environ, **environment}, check=False
    ).returncode


def manifest() -> dict[str, Any]:
    """dbt's manifest of the project as its files are now; parsed again only when one changed.

    Needs no database. Raises WarehouseProjectError with dbt's own message where the project does not parse.
    """
    path = state_dir() / "parsed" / "manifest.json"
    return _loaded(path, path.stat().st_mtime_ns) if _is_current(path) else _parsed(path)


@cache
def _loaded(path: Path, _written: int) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def _digest() -> str:
    """SHA-256 over the names and contents of the project's files, and dbt's version."""
    digest = hashlib.sha256(version("dbt-core").encode())
    for file in sorted(path for path in PROJECT_DIR.rglob("*") if path.is_file()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(PROJECT_DIR)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _is_current(path: Path) -> bool:
    stamp = path.with_name("digest")
    return path.exists() and stamp.exists() and stamp.read_text() == _digest()


def _parsed(path: Path) -> dict[str, Any]:
    with _lock():
        if not _is_current(path):
            _parse()
            path.with_name("digest").write_text(_digest())
        return _loaded(path, path.stat().st_mtime_ns)


@contextmanager
def _lock() -> Iterator[None]:
    """One process parses at a time; the others wait and use what it made."""
    state_dir().mkdir(parents=True, exist_ok=True)
    with (state_dir() / "parse.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _parse() -> None:
    done = subprocess.run(
        [dbt_executable(), "--quiet", "--no-use-colors", "parse"],
        cwd=PROJECT_DIR,
        env={**os.environ, **_folders("parsed")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise WarehouseProjectError(
            f"The dbt project does not parse; mend it and run './selvedge dbt parse':\n{done.stdout}{done.stderr}"
        )
