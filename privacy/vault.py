"""The identity vault: raw identifiers to random pseudonyms, and direct identifiers under per-subject keys.

It stores no raw identifier and no unkeyed hash: an identifier is found by HMAC-SHA256 under the lookup key, a pseudonym is
128 random bits, and what must stay readable (a name on an invoice) is AES-256-GCM under a data key of its subject, which is
itself wrapped by the key-encryption key. Deleting a subject's row destroys the data key, and with it every ciphertext, in
backups too. Postgres receives HMACs and ciphertexts alone, in temporary tables as well.
"""

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.database import Role, connect
from privacy.keys import Key, KeyProvider, key_provider

__all__ = ["CUSTOMER_NUMBER", "UnknownSubjectError", "Vault", "VaultError", "normalise"]

CUSTOMER_NUMBER = "customer_number"
_EMAIL = "email"
_NONCE = 12  # bytes; NIST SP 800-38D, section 8.2.2
_CREATING = 0x53564C56  # advisory lock: one creator of pseudonyms at a time
_Connect = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]


class VaultError(RuntimeError):
    """The vault cannot do what was asked; the message holds no identifier."""


class UnknownSubjectError(VaultError):
    """No such subject: never seen, or erased."""


def normalise(kind: str, raw: str) -> str:
    """The form of an identifier in which spellings of the same one are equal (NFKC, trimmed; e-mail casefolded)."""
    text = unicodedata.normalize("NFKC", raw).strip()
    return text.casefold() if kind == _EMAIL else text


