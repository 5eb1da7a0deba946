"""The technical and organisational measures (Art. 32), told from what runs: keys, roles, columns, settings."""

from dataclasses import dataclass

from privacy.database import Role, connect
from privacy.keys import KeyName, key_provider
from privacy.settings import platform_settings

__all__ = ["Measure", "measures"]

_ROTATING: tuple[KeyName, ...] = ("lookup", "wrapping", "tombstone")


@dataclass(frozen=True)
class Measure:
    """One measure and what was found of it now."""

    name: str
    state: str


def measures() -> tuple[Measure, ...]:
    """Every measure with its state; raises what Postgres or the key provider raise."""
    return (
        Measure("Pseudonymisation", _pseudonyms()),
        Measure("Encryption of direct identifiers", _encryption()),
        Measure("Keys", _keys()),
        Measure("Separation of roles", _roles()),
        Measure("Access to the vault", _vault_readers()),
        Measure("Consent", _consent()),
        Measure("Erasure", _erasures()),
        Measure("Retention", _retention()),
        Measure("Environment", _environment()),
    )


def _one(query: str, *parameters: object) -> tuple[int, ...]:
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(query, parameters).fetchone()
    return tuple(int(value or 0) for value in row or ())


def _pseudonyms() -> str:
    (subjects,) = _one("select count(*) from vault.subjects")
    return (
        f"{subjects:,} subjects are known outside the vault by a random 128-bit pseudonym; raw identifiers are found by "
        "HMAC-SHA256 alone. Ages and heights are stored as bands, free text with personal data masked."
    )


def _encryption() -> str:
    fields, subjects = _one(
        "select count(*), count(distinct pseudonym) from vault.direct_identifiers"
    )
    return (
        f"{fields:,} direct identifiers of {subjects:,} subjects are encrypted with AES-256-GCM, each under a key of its "
        "subject, which is wrapped by the key-encryption key."
    )


def _keys() -> str:
    provider = key_provider()
    versions = [
        f"{name} version {provider.current(name).version} ({len(provider.versions(name))} kept)"
        for name in _ROTATING
    ]
    in_use = _one("select count(distinct wrapping_key_version) from vault.subjects")[0]
    return f"{type(provider).__name__}: {', '.join(versions)}; {in_use} wrapping versions in use."


def _roles() -> str:
    (roles,) = _one(
        "select count(*) from pg_roles where rolname = any(%s) and rolcanlogin and not rolsuper",
        [role.value for role in Role],
    )
    return f"{roles} of {len(Role)} parts of the platform connect to Postgres as a role of their own, none of them a superuser."


def _vault_readers() -> str:
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select r from unnest(%s::text[]) as r where has_table_privilege(r, 'vault.subjects', 'select')",
            [[role.value for role in Role]],
        ).fetchall()
    return f"Readable by {', '.join(row[0] for row in rows) or 'nobody'} only."


def _consent() -> str:
    statements, subjects = _one("select count(*), count(distinct pseudonym) from consent.records")
    return (
        f"{statements:,} statements of {subjects:,} subjects in a ledger that is only appended to; a row serves a purpose if "
        "its subject agreed when it happened and still agrees."
    )


def _erasures() -> str:
    done, waiting = _one(
        "select count(*) filter (where status = 'completed'), count(*) filter (where completed is null) "
        "from requests.privacy_requests where kind = 'erasure'"
    )
    return (
        f"{done:,} erasures completed, each after a search of every store; {waiting:,} under way."
    )


def _retention() -> str:
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select max(at) from audit.log where action = 'retention enforced'"
        ).fetchone()
    last = row[0] if row else None
    return (
        f"Enforced daily by contract; last on {last:%Y-%m-%d %H:%M} UTC."
        if last
        else "Enforced daily by contract; not yet run."
    )


def _environment() -> str:
    settings = platform_settings()
    servers = (
        "servers of one's own"
        if settings.postgres_url
        else "the embedded servers, on loopback with passwords"
    )
    return f"{settings.environment.value}; Postgres and Redis: {servers}. State is its owner's alone to read (mode 0700)."
