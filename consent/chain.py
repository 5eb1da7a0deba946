"""The ledger's hash chain: how a record becomes a link, and the signed head that a day ends with.

Postgres chains records as they are added (migration 0005), whoever adds them; this module computes the same, so that what is
stored can be checked without it. A record's commitment is SHA-256 over its salt (16 bytes) and its canonical form; a link's hash
is SHA-256 over the hash before it, the record's number and id (8 bytes each, big-endian) and the commitment. The canonical
form is a name, then each field as its length in bytes, a colon and its UTF-8, or a hyphen where it is null; times are
microseconds since 1970 in UTC, the proof is the text in which Postgres shows it.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any
from uuid import UUID

from privacy.database import Role, connect
from privacy.signing import key_id, public_key_pem, sign

__all__ = ["FIELDS", "GENESIS", "Head", "commitment", "latest_head", "link_hash", "sign_head"]

FIELDS = (
    "record_id",
    "pseudonym",
    "purpose",
    "decision",
    "stated_at",
    "received_at",
    "agreed_at",
    "mechanism",
    "language",
    "policy_version",
    "policy_sha256",
    "source",
    "source_key",
    "proof",
)
"""The fields of the canonical form, in its order."""
GENESIS = hashlib.sha256(b"selvedge/consent-chain/1").digest()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_POSITION = Struct(">qq")


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's end at a time: its last record's number and hash, signed."""

    number: int
    hash: bytes
    signed_at: datetime
    key_id: str
    signature: bytes = field(repr=False)

    @property
    def message(self) -> bytes:
        """What is signed."""
        at = self.signed_at.astimezone(UTC).isoformat(timespec="microseconds")
        return f"selvedge/consent-head/1\n{self.number}\n{self.hash.hex()}\n{at}\n".encode()

    def document(self) -> dict[str, object]:
        """As JSON, for whoever keeps heads outside of the platform."""
        return {
            "number": self.number,
            "hash": self.hash.hex(),
            "signed_at": self.signed_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "key_id": self.key_id,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Head":
        """The head in `document`; raises ValueError, KeyError or TypeError where it is none."""
        return cls(
            int(document["number"]),
            bytes.fromhex(document["hash"]),
            datetime.fromisoformat(document["signed_at"]),
            str(document["key_id"]),
            bytes.fromhex(document["signature"]),
        )


def commitment(salt: UUID, values: tuple[Any, ...]) -> bytes:
    """The commitment to a record: `values` are its `FIELDS`, the proof as Postgres's text."""
    canonical = "selvedge/consent-record/1" + "".join(map(_canonical, values))
    return hashlib.sha256(salt.bytes + canonical.encode()).digest()


def link_hash(previous: bytes, number: int, record_id: int, committed: bytes) -> bytes:
    """The hash of a link from that of the link before it."""
    return hashlib.sha256(previous + _POSITION.pack(number, record_id) + committed).digest()


def sign_head() -> Head:
    """Sign the chain's present end and keep it; raises SigningError where there is no key to sign with."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select number, hash from consent.links order by number desc limit 1"
        ).fetchone()
        number, digest = row or (0, GENESIS)
        unsigned = Head(number, bytes(digest), datetime.now(UTC), key_id(public_key_pem()), b"")
        head = Head(
            unsigned.number,
            unsigned.hash,
            unsigned.signed_at,
            unsigned.key_id,
            sign(unsigned.message),
        )
        connection.execute(
            "insert into consent.heads (number, hash, signed_at, key_id, signature) values (%s, %s, %s, %s, %s)",
            [head.number, head.hash, head.signed_at, head.key_id, head.signature],
        )
    return head


def latest_head() -> Head | None:
    """The head that was signed last; None where none was."""
    with connect(Role.CONSENT) as connection:
        row = connection.execute(
            "select number, hash, signed_at, key_id, signature from consent.heads order by head_id desc limit 1"
        ).fetchone()
    return Head(row[0], bytes(row[1]), row[2], row[3], bytes(row[4])) if row else None


def _canonical(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            text = str((value - _EPOCH) // _MICROSECOND)
        case _:
            text = str(value)
    return f"{len(text.encode())}:{text}"
