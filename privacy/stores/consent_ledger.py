"""The consent ledger: a record leaves through an erasure that is noted, signed and in the audit log, and its link stays.

The link (a number, a salted commitment and a hash) holds nothing of the person: the salt goes with the record, so that not
even who knows what it said could show that it was theirs. What stays proves that the chain lost this record lawfully.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from privacy import audit
from privacy.contracts import AssetContract
from privacy.database import Role, connect
from privacy.signing import key_id, public_key_pem, sign
from privacy.stores.postgres import PostgresHandler

__all__ = ["AUDIT_ACTION", "ConsentLedgerHandler", "erasure_message", "remove_records"]

AUDIT_ACTION = "erased from the consent ledger"
_ACTOR = "privacy"


class ConsentLedgerHandler(PostgresHandler):
    """Rows of the ledger, which go with a note and leave their links behind."""

    def export(self, contract: AssetContract, pseudonym: str) -> list[dict[str, Any]]:
        """The subject's statements; the salt is the chain's, and says nothing of them."""
        return [
            {name: value for name, value in row.items() if name != "salt"}
            for row in super().export(contract, pseudonym)
        ]

    def erase(self, contract: AssetContract, pseudonyms: Sequence[str]) -> int:
        """Delete the subjects' records under one note; raises SigningError where it cannot be signed."""
        with connect(Role.PRIVACY) as connection:
            rows = connection.execute(
                "select record_id from consent.records where pseudonym = any(%s)",
                [list(pseudonyms)],
            ).fetchall()
            return remove_records(connection, [row[0] for row in rows])


def remove_records(connection: psycopg.Connection[Any], record_ids: Sequence[int]) -> int:
    """Take records out of the ledger in the transaction of `connection` (of the privacy role); returns how many went.

    For whatever may remove records: an erasure, and the end of their retention.
    """
    numbers = [
        row[0]
        for row in connection.execute(
            "select number from consent.links join consent.records using (record_id) "
            "where record_id = any(%s) order by number",
            [list(record_ids)],
        )
    ]
    if not numbers:
        return 0
    reference, erased_at = uuid4(), datetime.now(UTC)
    signature = sign(erasure_message(reference, erased_at, numbers))
    connection.execute(
        "insert into consent.erasures (reference, erased_at, records, key_id, signature) values (%s, %s, %s, %s, %s)",
        [reference, erased_at, len(numbers), key_id(public_key_pem()), signature],
    )
    connection.execute(
        "insert into consent.erased (number, reference) select n, %s from unnest(%s::bigint[]) as n",
        [reference, numbers],
    )
    audit.record(
        _ACTOR, AUDIT_ACTION, {"reference": str(reference), "records": len(numbers)}, connection
    )
    return connection.execute(
        "delete from consent.records where record_id = any(%s)", [list(record_ids)]
    ).rowcount


def erasure_message(reference: UUID, erased_at: datetime, numbers: Iterable[int]) -> bytes:
    """What is signed of an erasure: its reference, its time, and the numbers of the records in ascending order."""
    listed = hashlib.sha256(",".join(map(str, numbers)).encode()).hexdigest()
    at = erased_at.astimezone(UTC).isoformat(timespec="microseconds")
    return f"selvedge/consent-erasure/1\n{reference}\n{at}\n{listed}\n".encode()
