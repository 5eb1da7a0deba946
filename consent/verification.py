"""Checks the ledger against its chain: every record edited, removed, moved or cut off is named by its number.

The check recomputes everything from what is stored and trusts the public key alone. A record that is gone is lawful where a
signed note of its erasure names it and the audit log has the erasure; any other is a finding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

import psycopg

from consent.chain import FIELDS, GENESIS, Head, commitment, link_hash
from privacy.database import Role, connect
from privacy.signing import InvalidSignatureError, key_id, public_key_pem, verify
from privacy.stores.consent_ledger import AUDIT_ACTION, erasure_message

__all__ = ["ChainReport", "verify_chain"]

_BATCH = 20_000
_RECORD = ", ".join(f"r.{name}::text" if name == "proof" else f"r.{name}" for name in FIELDS)
_LINKS = (
    "select l.number, l.record_id, l.commitment, l.hash, e.reference, r.salt, "  # noqa: S608
    f"{_RECORD} from consent.links l left join consent.records r using (record_id) "
    "left join consent.erased e on e.number = l.number order by l.number"
)
Progress = Callable[[int, int], None]


@dataclass
class ChainReport:
    """What a check saw.

    Attributes
    ----------
    records: links that were checked, those of erased records included.
    erased: records that left through a noted erasure.
    heads: signed heads that were checked.
    signed_until: number of the last record under a valid signature.
    findings: one sentence for each thing that is wrong, with the number of the record.
    """

    records: int = 0
    erased: int = 0
    heads: int = 0
    signed_until: int = 0
    findings: list[str] = field(default_factory=list)


def verify_chain(
    public_keys: Sequence[bytes] = (),
    kept_heads: Sequence[Head] = (),
    progress: Progress = lambda done, total: None,
) -> ChainReport:
    """Check every record, erasure and head; the ledger is sound where `findings` is empty.

    Parameters
    ----------
    public_keys: PEM of each key that signed; the platform's own where none is given.
    kept_heads: heads that were kept outside, checked like those of the database.
    progress: called with how many of how many links were checked.
    """
    keys = {key_id(pem): pem for pem in public_keys or [public_key_pem()]}
    report = ChainReport()
    with connect(Role.PRIVACY) as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        lawful = _lawful_erasures(connection, keys, report)
        heads = _heads(connection, keys, kept_heads, report)
        _check_links(connection, lawful, heads, report, progress)
        _check_unlinked(connection, report)
    return report


def _lawful_erasures(
    connection: psycopg.Connection[Any], keys: Mapping[str, bytes], report: ChainReport
) -> dict[UUID, str]:
    """What is wrong with each erasure's note, by its reference; an empty text: nothing."""
    logged = {
        (row[0], row[1])
        for row in connection.execute(
            "select detail ->> 'reference', (detail ->> 'records')::bigint from audit.log where action = %s",
            [AUDIT_ACTION],
        )
    }
    noted = connection.execute(
        "select n.reference, n.erased_at, n.records, n.key_id, n.signature, "
        "coalesce(array_agg(e.number order by e.number) filter (where e.number is not null), '{}') "
        "from consent.erasures n left join consent.erased e using (reference) group by n.reference"
    ).fetchall()
    found: dict[UUID, str] = {}
    for reference, erased_at, records, signer, signature, numbers in noted:
        message = erasure_message(reference, erased_at, numbers)
        wrong = _unsigned(keys, signer, message, bytes(signature))
        if not wrong and (str(reference), records) not in logged:
            wrong = "has no entry in the audit log"
        found[reference] = wrong
        if wrong:
            report.findings.append(f"The note of erasure {reference} ({records} records) {wrong}.")
    return found


def _heads(
    connection: psycopg.Connection[Any],
    keys: Mapping[str, bytes],
    kept: Sequence[Head],
    report: ChainReport,
) -> dict[int, list[Head]]:
    """The heads with a valid signature, by the number of their record."""
    stored = [
        Head(row[0], bytes(row[1]), row[2], row[3], bytes(row[4]))
        for row in connection.execute(
            "select number, hash, signed_at, key_id, signature from consent.heads"
        )
    ]
    valid: dict[int, list[Head]] = {}
    for head in [*stored, *kept]:
        report.heads += 1
        if wrong := _unsigned(keys, head.key_id, head.message, head.signature):
            report.findings.append(
                f"The head of {_day(head)}, over the records up to {head.number}, {wrong}."
            )
        else:
            valid.setdefault(head.number, []).append(head)
    return valid


