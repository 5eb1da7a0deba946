"""The consent ledger: one append-only statement after another, and what follows from them for a subject."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from consent.policies import policy_hash
from consent.purposes import needs_consent
from privacy.contracts import Purpose
from privacy.database import Role, connect

__all__ = [
    "ASSET_KEY",
    "ConsentRecord",
    "Decision",
    "LedgerError",
    "LedgerState",
    "append",
    "current",
    "history",
    "state",
    "withdraw_all",
]

ASSET_KEY = "consent/records"
_NOT_SHOWN = "none"  # a withdrawal answers to no version of the policy

_COLUMNS = (
    "pseudonym",
    "purpose",
    "decision",
    "stated_at",
    "mechanism",
    "policy_version",
    "source",
    "source_key",
    "proof",
    "language",
    "policy_sha256",
    "agreed_at",
)
_OPTIONAL = ("proof", "language", "policy_sha256", "agreed_at")
_DECISION = _COLUMNS.index("decision")
_POLICY_VERSION = _COLUMNS.index("policy_version")
_BATCH_ROWS = 10_000
# `received_at` is now(). An agreement dated ahead would outlast a refusal that follows it.
_NO_LATER = sql.SQL("case when decision = 'opt_in' then least(stated_at, now()) else stated_at end")


class LedgerError(ValueError):
    """A statement cannot enter the ledger; says which value is wrong and what is accepted."""


class Decision(StrEnum):
    """What a statement says."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One statement of one subject about one purpose.

    Attributes
    ----------
    stated_at: when the person said it, with a time zone; statements are ordered by it, not by their arrival. An agreement was
        made before it was received, whatever its clock said: the ledger keeps that time where `stated_at` is later.
    mechanism: how it was said (``banner``, ``privacy_centre``, ``assumed``).
    source, source_key: where the statement came from; a source_key enters the ledger once.
    proof: what shows that it was said, as it was received; no personal data.
    language: of the text that the person was shown, as in ``de``; None where it is not known.
    policy_sha256: hash of that text; found from the version and the language where the platform holds the text.
    agreed_at: of an expiry, when the agreement that ran out was stated (or renewed last).
    received_at: when the ledger took it in; it says so itself.
    """

    pseudonym: str = field(repr=False)
    purpose: Purpose
    decision: Decision
    stated_at: datetime
    mechanism: str
    policy_version: str
    source: str
    source_key: str = field(repr=False)
    proof: Mapping[str, Any] = field(default_factory=dict, repr=False)
    language: str | None = None
    policy_sha256: str | None = None
    agreed_at: datetime | None = None
    received_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """How far the ledger reached when something was built on it: its newest record's number and the time."""

    records: int
    at: datetime


def append(records: Sequence[ConsentRecord] | pa.Table) -> int:
    """Add statements to the ledger; returns how many were new.

    Parameters
    ----------
    records: a list, or an Arrow table with the columns of `ConsentRecord` (``proof``, JSON text, and what may be
        None in a record may be missing). A statement whose source_key is in the ledger already changes nothing.

    Each is chained to the one before in the same transaction; who else adds records waits for its end.

    Raises LedgerError where a purpose or a decision is unknown, or a time has no zone; nothing is added then.
    """
    rows = _table_rows(records) if isinstance(records, pa.Table) else _record_rows(records)
    with connect(Role.CONSENT) as connection, connection.cursor() as cursor:
        cursor.execute(
            "create temporary table incoming (pseudonym text, purpose text, decision text, stated_at timestamptz, "
            "mechanism text, policy_version text, source text, source_key text, proof jsonb, language text, "
            "policy_sha256 text, agreed_at timestamptz) on commit drop"
        )
        columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
        values = sql.SQL(", ").join(_NO_LATER if c == "stated_at" else sql.Identifier(c) for c in _COLUMNS)  # fmt: skip
        with cursor.copy(sql.SQL("copy incoming ({}) from stdin").format(columns)) as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            sql.SQL(
                "insert into consent.records ({}) select {} from incoming order by stated_at "
                "on conflict (source_key) do nothing"
            ).format(columns, values)
        )
        return cursor.rowcount


