"""The identity vault: raw identifiers to random pseudonyms, and direct identifiers under per-subject keys.

It stores no raw identifier and no unkeyed hash: an identifier (`privacy.identifiers` lists the kinds and how each is normalised)
is found by HMAC-SHA256 under the lookup key, a pseudonym is 128 random bits, and what must stay readable (a name on an invoice,
the identifier itself for the day its lookup key rotates) is AES-256-GCM under a data key of its subject, which is itself wrapped
by the key-encryption key. Deleting a subject's row destroys the data key, and with it every ciphertext, in backups too. Postgres
receives HMACs and ciphertexts alone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.envelopes import seal
from privacy.identifiers import CUSTOMER_NUMBER
from privacy.identities import (
    IdentifierConflictError,
    Identities,
    UnknownSubjectError,
    VaultError,
    opened,
)

__all__ = [
    "CUSTOMER_NUMBER",
    "IdentifierConflictError",
    "UnknownSubjectError",
    "Vault",
    "VaultError",
]


class Vault(Identities):
    """Pseudonyms and encrypted identifiers of subjects."""

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
                sealed = seal(ciphers[pseudonym], f"{pseudonym}|{field}", value.encode())
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
        return seal(self._data_key(pseudonym), f"{pseudonym}|{column}", data)

    def decrypt_for(self, pseudonym: str, column: str, ciphertext: bytes) -> bytes:
        """What `encrypt_for` was given; raises UnknownSubjectError once the subject is erased."""
        return opened(self._data_key(pseudonym), f"{pseudonym}|{column}", ciphertext)

    def erase(self, pseudonyms: Sequence[str]) -> int:
        """Delete subjects with their keys, lookups and direct identifiers; returns how many there were."""
        with self._connect() as connection:
            return connection.execute(
                "delete from vault.subjects where pseudonym = any(%s)", [list(pseudonyms)]
            ).rowcount

    def _data_keys(self, pseudonyms: Sequence[str]) -> dict[str, AESGCM]:
        with self._connect() as connection:
            return self._ciphers(connection, pseudonyms)

    def _data_key(self, pseudonym: str) -> AESGCM:
        try:
            return self._data_keys([pseudonym])[pseudonym]
        except KeyError as error:
            raise UnknownSubjectError(
                "The vault holds no such subject: it was never seen, or is erased."
            ) from error

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
                opened(ciphers[row[0]], f"{row[0]}|{row[1]}", row[2]).decode(),
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
