"""The document of an export, as data: what is held in each asset, since when, why, until when, and who received it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from privacy import duties
from privacy.contracts import AssetContract, LegalBasis, Purpose, Retention
from privacy.controller import Recipient

__all__ = ["PURPOSES", "asset_entry", "document", "nobody_held", "portable_rows", "with_rows"]

PURPOSES: dict[Purpose, str] = {
    Purpose.PERSONALISATION: "Showing you products that suit your taste",
    Purpose.MODEL_TRAINING: "Teaching the shop's recommendations",
    Purpose.ANALYTICS: "The shop's statistics",
    Purpose.EXPERIMENTATION: "Comparing versions of the shop",
    Purpose.MARKETING_EMAIL: "E-mails about products and offers",
    Purpose.SERVICE: "Your orders, invoices, returns and requests",
}
_BASES: dict[LegalBasis, str] = {
    LegalBasis.CONSENT: "Your consent, Art. 6(1)(a) GDPR",
    LegalBasis.CONTRACT: "The contract with you, Art. 6(1)(b) GDPR",
    LegalBasis.LEGAL_OBLIGATION: "A legal obligation, Art. 6(1)(c) GDPR",
    LegalBasis.VITAL_INTERESTS: "Vital interests, Art. 6(1)(d) GDPR",
    LegalBasis.PUBLIC_TASK: "A public task, Art. 6(1)(e) GDPR",
    LegalBasis.LEGITIMATE_INTERESTS: "Legitimate interests, Art. 6(1)(f) GDPR",
}
_RIGHTS = (
    "You may have wrong data corrected (Art. 16), data erased (Art. 17) and its use restricted (Art. 18).",
    "You may receive what you provided in a machine-readable form (Art. 20), and object to profiling at any time (Art. 21).",
    "You may withdraw each consent at any time; what was done before stays lawful (Art. 7(3)).",
    "You may complain to a data protection authority, above all to that of the place where you live (Art. 77).",
)
# When a row was written, or what it tells of happened; the first that a row has.
_TIMES = (
    "ingested_at",
    "created",
    "received_at",
    "stated_at",
    "updated_at",
    "event_timestamp",
    "rectified_at",
)
# What the platform adds to a row for itself.
_INTERNAL = frozenset({"source", "source_key", "ingested_at", "created", "session"})
_CATEGORIES = {
    "none": "no personal data",
    "aggregate": "figures about groups of ten or more",
    "pseudonymous": "under a random pseudonym",
    "direct": "directly identifying, encrypted",
    "sensitive": "sensitive, under a random pseudonym",
}
Kind = Literal["access", "portability"]


def document(
    kind: Kind,
    request_id: object,
    assets: Sequence[dict[str, Any]],
    recipients: Sequence[Recipient] = (),
    why: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole document; who receives data and `why` items are recommended are told for access only."""
    title = {
        "access": "Everything that is held about you, by asset (Art. 15 GDPR)",
        "portability": "What you provided, by asset (Art. 20 GDPR)",
    }
    content: dict[str, Any] = {
        "document": title[kind],
        "kind": kind,
        "request_id": str(request_id),
        "generated": datetime.now(UTC).isoformat(),
        "assets": list(assets),
    }
    if kind == "access":
        content["recommendations"] = dict(why) if why else None
        content["recipients"] = [
            recipient.model_dump(exclude={"assets", "purposes"}) for recipient in recipients
        ]
        content["rights"] = list(_RIGHTS)
    return content


def asset_entry(contract: AssetContract, recipients: Sequence[Recipient]) -> dict[str, Any]:
    """What an asset is, for what, how long and for whom it is kept: the part of the document that names no person."""
    retention = contract.retention
    return {
        "asset": contract.key,
        "description": contract.description,
        "category": contract.category.value,
        "category_text": _CATEGORIES[contract.category.value],
        "purposes": [purpose.value for purpose in contract.purposes],
        "purposes_text": [PURPOSES[purpose] for purpose in contract.purposes],
        "legal_basis": contract.legal_basis.value if contract.legal_basis else None,
        "legal_basis_text": _BASES[contract.legal_basis] if contract.legal_basis else None,
        "kept_for_days": retention.days if retention else None,
        "kept_since": retention.column if retention else None,
        "kept_from_year_end": bool(retention and retention.year_end_in),
        "held_since": None,
        "kept_until": None,
        "recipients": [who.name for who in recipients if who.receives(contract)],
        "held": 0,
        "rows": [],
        **({"kept_by_law": duties.describe(contract.duty)} if contract.duty else {}),
        **({} if contract.holds_subjects else {"reason": nobody_held(contract)}),
    }


def nobody_held(contract: AssetContract) -> str:
    """Why no single person can be found in an asset."""
    return contract.reason or "Aggregated over groups: no single person can be found in it."


def with_rows(
    entry: dict[str, Any], contract: AssetContract, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Put a person's rows into an asset's entry, with the time of the first and the day on which the last one goes."""
    entry["rows"] = [dict(row) for row in rows]
    entry["held"] = len(rows)
    times = [time for row in rows if (time := _time(row)) is not None]
    entry["held_since"] = min(times).isoformat() if times else None
    if contract.retention is not None and rows:
        entry["kept_until"] = _last_day(rows, contract.retention)


def portable_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the columns that the platform added."""
    return [{name: value for name, value in row.items() if name not in _INTERNAL} for row in rows]


def _time(row: Mapping[str, Any]) -> datetime | None:
    return next((time for name in _TIMES if (time := _moment(row.get(name)))), None)


def _last_day(rows: Sequence[Mapping[str, Any]], retention: Retention) -> str | None:
    """The day after which no row is kept; None where it is counted from the last time that a row was written."""
    column = retention.column
    starts = [
        start
        for row in rows
        if (start := _moment(row.get(column)) if column else _time(row)) is not None
    ]
    if len(starts) < len(rows):
        return None
    return retention.last_day(max(starts)).isoformat()


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
