"""Tombstones: what keeps an erased subject from coming back through a replay, a backfill or a restored backup.

A tombstone is an HMAC under the tombstone key of the erased pseudonym, or of an identifier that led to it, with the time of the
erasure: it says nothing to who lacks that key. It is not made from the vault's lookup, whose key rotates: of an erased identifier
nothing is left that could be hashed again. A row of an erased identifier is dropped; a person who comes back later by themselves
(`privacy.readmission`) is a new subject, with a new pseudonym.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

import psycopg

from privacy import tombstone_journal
from privacy.database import Role, connect
from privacy.keyed_hashes import hmac_sha256
from privacy.keys import Key, KeyProvider, key_provider
from privacy.tombstone_journal import Tombstone

__all__ = [
    "any_identifiers",
    "erased_at",
    "hold_off_writers",
    "is_erased",
    "missing",
    "record",
    "state",
    "subjects_erased_at",
    "take_up",
    "tokens",
    "unknown_to",
    "writing",
]

Kind = Literal["pseudonym", "identifier"]
_WRITING = 0x53564C54  # advisory lock: shared by writers of subjects' rows, exclusive while tombstones are recorded
_PATIENCE = "5min"
_KEEP = (
    "insert into requests.tombstones as held (token, kind, erased_at) values (%s, %s, %s) "
    "on conflict (token) do update set erased_at = excluded.erased_at where excluded.erased_at > held.erased_at"
)


def tokens(keys: KeyProvider, kind: Kind, values: Sequence[str | bytes]) -> list[bytes]:
    """The token of each pseudonym, or of each identifier in canonical bytes, under the current tombstone key."""
    return _tokens(keys.current("tombstone"), kind, values)


def record(
    pseudonyms: Sequence[str],
    identifiers: Sequence[bytes],
    erased_at: datetime,
    keys: KeyProvider | None = None,
) -> None:
    """Record the erasure of subjects and of their identifiers (`Vault.identifiers_of`).

    Waits for batches that are being written (see `writing`): once it returns, no writer holds an older view, so that what
    is erased afterwards stays erased. Repeating it keeps the newest time. The journal, which outlives the restore of a
    backup, has them before the database does.
    """
    provider = keys or key_provider()
    rows = [(token, "pseudonym", erased_at) for token in tokens(provider, "pseudonym", pseudonyms)]
    rows += [
        (token, "identifier", erased_at) for token in tokens(provider, "identifier", identifiers)
    ]
    with connect(Role.PRIVACY) as connection:
        connection.execute("select set_config('lock_timeout', %s, true)", [_PATIENCE])
        hold_off_writers(connection)
        tombstone_journal.append(rows)
        connection.cursor().executemany(_KEEP, rows)


def take_up(journal: Sequence[Tombstone]) -> None:
    """Make the journal's tombstones the database's, where a backup took it back to before them."""
    rows = [(entry.token, entry.kind, entry.erased_at) for entry in journal]
    with connect(Role.PRIVACY) as connection:
        hold_off_writers(connection)
        connection.cursor().executemany(_KEEP, rows)


def missing(journal: Sequence[Tombstone]) -> int:
    """How many of the journal's tombstones the database does not have: taken out of it, or lost with a restore."""
    wanted = {entry.token for entry in journal}
    return len(wanted) - len(_times(sorted(wanted)))


def unknown_to(journal: Sequence[Tombstone]) -> list[Tombstone]:
    """The database's tombstones that the journal does not have, or has with an older time."""
    newest: dict[bytes, datetime] = {}
    for entry in journal:
        newest[entry.token] = max(entry.erased_at, newest.get(entry.token, entry.erased_at))
    with connect(Role.PRIVACY) as connection, connection.cursor(binary=True) as cursor:
        cursor.execute("select token, kind, erased_at from requests.tombstones order by erased_at")
        held = [Tombstone(bytes(token), kind, at) for token, kind, at in cursor]
    return [
        entry
        for entry in held
        if entry.token not in newest or newest[entry.token] < entry.erased_at
    ]


def hold_off_writers(connection: psycopg.Connection[Any]) -> None:
    """Wait for batches that are being written, and let none begin before the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", [_WRITING])


@contextmanager
def writing() -> Iterator[None]:
    """Hold while a batch of subjects' rows is checked against the tombstones and written; keep it to seconds."""
    with connect(Role.PRIVACY) as connection:
        connection.execute("select pg_advisory_xact_lock_shared(%s)", [_WRITING])
        yield


def is_erased(pseudonyms: Sequence[str], keys: KeyProvider | None = None) -> list[bool]:
    """Whether each pseudonym is a tombstone's."""
    return [at is not None for at in subjects_erased_at(pseudonyms, keys)]


def subjects_erased_at(
    pseudonyms: Sequence[str], keys: KeyProvider | None = None
) -> list[datetime | None]:
    """When each pseudonym's subject was erased; None: never."""
    return _held("pseudonym", pseudonyms, keys or key_provider())


def erased_at(
    identifiers: Sequence[bytes], keys: KeyProvider | None = None
) -> list[datetime | None]:
    """When each identifier, in canonical bytes (`privacy.identifiers.canonical`), was last erased; None: never."""
    return _held("identifier", identifiers, keys or key_provider())


def any_identifiers() -> bool:
    """Whether any identifier was ever erased."""
    return _exists("identifier")


def state() -> int:
    """A number that changes whenever a tombstone does; hold `writing` while relying on it."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select case when is_called then last_value else 0 end from requests.tombstone_changes"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _held(kind: Kind, values: Sequence[str | bytes], keys: KeyProvider) -> list[datetime | None]:
    if not values or not _exists(kind):
        return [None] * len(values)
    offered = list(zip(*(_tokens(key, kind, values) for key in keys.versions("tombstone")), strict=True))  # fmt: skip
    found = _times({token for several in offered for token in several})
    return [
        max((found[token] for token in several if token in found), default=None)
        for several in offered
    ]


def _exists(kind: Kind) -> bool:
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select exists (select from requests.tombstones where kind = %s)", [kind]
        ).fetchone()
    return bool(row and row[0])


def _times(offered: Collection[bytes]) -> Mapping[bytes, datetime]:
    with connect(Role.PRIVACY) as connection, connection.cursor(binary=True) as cursor:
        cursor.execute(
            "select token, erased_at from requests.tombstones where token = any(%b::bytea[])",
            [list(offered)],
        )
        return {bytes(token): at for token, at in cursor}


def _tokens(key: Key, kind: Kind, values: Sequence[str | bytes]) -> list[bytes]:
    prefix = kind.encode() + b"\0"
    messages = (prefix + (value.encode() if isinstance(value, str) else value) for value in values)
    return hmac_sha256(key.material, messages)
