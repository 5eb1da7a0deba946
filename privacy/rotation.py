"""Rotation of the lookup and the wrapping key while everything runs, and the destruction of old versions.

A new version becomes current first: from then on nothing is written under an older one, and what is still under an older one is
found all the same, because every version that is held is asked for. Then rows are brought to the new version in batches, each
its own transaction, so that a rotation that was cut short goes on where it ended. No pseudonym changes.

A lookup is made again from the identifier, which the vault keeps sealed under its subject's data key; a data key is wrapped anew;
an open privacy request is sealed anew. Exports are not: they expire within days, and hold up the destruction until then.
Tombstones have a key of their own and need neither.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy import audit, request_seals, tombstones
from privacy.database import Role, alone, connect
from privacy.envelopes import open_sealed, seal
from privacy.identifiers import canonical
from privacy.identities import bound_to
from privacy.keyed_hashes import hmac_sha256
from privacy.keys import Key, KeyProvider, KeyProviderError, UnknownKeyError
from privacy.stores.scrub import scrub_postgres
from privacy.vault_rows import creating, required_version

__all__ = ["ROTATED", "KeyInUseError", "RotatedKey", "Rotation", "destroy_old", "held", "rotate"]

RotatedKey = Literal["lookup", "wrapping"]
ROTATED: tuple[RotatedKey, ...] = ("lookup", "wrapping")
Progress = Callable[[str, int, int], None]
"""Told the table, the rows done and the rows in all."""

_Connection = psycopg.Connection[Any]
_ROTATING = 0x53564C4B  # advisory lock: one rotation at a time
_BATCH = 10_000
_PATIENCE_SECONDS = 60.0
_ACTOR = "key rotation"


class KeyInUseError(KeyProviderError):
    """An old version is still needed; says by what."""


class Rotation(NamedTuple):
    """What a rotation did: the version that is current now, rows changed by table, and whether it went on with an earlier one."""

    key: RotatedKey
    version: int
    changed: Mapping[str, int]
    resumed: bool


class _Holder(NamedTuple):
    """A table with rows made under a key: how to count them by version, and how to bring a batch to the current one."""

    key: RotatedKey
    table: str
    versions: str
    renew: Callable[[_Connection, KeyProvider, int], int] | None
    otherwise: str = ""


def rotate(
    name: RotatedKey, keys: KeyProvider, progress: Progress | None = None, batch: int = _BATCH
) -> Rotation:
    """Make a new version current and bring every row to it, or finish a rotation that was cut short.

    Raises KeyProviderError where another rotation is under way, this process holds old keys only, or rows stay locked.
    """
    with _alone():
        version, resumed = _begin(name, keys)
        changed = {}
        for holder in _HOLDERS:
            if holder.key == name and holder.renew is not None:
                changed[holder.table] = _renew_all(holder, keys, version, batch, progress)
        with connect(Role.PRIVACY) as connection:
            connection.execute(
                "update vault.key_versions set finished = now() where name = %s and version = %s",
                [name, version],
            )
            detail = {"key": name, "version": version, "resumed": resumed, "rows": changed}
            audit.record(_ACTOR, "key rotated", detail, connection)
    return Rotation(name, version, changed, resumed)


def destroy_old(name: RotatedKey, keys: KeyProvider) -> list[int]:
    """Destroy every old version that no row needs, and the bytes of what was made under it; returns their numbers.

    Raises KeyInUseError, once the others are destroyed, where a row still needs a version.
    """
    with _alone():
        with connect(Role.PRIVACY) as connection:
            _hold_off(connection)
            old = [key.version for key in keys.versions(name)[1:]]
            needed = _needed(_held(connection, name), old)
            gone = [version for version in old if version not in needed]
            for version in gone:
                keys.destroy(name, version)
                connection.execute(
                    "insert into vault.key_versions as known (name, version, finished, destroyed) values (%s, %s, now(), now()) "
                    "on conflict (name, version) do update set destroyed = now()",
                    [name, version],
                )
            if gone:
                audit.record(_ACTOR, "keys destroyed", {"key": name, "versions": gone}, connection)
        if gone:
            scrub_postgres((h.table.split(".")[0], h.table.split(".")[1]) for h in _HOLDERS if h.key == name)  # fmt: skip
    if needed:
        raise _in_use(name, needed, gone)
    return gone


def held(name: RotatedKey) -> dict[str, dict[int, int]]:
    """Table to version to the number of rows that need this version of the key."""
    with connect(Role.PRIVACY) as connection:
        return _held(connection, name)


@contextmanager
def _alone() -> Iterator[None]:
    with alone(Role.PRIVACY, _ROTATING) as mine:
        if not mine:
            raise KeyProviderError(
                "Another rotation is under way: let it finish, then repeat this."
            )
        yield


def _begin(name: RotatedKey, keys: KeyProvider) -> tuple[int, bool]:
    """Make a version current, unless the current one's rotation was cut short; returns it, and whether it was."""
    with connect(Role.PRIVACY) as connection:
        creating(connection)
        version, registered = keys.current(name).version, required_version(connection, name)
        if registered > version:
            raise KeyProviderError(
                f"The database is at version {registered} of key '{name}', and this process holds version {version}: rotate "
                "where the newest key file is."
            )
        resumed = not _finished(connection, name, version) or _outdated(connection, name, version)
        if not resumed:
            version = keys.rotate(name).version
        connection.execute(
            "insert into vault.key_versions (name, version) values (%s, %s) on conflict do nothing",
            [name, version],
        )
    return version, resumed


