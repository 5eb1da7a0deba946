"""Who is meant by an identifier: pseudonyms by keyed hash, for one identifier or for millions, and further ones that lead there.

Several identifiers may lead to one subject. One that two subjects claim is contested and leads to nobody until it is settled,
so that a shared mailbox does not open one person's data to another.

    VaultError                    what the vault refuses
    ├── UnknownSubjectError       no such subject
    └── IdentifierConflictError   an identifier leads to somebody else
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple, TypeVar

import psycopg
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.database import Role, connect
from privacy.envelopes import DATA_KEY, EnvelopeError, open_sealed, seal_many
from privacy.identifiers import CUSTOMER_NUMBER, canonical, normalise, or_none
from privacy.keyed_hashes import hmac_sha256
from privacy.keys import KeyName, KeyProvider, key_provider
from privacy.vault_rows import (
    NewIdentifier,
    NewSubject,
    Owner,
    contest,
    creating,
    insert,
    owners,
    remove,
    remove_others,
    required_version,
    wrapped_keys,
)

__all__ = [
    "CHUNK",
    "IdentifierConflictError",
    "Identities",
    "Linked",
    "UnknownSubjectError",
    "VaultError",
    "bound_to",
]

CHUNK = 50_000
"""Identifiers, or subjects, that are worked on at once: what bounds a call's memory beside its input and its result."""

_Connection = psycopg.Connection[Any]
_Connect = Callable[[], AbstractContextManager[_Connection]]
_Item = TypeVar("_Item")


class VaultError(RuntimeError):
    """The vault cannot do what was asked; the message holds no identifier."""


class UnknownSubjectError(VaultError):
    """No such subject: never seen, or erased."""


class IdentifierConflictError(VaultError):
    """An identifier leads to another subject already; says what to do."""


class Linked(NamedTuple):
    """What became of offered identifiers: `new` ones lead to their subject now, `contested` ones to nobody.

    `invalid` counts those that are no identifier of the kind. The others led to their subject before.
    """

    new: int
    contested: int
    invalid: int


class _Hashed(NamedTuple):
    """Keyed hashes of identifiers, each under every version of the lookup key, the newest first; its version."""

    version: int
    lookups: list[tuple[bytes, ...]]


def bound_to(pseudonym: str, kind: str) -> str:
    """What an identifier that is kept beside its lookup is bound to."""
    return f"{pseudonym}|identifier|{kind}"


