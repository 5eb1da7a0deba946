"""Connections to Postgres, one role for each part of the platform.

The URL of the settings (or of the embedded server) belongs to an administrator; it creates the roles and is used for
migrations alone. Everything else connects as the role of its part, whose password is derived from one secret.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import URL, make_url

from privacy.secret_files import generated_secret, is_generated
from privacy.settings import Environment, PlatformSettings, platform_settings

__all__ = [
    "LEDGER_OWNER",
    "DatabaseUnavailableError",
    "Role",
    "admin_url",
    "alone",
    "connect",
    "redis_url",
    "reusing",
    "role_password",
    "role_url",
]


MINIMUM_SECRET_LENGTH = 32


class DatabaseUnavailableError(RuntimeError):
    """No server is configured or running; says how to start one."""


class Role(StrEnum):
    """The Postgres role of each part; a role reads and writes its own schemas only."""

    PRIVACY = "selvedge_privacy"
    CONSENT = "selvedge_consent"
    INGEST = "selvedge_ingest"
    DBT = "selvedge_dbt"
    SERVING = "selvedge_serving"
    FEAST = "selvedge_feast"
    DAGSTER = "selvedge_dagster"


def _running_server(settings: PlatformSettings, name: str) -> str:
    """URL that the CLI wrote when it started the embedded server `name`."""
    path = settings.run_dir / f"{name}.json"
    try:
        return str(json.loads(path.read_text())["url"])
    except FileNotFoundError as error:
        raise DatabaseUnavailableError(
            f"No {name} is running. Start the embedded one with './selvedge up', or set "
            f"SELVEDGE_{name.upper()}_URL to an existing server."
        ) from error


def admin_url() -> URL:
    """SQLAlchemy URL of the administrator (migrations only)."""
    return make_url(_server_url("postgres")).set(drivername="postgresql+psycopg")


def redis_url() -> str:
    """URL of the Redis server in use."""
    return _server_url("redis")


def _server_url(name: Literal["postgres", "redis"]) -> str:
    settings = platform_settings()
    configured = settings.postgres_url if name == "postgres" else settings.redis_url
    url = configured.get_secret_value() if configured else _running_server(settings, name)
    if settings.environment is Environment.PRODUCTION and is_generated(
        urlsplit(url).password or ""
    ):
        raise DatabaseUnavailableError(
            f"The password in the URL of {name} was generated in development, which production refuses: "
            f"give the server a password of its own and set SELVEDGE_{name.upper()}_URL."
        )
    return url


@cache
def _role_secret() -> bytes:
    settings = platform_settings()
    if settings.postgres_role_secret:
        secret = settings.postgres_role_secret.get_secret_value()
        if len(secret) < MINIMUM_SECRET_LENGTH:
            raise DatabaseUnavailableError(
                f"SELVEDGE_POSTGRES_ROLE_SECRET must have at least {MINIMUM_SECRET_LENGTH} characters."
            )
        if settings.environment is Environment.PRODUCTION and is_generated(secret):
            raise DatabaseUnavailableError(
                "SELVEDGE_POSTGRES_ROLE_SECRET was generated in development, which production refuses: "
                "make one with 'openssl rand -hex 32'."
            )
        return secret.encode()
    if settings.environment is Environment.PRODUCTION:
        raise DatabaseUnavailableError(
            "SELVEDGE_POSTGRES_ROLE_SECRET must be set in production; a generated one is for development."
        )
    return generated_secret(settings.secrets_dir / "postgres-roles").encode()


def role_password(role: Role) -> str:
    """Password of `role`, derived from the role secret with HMAC-SHA256."""
    return hmac.new(_role_secret(), role.value.encode(), hashlib.sha256).hexdigest()


def role_url(role: Role, drivername: str = "postgresql+psycopg") -> URL:
    """SQLAlchemy URL that connects as `role`."""
    return admin_url().set(username=role.value, password=role_password(role), drivername=drivername)


LEDGER_OWNER = "selvedge_ledger"
"""Owns the consent ledger and the audit log; nobody logs in as it, and no role is a member of it."""


class _Reused:
    """A connection that one block of work uses for one transaction after the other."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.busy = False

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        self.busy = True
        try:
            with self.connection.transaction():
                yield self.connection
        finally:
            self.busy = False


_reused: ContextVar[Mapping[Role, _Reused]] = ContextVar("reused", default=MappingProxyType({}))


@contextmanager
def connect(role: Role, *, autocommit: bool = False) -> Iterator[psycopg.Connection[Any]]:
    """A psycopg connection as `role`, committed on success, rolled back on error, closed after.

    Within `reusing` it is that block's connection, which stays open, unless that one is in a transaction already.
    """
    reused = _reused.get().get(role)
    if reused is not None and not (autocommit or reused.busy or reused.connection.closed):
        with reused.transaction() as connection:
            yield connection
        return
    with _opened(role, autocommit=autocommit) as connection:
        yield connection


@contextmanager
def alone(role: Role, lock: int) -> Iterator[bool]:
    """Hold an advisory lock while the block runs; False where another process holds it.

    It is given back before the connection ends: the server may notice an end late, and whoever asks next would be refused.
    """
    with connect(role, autocommit=True) as connection:
        row = connection.execute("select pg_try_advisory_lock(%s)", [lock]).fetchone()
        held = bool(row and row[0])
        try:
            yield held
        finally:
            if held and not connection.closed:
                connection.execute("select pg_advisory_unlock(%s)", [lock])


@contextmanager
def reusing(role: Role) -> Iterator[None]:
    """Let `connect` use one connection as `role` for all transactions of this block, for opening one takes milliseconds."""
    if role in _reused.get():
        yield
        return
    with _opened(role, autocommit=True) as connection:
        token = _reused.set(MappingProxyType({**_reused.get(), role: _Reused(connection)}))
        try:
            yield
        finally:
            _reused.reset(token)


def _opened(role: Role, *, autocommit: bool) -> psycopg.Connection[Any]:
    url = role_url(role, "postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=autocommit, application_name=role.value)
