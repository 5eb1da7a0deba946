"""The audit log of what was done with people's data: who did what and when, never about whom.

Its entries are a chain: the database gives each the hash of the one before it, so that one that is changed, removed or moved
shows. `check` computes the chain again, without the database's functions. What was cut off at the end shows in whatever
names a later entry: each certificate of erasure names its own.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from privacy.database import Role, connect
from privacy.pseudonym_texts import names_somebody

__all__ = ["AuditError", "AuditReport", "Entry", "check", "entry_hash", "find", "record"]

_ENTRY = "entry_id, at, actor, action, detail::text, prev_hash, hash"
_GENESIS = hashlib.sha256(b"selvedge audit log").digest()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 10_000


class AuditError(ValueError):
    """An entry would have named a person; says which action."""


@dataclass(frozen=True)
class Entry:
    """One entry of the chain; `detail` is the text that is hashed."""

    entry_id: int
    at: datetime
    actor: str
    action: str
    detail: str
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class AuditReport:
    """What a check of the chain found; it holds where `faults` is empty. `head` is the newest entry's hash."""

    entries: int
    head: bytes
    faults: tuple[str, ...]


def record(
    actor: str,
    action: str,
    detail: Mapping[str, Any],
    connection: psycopg.Connection[Any] | None = None,
) -> Entry:
    """Append one entry, in the transaction of `connection` where one is given; others wait for it to end.

    `detail` holds request ids, asset keys and counts. Raises AuditError where it holds what looks like a pseudonym.
    """
    text = json.dumps(detail, sort_keys=True)
    if names_somebody(text):
        raise AuditError(
            f"The audit entry '{action}' would hold a pseudonym: record the request's id and counts instead."
        )
    if connection is None:
        with connect(Role.PRIVACY) as own:
            return _insert(own, actor, action, text)
    return _insert(connection, actor, action, text)


def _insert(connection: psycopg.Connection[Any], actor: str, action: str, detail: str) -> Entry:
    row = connection.execute(
        f"insert into audit.log (actor, action, detail) values (%s, %s, %s) returning {_ENTRY}",  # noqa: S608 (constant column names)
        [actor, action, detail],
    ).fetchone()
    assert row is not None
    return Entry(*row)


def entry_hash(
    prev_hash: bytes, entry_id: int, at: datetime, actor: str, action: str, detail: str
) -> bytes:
    """The hash of an entry: SHA-256 over the hash before it and its fields, as migration 0006 computes it."""
    microseconds = (at - _EPOCH) // timedelta(microseconds=1)
    names = [f"{len(name.encode())}:{name}" for name in (actor, action)]
    fields = "\n".join([str(entry_id), str(microseconds), *names, detail])
    return hashlib.sha256(prev_hash + fields.encode()).digest()


def find(entry_id: int) -> Entry | None:
    """One entry; None where there is none."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            f"select {_ENTRY} from audit.log where entry_id = %s",  # noqa: S608 (constant column names)
            [entry_id],
        ).fetchone()
    return Entry(*row) if row else None


def check() -> AuditReport:
    """Compute the whole chain again; each entry that was changed, removed or put in is named."""
    faults: list[str] = []
    count, number, prev = 0, 0, _GENESIS
    for entry in _entries():
        count += 1
        if entry.prev_hash != prev:
            faults.append(
                f"entry {entry.entry_id} does not follow entry {number}: one between them was removed, or one was moved"
                if number
                else f"entry {entry.entry_id} is not the first one: those before it were removed"
            )
        fields = (entry.entry_id, entry.at, entry.actor, entry.action, entry.detail)
        if entry_hash(entry.prev_hash, *fields) != entry.hash:
            faults.append(
                f"entry {entry.entry_id} was changed: its hash is not that of its content"
            )
        number, prev = entry.entry_id, entry.hash
    return AuditReport(count, prev, tuple(faults))


def _entries() -> Iterator[Entry]:
    with connect(Role.PRIVACY) as connection, connection.cursor("audit_log") as cursor:
        cursor.itersize = _PAGE
        cursor.execute(f"select {_ENTRY} from audit.log order by entry_id")  # noqa: S608 (constant column names)
        for row in cursor:
            yield Entry(*row)