class Vault:
    """Pseudonyms and encrypted identifiers of subjects."""

    def __init__(self, keys: KeyProvider | None = None, connection: _Connect | None = None) -> None:
        self._keys = keys or key_provider()
        self._connect = connection or partial(connect, Role.PRIVACY)

    def resolve(
        self, kind: str, identifiers: Sequence[str | None] | pa.Array, *, create: bool
    ) -> list[str | None]:
        """The pseudonym of each identifier, in order; None for one that is null, or unknown and not to be created.

        Concurrent calls give the same identifier the same pseudonym.
        """
        raw = _strings(identifiers)
        distinct = sorted({text for text in raw if text and text.strip()})
        found = self._resolve_distinct(kind, distinct, create=create)
        return [found.get(text) if text else None for text in raw]

    def lookup(self, kind: str, identifier: str) -> str | None:
        """The pseudonym of one identifier, None where it is unknown: one indexed read."""
        if not normalise(kind, identifier):
            return None
        with self._connect() as connection:
            row = connection.execute(
                "select pseudonym from vault.identifiers where lookup = any(%s)",
                [list(self.lookups(kind, [identifier])[0])],
            ).fetchone()
        return None if row is None else str(row[0])

    def lookups(self, kind: str, identifiers: Sequence[str]) -> list[tuple[bytes, ...]]:
        """The keyed hashes under which each identifier may be found, one per version of the lookup key."""
        keys = self._keys.versions("lookup")
        return [tuple(_lookup(key, kind, text) for key in keys) for text in identifiers]

    def lookups_of(self, pseudonyms: Sequence[str]) -> list[bytes]:
        """The keyed hashes of every identifier of these subjects (for their tombstones)."""
        with self._connect() as connection:
            rows = connection.execute(
                "select lookup from vault.identifiers where pseudonym = any(%s)", [list(pseudonyms)]
            ).fetchall()
        return [bytes(row[0]) for row in rows]

    def known(self, pseudonyms: Sequence[str]) -> set[str]:
        """Those of `pseudonyms` that stand for a subject in the vault."""
        with self._connect() as connection:
            rows = connection.execute(
                "select pseudonym from vault.subjects where pseudonym = any(%s)", [list(pseudonyms)]
            ).fetchall()
        return {row[0] for row in rows}

    def store_direct(
        self,
        pseudonyms: Sequence[str],
        fields: Mapping[str, Sequence[str | None]],
        times: Sequence[datetime] | None = None,
    ) -> int:
        """Encrypt direct identifiers and keep them; returns how many changed.

        `fields` maps a field's name to its values, aligned with `pseudonyms` (as are `times`, when each row was last
        changed; now, if left out). A null value, one that is already stored, and one older than what is stored change
        nothing.
        """
        moments = times or [datetime.now(UTC)] * len(pseudonyms)
        offered = _newest(pseudonyms, fields, moments)
        ciphers = self._data_keys(sorted({pseudonym for pseudonym, _ in offered}))
        held = self._direct(list(ciphers), ciphers)
        changed = []
        for (pseudonym, field), (at, value) in offered.items():
            if pseudonym not in ciphers:
                raise UnknownSubjectError(
                    "Direct identifiers were offered for a subject that the vault does not hold: resolve it first."
                )
            before = held.get((pseudonym, field))
            if before is None or (before[0] <= at and before[1] != value):
                sealed = _seal(ciphers[pseudonym], f"{pseudonym}|{field}", value.encode())
                changed.append((pseudonym, field, sealed, at))
        self._write_direct(changed)
        return len(changed)

    def reveal(self, pseudonym: str) -> dict[str, str]:
        """The direct identifiers of one subject, by field; empty where there are none."""
        return self.reveal_many([pseudonym]).get(pseudonym, {})

    def reveal_many(self, pseudonyms: Sequence[str]) -> dict[str, dict[str, str]]:
        """The direct identifiers of subjects: pseudonym to field to value."""
        ciphers = self._data_keys(pseudonyms)
        revealed: dict[str, dict[str, str]] = {}
        for (pseudonym, field), (_, value) in self._direct(list(ciphers), ciphers).items():
            revealed.setdefault(pseudonym, {})[field] = value
        return revealed

    def encrypt_for(self, pseudonym: str, column: str, plaintext: str | bytes) -> bytes:
        """`plaintext` under the subject's data key, bound to the subject and to `column`."""
        data = plaintext.encode() if isinstance(plaintext, str) else plaintext
        return _seal(self._data_key(pseudonym), f"{pseudonym}|{column}", data)

    def decrypt_for(self, pseudonym: str, column: str, ciphertext: bytes) -> bytes:
        """What `encrypt_for` was given; raises UnknownSubjectError once the subject is erased."""
        return _open(self._data_key(pseudonym), f"{pseudonym}|{column}", ciphertext)

    def erase(self, pseudonyms: Sequence[str]) -> int:
        """Delete subjects with their keys, lookups and direct identifiers; returns how many there were."""
        with self._connect() as connection:
            return connection.execute(
                "delete from vault.subjects where pseudonym = any(%s)", [list(pseudonyms)]
            ).rowcount

    def rewrap(self) -> int:
        """Wrap the data keys that an older key-encryption key protects with the current one; returns how many."""
        key = self._keys.current("wrapping")
        with self._connect() as connection:
            rows = connection.execute(
                "select pseudonym, wrapped_key, wrapping_key_version from vault.subjects "
                "where wrapping_key_version <> %s for update",
                [key.version],
            ).fetchall()
            connection.cursor().executemany(
                "update vault.subjects set wrapped_key = %s, wrapping_key_version = %s where pseudonym = %s",
                [
                    (_wrap(key, row[0], self._unwrap(row[0], row[1], row[2])), key.version, row[0])
                    for row in rows
                ],
            )
        return len(rows)

    def _resolve_distinct(
        self, kind: str, identifiers: Sequence[str], *, create: bool
    ) -> dict[str, str]:
        if not identifiers:
            return {}
        lookups = self.lookups(kind, identifiers)
        with self._connect() as connection:
            _offer(connection, lookups)
            found = _stored(connection)
            if create and len(found) < len(identifiers):
                connection.execute("select pg_advisory_xact_lock(%s)", [_CREATING])
                found = _stored(connection)
                missing = [
                    (position, versions[0])
                    for position, versions in enumerate(lookups)
                    if position not in found
                ]
                found |= self._create(connection, kind, missing, lookups)
        return {identifiers[position]: pseudonym for position, pseudonym in found.items()}

    def _create(
        self,
        connection: psycopg.Connection[Any],
        kind: str,
        missing: Sequence[tuple[int, bytes]],
        lookups: Sequence[tuple[bytes, ...]],
    ) -> dict[int, str]:
        """Make subjects for the lookups at these positions; spellings of one identifier share one."""
        wrapping, version = self._keys.current("wrapping"), self._keys.current("lookup").version
        made = {lookup: secrets.token_hex(16) for _, lookup in missing}
        with connection.cursor() as cursor:
            with cursor.copy(
                "copy vault.subjects (pseudonym, wrapped_key, wrapping_key_version) from stdin"
            ) as copy:
                for pseudonym in made.values():
                    wrapped = _wrap(wrapping, pseudonym, secrets.token_bytes(32))
                    copy.write_row((pseudonym, wrapped, wrapping.version))
            with cursor.copy(
                "copy vault.identifiers (lookup, lookup_key_version, kind, pseudonym) from stdin"
            ) as copy:
                for lookup, pseudonym in made.items():
                    copy.write_row((lookup, version, kind, pseudonym))
        return {position: made[lookups[position][0]] for position, _ in missing}

    def _data_keys(self, pseudonyms: Iterable[str]) -> dict[str, AESGCM]:
        with self._connect() as connection:
            rows = connection.execute(
                "select pseudonym, wrapped_key, wrapping_key_version from vault.subjects where pseudonym = any(%s)",
                [list(pseudonyms)],
            ).fetchall()
        return {row[0]: AESGCM(self._unwrap(row[0], row[1], row[2])) for row in rows}

    def _data_key(self, pseudonym: str) -> AESGCM:
        try:
            return self._data_keys([pseudonym])[pseudonym]
        except KeyError as error:
            raise UnknownSubjectError(
                "The vault holds no such subject: it was never seen, or is erased."
            ) from error

    def _unwrap(self, pseudonym: str, wrapped: bytes, version: int) -> bytes:
        return _open(AESGCM(self._keys.get("wrapping", version).material), pseudonym, wrapped)

    def _direct(
        self, pseudonyms: Sequence[str], ciphers: Mapping[str, AESGCM]
    ) -> dict[tuple[str, str], tuple[datetime, str]]:
        with self._connect() as connection:
            rows = connection.execute(
                "select pseudonym, field, ciphertext, updated from vault.direct_identifiers "
                "where pseudonym = any(%s)",
                [list(pseudonyms)],
            ).fetchall()
        return {
            (row[0], row[1]): (
                row[3],
                _open(ciphers[row[0]], f"{row[0]}|{row[1]}", row[2]).decode(),
            )
            for row in rows
        }

    def _write_direct(self, rows: Sequence[tuple[str, str, bytes, datetime]]) -> None:
        if not rows:
            return
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "create temporary table offered (like vault.direct_identifiers) on commit drop"
            )
            with cursor.copy(
                "copy offered (pseudonym, field, ciphertext, updated) from stdin"
            ) as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(
                "insert into vault.direct_identifiers as held (pseudonym, field, ciphertext, updated) "
                "select pseudonym, field, ciphertext, updated from offered join vault.subjects using (pseudonym) "
                "on conflict (pseudonym, field) do update set ciphertext = excluded.ciphertext, updated = excluded.updated "
                "where excluded.updated >= held.updated"
            )