def _finished(connection: _Connection, name: RotatedKey, version: int) -> bool:
    """Whether the current version is the first of all, or one whose rotation came to its end."""
    row = connection.execute(
        "select finished is not null from vault.key_versions where name = %s and version = %s",
        [name, version],
    ).fetchone()
    return bool(row[0]) if row else version == 1


def _outdated(connection: _Connection, name: RotatedKey, version: int) -> bool:
    counts = _held(connection, name)
    return any(
        number != version
        for holder in _HOLDERS
        if holder.key == name and holder.renew is not None
        for number in counts[holder.table]
    )


def _held(connection: _Connection, name: RotatedKey) -> dict[str, dict[int, int]]:
    counts: dict[str, dict[int, int]] = {}
    for holder in _HOLDERS:
        if holder.key == name:
            rows = connection.execute(
                f"select version, count(*) from ({holder.versions}) as held(version) group by 1"  # noqa: S608 (constants of this module)
            )
            counts[holder.table] = dict(rows)
    return counts


def _renew_all(
    holder: _Holder, keys: KeyProvider, version: int, batch: int, progress: Progress | None
) -> int:
    """Batches until no row is left under another version; returns how many rows changed."""
    assert holder.renew is not None
    done, waited_since = 0, time.monotonic()
    while left := _left(holder, version):
        if progress:
            progress(holder.table, done, done + left)
        with connect(Role.PRIVACY) as connection:
            renewed = holder.renew(connection, keys, batch)
        done += renewed
        if renewed:
            waited_since = time.monotonic()
        elif time.monotonic() - waited_since > _PATIENCE_SECONDS:
            raise KeyProviderError(
                f"{left} rows of {holder.table} stay locked by others: run the rotation again, it goes on from here."
            )
        else:
            time.sleep(0.1)
    if progress:
        progress(holder.table, done, done)
    return done


def _left(holder: _Holder, version: int) -> int:
    with connect(Role.PRIVACY) as connection:
        counts = _held(connection, holder.key)[holder.table]
    return sum(count for number, count in counts.items() if number != version)


def _hold_off(connection: _Connection) -> None:
    """Wait for, and keep off until the end of the transaction, whoever may be about to store something under an old key."""
    connection.execute("select set_config('lock_timeout', '60s', true)")
    tombstones.hold_off_writers(connection)
    creating(connection)
    connection.execute(
        "lock table requests.privacy_requests, requests.exports in access exclusive mode"
    )


def _needed(
    counts: Mapping[str, Mapping[int, int]], old: Sequence[int]
) -> dict[int, dict[str, int]]:
    """Old version to table to the number of rows that need it, for those that are needed."""
    by_version = {
        version: {table: held[version] for table, held in counts.items() if version in held}
        for version in old
    }
    return {version: tables for version, tables in by_version.items() if tables}