def current(pseudonym: str) -> frozenset[Purpose]:
    """The purposes that the subject agrees to now (those that need no consent are not listed)."""
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select purpose from consent.current where pseudonym = %s", [pseudonym]
        ).fetchall()
    return frozenset(Purpose(row[0]) for row in rows)


def history(pseudonym: str) -> list[ConsentRecord]:
    """Every statement of the subject, in the order in which they were made."""
    with connect(Role.CONSENT) as connection:
        rows = connection.execute(
            "select pseudonym, purpose, decision, stated_at, mechanism, policy_version, source, source_key, proof, "
            "language, policy_sha256, agreed_at, received_at from consent.records where pseudonym = %s order by stated_at, decision, record_id",
            [pseudonym],
        ).fetchall()
    return [ConsentRecord(row[0], Purpose(row[1]), Decision(row[2]), *row[3:]) for row in rows]


def withdraw_all(pseudonym: str, mechanism: str, source: str) -> int:
    """Refuse every purpose that needs consent and is not refused already; returns how many statements that took.

    They are stated now, or at the subject's newest statement where its clock was ahead: of two at one time the refusal wins.
    """
    before = history(pseudonym)
    last = {record.purpose: record.decision for record in before}
    at = max([datetime.now(UTC), *(record.stated_at for record in before)])
    return append(
        [
            ConsentRecord(
                pseudonym,
                purpose,
                Decision.OPT_OUT,
                at,
                mechanism,
                _NOT_SHOWN,
                source,
                str(uuid4()),
            )
            for purpose in Purpose
            if needs_consent(purpose) and last.get(purpose) is not Decision.OPT_OUT
        ]
    )


def state() -> LedgerState:
    """How far the ledger reaches now (0 records: it is empty)."""
    with connect(Role.CONSENT) as connection:
        row = connection.execute(
            "select coalesce(max(record_id), 0), now() from consent.records"
        ).fetchone()
    assert row is not None
    return LedgerState(*row)


def _record_rows(records: Iterable[ConsentRecord]) -> Iterator[tuple[Any, ...]]:
    for record in records:
        if record.stated_at.tzinfo is None:
            raise LedgerError(
                f"A consent statement's time {record.stated_at.isoformat()} has no time zone: give it in UTC."
            )
        _check_expiry(record.decision, record.agreed_at)
        yield (
            record.pseudonym,
            _known(Purpose, record.purpose),
            _known(Decision, record.decision),
            record.stated_at,
            record.mechanism,
            record.policy_version,
            record.source,
            record.source_key,
            json.dumps(dict(record.proof)),
            record.language,
            record.policy_sha256 or policy_hash(record.policy_version, record.language),
            record.agreed_at,
        )


def _table_rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    if missing := set(_COLUMNS) - set(_OPTIONAL) - set(table.column_names):
        raise LedgerError(f"Consent statements lack the columns {', '.join(sorted(missing))}.")
    if table.schema.field("stated_at").type.tz is None:
        raise LedgerError("The column stated_at of consent statements has no time zone: give UTC.")
    for kind, name in ((Purpose, "purpose"), (Decision, "decision")):
        for value in pc.unique(table[name]).to_pylist():
            _known(kind, value)
    for name in set(_OPTIONAL) - set(table.column_names):
        table = table.append_column(name, pa.nulls(table.num_rows))
    for batch in table.select(_COLUMNS).to_batches(max_chunksize=_BATCH_ROWS):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            *said, proof, language, policy_sha256, agreed_at = row
            _check_expiry(said[_DECISION], agreed_at)
            known = policy_sha256 or policy_hash(row[_POLICY_VERSION], language)
            yield (*said, proof or "{}", language, known, agreed_at)


def _check_expiry(decision: str, agreed_at: datetime | None) -> None:
    if (decision == Decision.EXPIRED) != (agreed_at is not None):
        raise LedgerError(
            "A consent statement has an agreed_at exactly where its decision is 'expired': it says which agreement ran out."
        )


def _known(kind: type[Purpose] | type[Decision], value: str) -> str:
    try:
        return kind(value).value
    except ValueError as error:
        raise LedgerError(
            f"Unknown {kind.__name__.lower()} {value!r} in a consent statement: "
            f"accepted are {', '.join(kind)}."
        ) from error
