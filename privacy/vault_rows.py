"""The statements of the vault over its tables; hashes, ciphertexts and pseudonyms pass here, never an identifier."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString, NamedTuple

import psycopg

from privacy.keys import KeyName

__all__ = [
    "NewIdentifier",
    "NewSubject",
    "Owner",
    "contest",
    "creating",
    "insert",
    "owners",
    "remove",
    "remove_others",
    "required_version",
    "wrapped_keys",
]

_CREATING = 0x53564C56  # advisory lock: one creator of pseudonyms and links at a time
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, flags, length of an extension
_END = struct.pack(">h", -1)
_SUBJECT_HEAD, _INT4 = struct.Struct(">hi32si"), struct.Struct(">ii")
_LOOKUP = 32  # bytes of HMAC-SHA256
_PSEUDONYM_DIGITS = 32
_IDENTIFIER_HEAD, _PSEUDONYM = struct.Struct(">hi32siii"), struct.Struct(">i32si")


class Owner(NamedTuple):
    """Whom an identifier leads to, and whether another subject claims it as well."""

    pseudonym: str
    contested: bool


class NewSubject(NamedTuple):
    """A row of ``vault.subjects``."""

    pseudonym: str
    wrapped_key: bytes
    wrapping_key_version: int


class NewIdentifier(NamedTuple):
    """A row of ``vault.identifiers``."""

    lookup: bytes
    lookup_key_version: int
    kind: str
    pseudonym: str
    sealed: bytes


def creating(connection: psycopg.Connection[Any]) -> None:
    """Hold, until the transaction ends, the sole right to add subjects and identifiers."""
    connection.execute("select pg_advisory_xact_lock(%s)", [_CREATING])


def required_version(connection: psycopg.Connection[Any], name: KeyName) -> int:
    """The version under which new rows are written, as the last rotation registered it; 0 before any."""
    row = connection.execute(
        "select coalesce(max(version), 0) from vault.key_versions where name = %s", [name]
    ).fetchone()
    assert row is not None
    return int(row[0])


def owners(
    connection: psycopg.Connection[Any], lookups: Sequence[Sequence[bytes]]
) -> dict[int, Owner]:
    """Position to owner, for those identifiers (each given by its hash under every key version) that are stored."""
    if not lookups:
        return {}
    versions = len(lookups[0])
    # One row of aggregates, and one value for all hashes: what psycopg does for each value is most of the time otherwise.
    found = connection.execute(
        "select array_agg(n / %s), string_agg(i.pseudonym, ''), array_agg(i.contested) "
        "from generate_series(0, %s) as n join vault.identifiers i on i.lookup = substring(%b from n * %s + 1 for %s)",
        [
            versions,
            versions * len(lookups) - 1,
            b"".join(lookup for several in lookups for lookup in several),
            _LOOKUP,
            _LOOKUP,
        ],
        binary=True,
    ).fetchone()
    assert found is not None
    positions, joined, contested = found
    if positions is None:
        return {}
    names = [joined[at : at + _PSEUDONYM_DIGITS] for at in range(0, len(joined), _PSEUDONYM_DIGITS)]
    return dict(zip(positions, map(Owner, names, contested), strict=True))


def insert(
    connection: psycopg.Connection[Any],
    subjects: Sequence[NewSubject],
    identifiers: Sequence[NewIdentifier],
) -> None:
    """Add subjects, then identifiers, by COPY."""
    _copy(
        connection,
        "copy vault.subjects (pseudonym, wrapped_key, wrapping_key_version) from stdin (format binary)",
        (_subject(row) for row in subjects),
    )
    _copy(
        connection,
        "copy vault.identifiers (lookup, lookup_key_version, kind, pseudonym, sealed) from stdin (format binary)",
        (_identifier(row) for row in identifiers),
    )


def _copy(
    connection: psycopg.Connection[Any], statement: LiteralString, rows: Iterable[bytes]
) -> None:
    """COPY of rows in Postgres' binary format (number of fields, then length and bytes of each).

    It is made here, since `psycopg.Copy.write_row` takes four times as long.
    """
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_HEADER + b"".join(rows) + _END)


def _subject(row: NewSubject) -> bytes:
    pseudonym, wrapped, version = row
    head = _SUBJECT_HEAD.pack(3, len(pseudonym), pseudonym.encode(), len(wrapped))
    return head + wrapped + _INT4.pack(4, version)


def _identifier(row: NewIdentifier) -> bytes:
    lookup, version, kind, pseudonym, sealed = row
    head = _IDENTIFIER_HEAD.pack(5, len(lookup), lookup, 4, version, len(kind))
    return head + kind.encode() + _PSEUDONYM.pack(len(pseudonym), pseudonym.encode(), len(sealed)) + sealed  # fmt: skip


def contest(connection: psycopg.Connection[Any], lookups: Sequence[bytes]) -> int:
    """Mark identifiers as claimed by more than one subject; returns how many were not yet."""
    return connection.execute(
        "update vault.identifiers set contested = true where lookup = any(%b::bytea[]) and not contested",
        [list(lookups)],
    ).rowcount


def remove(
    connection: psycopg.Connection[Any], lookups: Sequence[bytes], pseudonym: str | None = None
) -> int:
    """Delete identifiers, of one subject where one is given; returns how many there were."""
    return connection.execute(
        "delete from vault.identifiers where lookup = any(%b::bytea[]) and pseudonym = coalesce(%s, pseudonym)",
        [list(lookups), pseudonym],
    ).rowcount


def remove_others(
    connection: psycopg.Connection[Any], pseudonym: str, kind: str, lookups: Sequence[bytes]
) -> int:
    """Delete a subject's identifiers of one kind but those with these hashes; returns how many there were."""
    return connection.execute(
        "delete from vault.identifiers where pseudonym = %s and kind = %s and not lookup = any(%b::bytea[])",
        [pseudonym, kind, list(lookups)],
    ).rowcount


def wrapped_keys(
    connection: psycopg.Connection[Any], pseudonyms: Sequence[str]
) -> list[tuple[str, bytes, int]]:
    """Pseudonym, wrapped data key and its wrapping key's version, of each subject that exists."""
    return connection.execute(
        "select pseudonym, wrapped_key, wrapping_key_version from vault.subjects where pseudonym = any(%s)",
        [list(pseudonyms)],
    ).fetchall()