def _in_use(
    name: RotatedKey, needed: Mapping[int, Mapping[str, int]], gone: Sequence[int]
) -> KeyInUseError:
    listed = ", ".join(
        f"version {version} by {table}: {count}"
        for version, tables in needed.items()
        for table, count in tables.items()
    )
    holding = {table for tables in needed.values() for table in tables}
    advice = {h.otherwise for h in _HOLDERS if h.table in holding and h.otherwise}
    if any(h.table in holding and not h.otherwise for h in _HOLDERS):
        advice.add(f"Run './selvedge privacy rotate-keys --key {name}' to its end first.")
    destroyed = ", ".join(map(str, gone)) or "none"
    return KeyInUseError(
        f"Old versions of key '{name}' are still needed ({listed}); destroyed: {destroyed}. {' '.join(sorted(advice))}"
    )


def _renew_lookups(connection: _Connection, keys: KeyProvider, limit: int) -> int:
    current, ciphers = keys.current("lookup"), _ciphers(keys)
    rows = connection.execute(
        "select i.lookup, i.kind, i.pseudonym, i.sealed, s.wrapped_key, s.wrapping_key_version "
        "from vault.identifiers i join vault.subjects s using (pseudonym) where i.lookup_key_version <> %s "
        "limit %s for update of i skip locked",
        [current.version, limit],
    ).fetchall()
    messages = []
    for _, kind, pseudonym, sealed, wrapped, version in rows:
        data_key = AESGCM(open_sealed(_of(ciphers, version), pseudonym, wrapped))
        text = open_sealed(data_key, bound_to(pseudonym, kind), sealed).decode()
        messages.append(canonical(kind, text))
    return connection.execute(
        "update vault.identifiers i set lookup = n.new, lookup_key_version = %s "
        "from unnest(%b::bytea[], %b::bytea[]) as n(old, new) where i.lookup = n.old",
        [current.version, [row[0] for row in rows], hmac_sha256(current.material, messages)],
    ).rowcount


def _renew_wrapped(connection: _Connection, keys: KeyProvider, limit: int) -> int:
    current, ciphers = keys.current("wrapping"), _ciphers(keys)
    rows = connection.execute(
        "select pseudonym, wrapped_key, wrapping_key_version from vault.subjects where wrapping_key_version <> %s "
        "limit %s for no key update skip locked",
        [current.version, limit],
    ).fetchall()
    wrapper = AESGCM(current.material)
    wrapped = [
        seal(wrapper, pseudonym, open_sealed(_of(ciphers, version), pseudonym, before))
        for pseudonym, before, version in rows
    ]
    return connection.execute(
        "update vault.subjects s set wrapped_key = n.wrapped, wrapping_key_version = %s "
        "from unnest(%b::text[], %b::bytea[]) as n(pseudonym, wrapped) where s.pseudonym = n.pseudonym",
        [current.version, [row[0] for row in rows], wrapped],
    ).rowcount


def _ciphers(keys: KeyProvider) -> dict[int, AESGCM]:
    versions: Sequence[Key] = keys.versions("wrapping")
    return {key.version: AESGCM(key.material) for key in versions}


def _of(ciphers: Mapping[int, AESGCM], version: int) -> AESGCM:
    try:
        return ciphers[version]
    except KeyError:
        raise UnknownKeyError(
            f"Version {version} of key 'wrapping' is not in the key file: restore the one that made the vault."
        ) from None


# What is made under the two keys. Whoever stores something else under one of them adds it here.
_HOLDERS = (
    _Holder(
        "lookup",
        "vault.identifiers",
        "select lookup_key_version from vault.identifiers",
        _renew_lookups,
    ),
    _Holder(
        "wrapping",
        "vault.subjects",
        "select wrapping_key_version from vault.subjects",
        _renew_wrapped,
    ),
    _Holder(
        "wrapping",
        "requests.privacy_requests",
        "select split_part(detail ->> 'subject', '.', 1)::int from requests.privacy_requests where detail ? 'subject'",
        request_seals.renew,
    ),
    _Holder(
        "wrapping",
        "requests.exports",
        "select split_part(encode(substr(ciphertext, 2, 12), 'escape'), '.', 1)::int from requests.exports "
        "where get_byte(ciphertext, 0) = ascii('p')",
        None,
        "Exports expire within seven days: repeat this then.",
    ),
)