def _strings(identifiers: Sequence[str | None] | pa.Array) -> list[str | None]:
    if isinstance(identifiers, pa.Array | pa.ChunkedArray):
        return list(identifiers.to_pylist())
    return list(identifiers)


def _lookup(key: Key, kind: str, raw: str) -> bytes:
    text = f"{kind}\0{normalise(kind, raw)}"
    return hmac.digest(key.material, text.encode(), hashlib.sha256)


def _offer(connection: psycopg.Connection[Any], lookups: Sequence[tuple[bytes, ...]]) -> None:
    """Put the keyed hashes where one statement can join them."""
    with connection.cursor() as cursor:
        cursor.execute("create temporary table wanted (position int, lookup bytea) on commit drop")
        with cursor.copy("copy wanted (position, lookup) from stdin") as copy:
            for position, versions in enumerate(lookups):
                for lookup in versions:
                    copy.write_row((position, lookup))


def _stored(connection: psycopg.Connection[Any]) -> dict[int, str]:
    rows = connection.execute(
        "select position, pseudonym from wanted join vault.identifiers using (lookup)"
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def _newest(
    pseudonyms: Sequence[str],
    fields: Mapping[str, Sequence[str | None]],
    times: Sequence[datetime],
) -> dict[tuple[str, str], tuple[datetime, str]]:
    """The newest value of each subject's field; of equal times, the last."""
    newest: dict[tuple[str, str], tuple[datetime, str]] = {}
    for field, values in fields.items():
        for pseudonym, at, value in zip(pseudonyms, times, values, strict=True):
            if not value:
                continue
            before = newest.get((pseudonym, field))
            if before is None or before[0] <= at:
                newest[pseudonym, field] = (at, value)
    return newest


def _seal(cipher: AESGCM, bound_to: str, plaintext: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + cipher.encrypt(nonce, plaintext, bound_to.encode())


def _open(cipher: AESGCM, bound_to: str, sealed: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise VaultError(
            "A ciphertext does not open with the key of its version: the key file is not the one that made the vault, "
            "or the ciphertext was moved or changed."
        ) from error


def _wrap(key: Key, pseudonym: str, data_key: bytes) -> bytes:
    return _seal(AESGCM(key.material), pseudonym, data_key)
