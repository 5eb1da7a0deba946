"""Tombstones: what keeps an erased subject from coming back through a replay, a backfill or a restored backup.

A tombstone is an HMAC under the tombstone key of the erased pseudonym, or of the keyed hash by which the vault found the
subject, with the time of the erasure: it says nothing to who lacks the keys. A row of an erased identifier that is not newer
than the erasure is dropped; a person who comes back later is a new subject, with a new pseudonym.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from privacy import tombstone_journal
from privacy.database import Role, connect
from privacy.keys import Key, KeyProvider, key_provider
from privacy.tombstone_journal import Tombstone

__all__ = [
    "erased_at",
    "is_erased",
    "missing",
    "record",
    "subjects_erased_at",
    "take_up",
    "tokens",
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
    """The token of each pseudonym, or of each keyed hash of an identifier, under the current tombstone key."""
    key = keys.current("tombstone")
    return [_token(key, kind, value) for value in values]


def record(
    pseudonyms: Sequence[str],
    identifiers: Sequence[bytes],
    erased_at: datetime,
    keys: KeyProvider | None = None,
) -> None:
    """Record the erasure of subjects and of the keyed hashes of their identifiers (`Vault.lookups_of`).

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
        connection.execute("select pg_advisory_xact_lock(%s)", [_WRITING])
        tombstone_journal.append(rows)
        connection.cursor().executemany(_KEEP, rows)


def take_up(journal: Sequence[Tombstone]) -> None:
    """Make the journal's tombstones the database's, where a backup took it back to before them."""
    rows = [(entry.token, entry.kind, entry.erased_at) for entry in journal]
    with connect(Role.PRIVACY) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [_WRITING])
        connection.cursor().executemany(_KEEP, rows)


def missing(journal: Sequence[Tombstone]) -> int:
    """How many of the journal's tombstones the database does not have: taken out of it, or lost with a restore."""
    wanted = {entry.token for entry in journal}
    return len(wanted) - len(_times(sorted(wanted)))


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
    return _held("pseudonym", [[pseudonym] for pseudonym in pseudonyms], keys or key_provider())


def erased_at(
    lookups: Sequence[Sequence[bytes]], keys: KeyProvider | None = None
) -> list[datetime | None]:
    """When each identifier, given by its keyed hashes (`Vault.lookups`), was last erased; None: never."""
    return _held("identifier", lookups, keys or key_provider())


def _held(
    kind: Kind, values: Sequence[Sequence[str | bytes]], keys: KeyProvider
) -> list[datetime | None]:
    versions = keys.versions("tombstone")
    offered = [
        [_token(key, kind, value) for value in several for key in versions] for several in values
    ]
    found = _times([token for several in offered for token in several])
    return [
        max((found[token] for token in several if token in found), default=None)
        for several in offered
    ]


def _times(offered: Sequence[bytes]) -> Mapping[bytes, datetime]:
    if not offered:
        return {}
    with connect(Role.PRIVACY) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table asked (token bytea) on commit drop")
        with cursor.copy("copy asked (token) from stdin") as copy:
            for token in set(offered):
                copy.write_row((token,))
        cursor.execute("select token, erased_at from requests.tombstones join asked using (token)")
        return {bytes(token): at for token, at in cursor}


def _token(key: Key, kind: Kind, value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return hmac.digest(key.material, kind.encode() + b"\0" + raw, hashlib.sha256)
