"""The audit log of what was done with people's data: who did what and when, never about whom.

Its entries are a chain: the database gives each the hash of the one before it, so that one that is changed, removed or moved
shows. `check` computes the chain again, without the database's functions. A chain that was cut off at the end, or written anew, is
whole in itself; it shows by the certificates of erasure, each of which names its own entry: those that the database keeps, and
those that others were given.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from privacy.database import Role, connect

__all__ = ["AuditError", "AuditReport", "Entry", "Link", "check", "entry_hash", "find", "record"]

# A pseudonym is 32 hexadecimal digits on their own; a UUID, written with hyphens, is not one.
_PSEUDONYM = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


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
class Link:
    """What something outside the log says of one of its entries; `named_by` says what."""

    entry_id: int
    hash: bytes
    named_by: str


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
    if _PSEUDONYM.search(text):
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


def check(links: Iterable[Link] = ()) -> AuditReport:
    """Compute the whole chain again; each entry that was changed, removed, exchanged or put in is named.

    Every certificate that the database keeps must find its entry in the log, and so must `links`: those of certificates kept
    elsewhere, which a log that was cut off together with its certificates does not know.
    """
    stored, faults = _stored_links()  # read first: what is certified from now on is not looked for
    wanted: dict[int, list[Link]] = {}
    for link in (*stored, *links):
        wanted.setdefault(link.entry_id, []).append(link)
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
        faults += [
            f"entry {entry.entry_id} is not the one that {link.named_by} names: the log was written anew"
            for link in wanted.pop(entry.entry_id, [])
            if link.hash != entry.hash
        ]
        number, prev = entry.entry_id, entry.hash
    faults += [
        f"entry {link.entry_id}, which {link.named_by} names, is missing: the log was cut off"
        for several in wanted.values()
        for link in several
    ]
    return AuditReport(count, prev, tuple(faults))


def _stored_links() -> tuple[list[Link], list[str]]:
    """What the certificates in the database say of the log, and those that say nothing any more."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select request_id, certificate from requests.certificates order by issued"
        ).fetchall()
    links: list[Link] = []
    faults: list[str] = []
    for request_id, certificate in rows:
        name = f"the certificate of request {request_id}"
        try:
            link = json.loads(certificate)["audit"]
            links.append(Link(int(link["entry"]), bytes.fromhex(link["hash"]), name))
        except (KeyError, TypeError, ValueError):
            faults.append(f"{name} names no entry: it was changed")
    return links, faults


def _entries() -> Iterator[Entry]:
    with connect(Role.PRIVACY) as connection, connection.cursor("audit_log") as cursor:
        cursor.itersize = _PAGE
        cursor.execute(f"select {_ENTRY} from audit.log order by entry_id")  # noqa: S608 (constant column names)
        for row in cursor:
            yield Entry(*row)