def _unsigned(keys: Mapping[str, bytes], signer: str, message: bytes, signature: bytes) -> str:
    """What is wrong with a signature, as the end of a sentence; empty: nothing."""
    if signer not in keys:
        return f"is signed by the key {signer}, whose public key was not given"
    try:
        verify(keys[signer], message, signature)
    except InvalidSignatureError:
        return "does not bear a valid signature"
    return ""


def _check_links(
    connection: psycopg.Connection[Any],
    lawful: Mapping[UUID, str],
    heads: Mapping[int, list[Head]],
    report: ChainReport,
    progress: Progress,
) -> None:
    row = connection.execute("select count(*) from consent.links").fetchone()
    total, previous, last = int(row[0]) if row else 0, GENESIS, 0
    _check_heads(heads.get(0, ()), 0, GENESIS, report)
    for number, record_id, committed, digest, *record in _links(connection):
        report.records += 1
        if number != last + 1:
            report.findings.append(_missing(last + 1, number - 1))
        elif link_hash(previous, number, record_id, bytes(committed)) != bytes(digest):
            report.findings.append(
                f"Record {number}: its link does not follow from the one before; the link was changed, moved or replaced."
            )
        _check_record(number, bytes(committed), record, lawful, report)
        _check_heads(heads.get(number, ()), number, bytes(digest), report)
        previous, last = bytes(digest), number
        if report.records % _BATCH == 0:
            progress(report.records, total)
    progress(report.records, total)
    _check_end(heads, last, report)


def _links(connection: psycopg.Connection[Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor("links") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(_LINKS)
        yield from cursor


def _check_record(
    number: int,
    committed: bytes,
    record: Sequence[Any],
    lawful: Mapping[UUID, str],
    report: ChainReport,
) -> None:
    reference, salt, *values = record
    if salt is None:
        if reference is None:
            report.findings.append(f"Record {number} was removed: no erasure names it.")
        elif wrong := lawful.get(reference, "does not exist"):
            report.findings.append(
                f"Record {number} was removed: the note of erasure {reference}, which names it, {wrong}."
            )
        else:
            report.erased += 1
    elif reference is not None:
        report.findings.append(f"Record {number} is noted as erased, but it is there.")
    elif commitment(salt, tuple(values)) != committed:
        report.findings.append(f"Record {number} was edited after it was received.")


def _check_heads(heads: Sequence[Head], number: int, digest: bytes, report: ChainReport) -> None:
    for head in heads:
        if head.hash == digest:
            report.signed_until = max(report.signed_until, number)
        else:
            report.findings.append(
                f"Record {number} or one before it was replaced: the head signed on {_day(head)} is another."
            )


def _check_end(heads: Mapping[int, list[Head]], last: int, report: ChainReport) -> None:
    cut = [head for number, several in heads.items() if number > last for head in several]
    if cut:
        newest = max(cut, key=lambda head: head.number)
        report.findings.append(
            f"{_missing(last + 1, newest.number)} They were under the head signed on {_day(newest)}."
        )


def _check_unlinked(connection: psycopg.Connection[Any], report: ChainReport) -> None:
    """Records that no link knows: put in around the chain, or left by a link that was removed."""
    rows = connection.execute(
        "select record_id from consent.records r where not exists "
        "(select from consent.links l where l.record_id = r.record_id) order by record_id"
    ).fetchall()
    for _, some in groupby(enumerate(row[0] for row in rows), lambda pair: pair[1] - pair[0]):
        ids = [record_id for _, record_id in some]
        shown = f"id {ids[0]}" if len(ids) == 1 else f"ids {ids[0]} to {ids[-1]}"
        report.findings.append(f"Record with {shown}: there, but in no link of the chain.")


def _missing(first: int, last: int) -> str:
    if first == last:
        return f"Record {first} is missing with its link."
    return f"Records {first} to {last} are missing with their links."


def _day(head: Head) -> str:
    return f"{head.signed_at:%Y-%m-%d %H:%M} UTC"