class Identities:
    """The half of the vault that leads from identifiers to pseudonyms."""

    def __init__(self, keys: KeyProvider | None = None, connection: _Connect | None = None) -> None:
        self._keys = keys or key_provider()
        self._connect = connection or partial(connect, Role.PRIVACY)

    def resolve(
        self, kind: str, identifiers: Sequence[str | None] | pa.Array, *, create: bool
    ) -> list[str | None]:
        """The pseudonym of each identifier, in order.

        None for one that is null or blank, contested, or unknown and not to be created. Concurrent calls give the same
        identifier the same pseudonym. Raises InvalidIdentifierError where one is not of its kind.
        """
        raw = _strings(identifiers)
        distinct = list(dict.fromkeys(text for text in raw if text and not text.isspace()))
        found: dict[str, str | None] = {}
        for chunk in _chunks(distinct):
            names = [normalise(kind, text) for text in chunk]
            known = self._resolve_names(kind, list(dict.fromkeys(names)), create=create)
            found |= {text: known.get(name) for text, name in zip(chunk, names, strict=True)}
        return [found.get(text) if text else None for text in raw]

    def lookup(self, kind: str, identifier: str) -> str | None:
        """The pseudonym of one identifier, None where it is unknown, blank or contested: one indexed read.

        Raises InvalidIdentifierError.
        """
        return None if not identifier.strip() else self.resolve(kind, [identifier], create=False)[0]

    def identifiers_of(self, pseudonyms: Sequence[str]) -> list[bytes]:
        """Every identifier of these subjects, in canonical bytes (for their tombstones); contested ones as well."""
        return [canonical(kind, name) for kind, name in self.held_identifiers(pseudonyms)]

    def held_identifiers(self, pseudonyms: Sequence[str]) -> list[tuple[str, str]]:
        """Kind and normalised form of every identifier of these subjects, in that order; contested ones as well."""
        found: list[tuple[str, str]] = []
        for chunk in _chunks(list(pseudonyms)):
            with self._connect() as connection:
                ciphers = self._ciphers(connection, chunk)
                rows = connection.execute(
                    "select pseudonym, kind, sealed from vault.identifiers where pseudonym = any(%s)",
                    [list(chunk)],
                ).fetchall()
            found += [
                (kind, opened(ciphers[name], bound_to(name, kind), sealed).decode())
                for name, kind, sealed in rows
                if name in ciphers
            ]
        return sorted(found)

    def customer_numbers_of(self, pseudonyms: Sequence[str]) -> dict[str, list[bytes]]:
        """The customer numbers that lead to each of these subjects, in canonical bytes; contested ones lead to nobody."""
        found: dict[str, list[bytes]] = {}
        for chunk in _chunks(list(pseudonyms)):
            with self._connect() as connection:
                ciphers = self._ciphers(connection, chunk)
                rows = connection.execute(
                    "select pseudonym, sealed from vault.identifiers "
                    "where pseudonym = any(%s) and kind = %s and not contested",
                    [list(chunk), CUSTOMER_NUMBER],
                ).fetchall()
            for name, sealed in rows:
                if name in ciphers:
                    number = opened(ciphers[name], bound_to(name, CUSTOMER_NUMBER), sealed).decode()
                    found.setdefault(name, []).append(canonical(CUSTOMER_NUMBER, number))
        return found

    def link(self, pseudonym: str, kind: str, identifier: str) -> None:
        """Let one more identifier lead to a subject; repeating it changes nothing.

        Raises InvalidIdentifierError, UnknownSubjectError, or IdentifierConflictError where it leads to somebody else.
        """
        name = normalise(kind, identifier)
        with self._connect() as connection:
            creating(connection)
            if not self._leads(connection, pseudonym, kind, name):
                self._add(connection, kind, {name: pseudonym})

    def link_many(
        self, kind: str, pseudonyms: Sequence[str], identifiers: Sequence[str | None]
    ) -> Linked:
        """Let `identifiers` lead to `pseudonyms`, pair by pair; a null is left out.

        One that leads to somebody else, or that two pairs claim, becomes contested instead. Raises UnknownSubjectError.
        """
        names = [or_none(kind, text) for text in identifiers]
        invalid = sum(bool(text) and name is None for text, name in zip(identifiers, names, strict=True))  # fmt: skip
        pairs = [(name, who) for name, who in zip(names, pseudonyms, strict=True) if name]
        new = contested = 0
        for chunk in _chunks(pairs):
            more = self._link_chunk(kind, chunk)
            new, contested = new + more[0], contested + more[1]
        return Linked(new, contested, invalid)

    def unlink(self, pseudonym: str, kind: str, identifier: str) -> bool:
        """Let an identifier no longer lead to a subject; returns whether it did."""
        name = normalise(kind, identifier)
        with self._connect() as connection:
            creating(connection)
            (lookups,) = self._hashed(connection, kind, [name]).lookups
            return remove(connection, lookups, pseudonym) > 0

    def move(self, pseudonym: str, identifiers: Mapping[str, str]) -> int:
        """Let these identifiers, by kind, and no others of their kinds lead to a subject; returns how many changed.

        One that is not of its kind leads nowhere. Raises UnknownSubjectError, or IdentifierConflictError where one leads to
        somebody else, and then changes nothing.
        """
        names = {kind: or_none(kind, text) for kind, text in identifiers.items()}
        changed = 0
        with self._connect() as connection:
            creating(connection)
            for kind, name in names.items():
                there = name is not None and self._leads(connection, pseudonym, kind, name)
                own = self._hashed(connection, kind, [name]).lookups[0] if name else ()
                changed += remove_others(connection, pseudonym, kind, own)
                if name is not None and not there:
                    self._add(connection, kind, {name: pseudonym})
                    changed += 1
        return changed

    def refuse_conflicts(self, pseudonym: str, identifiers: Mapping[str, str]) -> None:
        """Raise IdentifierConflictError where `move` would."""
        with self._connect() as connection:
            for kind, text in identifiers.items():
                if (name := or_none(kind, text)) is not None:
                    self._leads(connection, pseudonym, kind, name)

    def settle(self, pseudonym: str, kind: str, identifier: str) -> None:
        """Give an identifier to one subject, whoever it led to, contested or not."""
        name = normalise(kind, identifier)
        with self._connect() as connection:
            creating(connection)
            (lookups,) = self._hashed(connection, kind, [name]).lookups
            remove(connection, lookups)
            self._add(connection, kind, {name: pseudonym})

    def _leads(self, connection: _Connection, pseudonym: str, kind: str, name: str) -> bool:
        """Whether a normalised identifier leads to the subject; raises IdentifierConflictError where to somebody else."""
        owner = owners(connection, self._hashed(connection, kind, [name]).lookups).get(0)
        if owner is None:
            return False
        if owner.contested or owner.pseudonym != pseudonym:
            raise IdentifierConflictError(
                f"This {kind.replace('_', ' ')} leads to another subject already, or is claimed by several. Find out whose "
                "it is; then `Vault.settle` gives it to that subject. Until then use the customer number."
            )
        return True

    def _hashed(self, connection: _Connection, kind: str, names: Sequence[str]) -> _Hashed:
        """Raises VaultError where the database knows a newer version of the lookup key than this process."""
        # In this order: a rotation writes a key before it registers it.
        required, keys = required_version(connection, "lookup"), self._keys.versions("lookup")
        _refuse_old("lookup", required, keys[0].version)
        messages = [canonical(kind, name) for name in names]
        hashed = (hmac_sha256(key.material, messages) for key in keys)
        return _Hashed(keys[0].version, list(zip(*hashed, strict=True)))

    def _owners(
        self, connection: _Connection, kind: str, names: Sequence[str]
    ) -> Mapping[int, Owner]:
        """Position to owner, for those of the normalised identifiers that are stored.

        Looked for again where the lookup key was rotated meanwhile: a row may have been brought to the new version just before it
        was looked for under the old one. Whether somebody was found makes no difference, so that it takes no longer either.
        """
        while True:
            hashed = self._hashed(connection, kind, names)
            found = owners(connection, hashed.lookups)
            if self._keys.current("lookup").version == hashed.version:
                return found

    def _resolve_names(
        self, kind: str, names: Sequence[str], *, create: bool
    ) -> dict[str, str | None]:
        with self._connect() as connection:
            found = self._owners(connection, kind, names)
            made: dict[str, str] = {}
            if create and len(found) < len(names):
                creating(connection)
                # Again, now that nobody else creates: others may have been first, and the key may have been rotated.
                hashed = self._hashed(connection, kind, names)
                found = owners(connection, hashed.lookups)
                missing = [position for position in range(len(names)) if position not in found]
                made = dict(zip([names[at] for at in missing], _pseudonyms(len(missing)), strict=True))  # fmt: skip
                lookups = _Hashed(hashed.version, [hashed.lookups[at] for at in missing])
                self._create(connection, kind, made, lookups)
        leading = {names[at]: None if owner.contested else owner.pseudonym for at, owner in found.items()}  # fmt: skip
        return leading | made

    def _create(
        self, connection: _Connection, kind: str, made: Mapping[str, str], hashed: _Hashed
    ) -> None:
        """Add subjects with one identifier each: `made` maps the normalised identifier to the pseudonym."""
        required, wrapping = (
            required_version(connection, "wrapping"),
            self._keys.current("wrapping"),
        )
        _refuse_old("wrapping", required, wrapping.version)
        keys, wrapper = os.urandom(DATA_KEY * len(made)), AESGCM(wrapping.material)
        data_keys = [keys[start : start + DATA_KEY] for start in range(0, len(keys), DATA_KEY)]
        wrapped = seal_many([wrapper] * len(made), made.values(), data_keys)
        subjects = [
            NewSubject(pseudonym, sealed, wrapping.version)
            for pseudonym, sealed in zip(made.values(), wrapped, strict=True)
        ]
        ciphers = dict(zip(made.values(), map(AESGCM, data_keys), strict=True))
        insert(connection, subjects, _identifiers(kind, made, hashed, ciphers))

    def _add(self, connection: _Connection, kind: str, owned: Mapping[str, str]) -> None:
        """Add identifiers of subjects that exist: `owned` maps the normalised identifier to the pseudonym."""
        ciphers = self._ciphers(connection, list(set(owned.values())))
        if len(ciphers) < len(set(owned.values())):
            raise UnknownSubjectError(
                "An identifier was offered for a subject that the vault does not hold: resolve it first."
            )
        hashed = self._hashed(connection, kind, list(owned))
        insert(connection, [], _identifiers(kind, owned, hashed, ciphers))

    def _link_chunk(self, kind: str, pairs: Sequence[tuple[str, str]]) -> tuple[int, int]:
        """Link normalised identifiers to pseudonyms; returns how many are new, and how many became contested."""
        claims: dict[str, set[str]] = {}
        for name, pseudonym in pairs:
            claims.setdefault(name, set()).add(pseudonym)
        names = list(claims)
        with self._connect() as connection:
            found = self._owners(connection, kind, names)
            if all(
                at in found and (found[at].contested or claims[name] == {found[at].pseudonym})
                for at, name in enumerate(names)
            ):
                return 0, 0
            creating(connection)
            lookups = self._hashed(connection, kind, names).lookups
            found = owners(connection, lookups)
            owner = {names[at]: held.pseudonym for at, held in found.items()}
            new = {name: min(claims[name]) for name in names if name not in owner}
            self._add(connection, kind, new)
            owner |= new
            disputed = [
                lookup
                for name, several in zip(names, lookups, strict=True)
                if claims[name] != {owner[name]}
                for lookup in several
            ]
            return len(new), contest(connection, disputed)

    def _ciphers(self, connection: _Connection, pseudonyms: Sequence[str]) -> dict[str, AESGCM]:
        """The data key of each subject that exists."""
        # Read before the rows, so that a version destroyed meanwhile is still at hand.
        wrapping = {key.version: AESGCM(key.material) for key in self._keys.versions("wrapping")}
        ciphers = {}
        for pseudonym, wrapped, version in wrapped_keys(connection, pseudonyms):
            wrapper = wrapping.get(version) or AESGCM(self._keys.get("wrapping", version).material)
            ciphers[pseudonym] = AESGCM(opened(wrapper, pseudonym, wrapped))
        return ciphers


def _refuse_old(key: KeyName, required: int, held: int) -> None:
    if required > held:
        raise VaultError(
            f"The {key} key has been rotated, and this process holds its old version only: give it the new keys."
        )


def opened(cipher: AESGCM, bound: str, sealed: bytes) -> bytes:
    """A sealed value; raises VaultError where it does not open."""
    try:
        return open_sealed(cipher, bound, sealed)
    except EnvelopeError as error:
        raise VaultError(str(error)) from error


def _identifiers(
    kind: str, owned: Mapping[str, str], hashed: _Hashed, ciphers: Mapping[str, AESGCM]
) -> list[NewIdentifier]:
    sealed = seal_many(
        (ciphers[pseudonym] for pseudonym in owned.values()),
        (bound_to(pseudonym, kind) for pseudonym in owned.values()),
        [name.encode() for name in owned],
    )
    return [
        NewIdentifier(lookups[0], hashed.version, kind, pseudonym, ciphertext)
        for pseudonym, lookups, ciphertext in zip(
            owned.values(), hashed.lookups, sealed, strict=True
        )
    ]


def _pseudonyms(count: int) -> list[str]:
    digits = os.urandom(16 * count).hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _strings(identifiers: Sequence[str | None] | pa.Array) -> list[str | None]:
    if isinstance(identifiers, pa.Array | pa.ChunkedArray):
        return list(identifiers.to_pylist())
    return list(identifiers)
