"""Access (Art. 15): one document with everything that every asset holds about a person, encrypted until it is fetched."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from privacy import duties, request_steps, tombstones
from privacy.contracts import AssetContract
from privacy.database import Role, connect
from privacy.fingerprints import seal, stand_in, unseal
from privacy.presence import is_present
from privacy.registry import Registry
from privacy.request_steps import Subject
from privacy.stores import handler_for
from privacy.stores.base import plain
from privacy.vault import Vault

__all__ = ["EXPORT_LIFETIME", "collect", "describe_contract", "drop_expired", "open_export"]

EXPORT_LIFETIME = timedelta(days=7)
_COLUMN = "access export"
# First byte of a stored export: by whose key it is encrypted.
_SUBJECT_KEY, _PLATFORM_KEY = b"s", b"p"


def collect(subject: Subject, registry: Registry) -> bool:
    """Ask every asset, and keep the answer encrypted for `EXPORT_LIFETIME`; False where an asset did not answer.

    An asset that holds nobody is listed with the reason, so that the document is complete.
    """
    assets: list[dict[str, Any]] = []
    complete = True
    for contract in registry.contracts:
        entry = describe_contract(contract)
        if contract in registry.holding_subjects:
            complete &= _add_rows(subject, contract, entry)
        assets.append(entry)
    if complete:
        _store(subject, _document(assets))
    return complete


def _add_rows(subject: Subject, contract: AssetContract, entry: dict[str, Any]) -> bool:
    def action(pseudonyms: Sequence[str]) -> dict[str, int]:
        entry["rows"] = handler_for(contract).export(contract, pseudonyms[0])
        entry["held"] = len(entry["rows"])
        return {pseudonyms[0]: entry["held"]}

    return request_steps.run([subject], contract.key, "collect", action)


def describe_contract(contract: AssetContract) -> dict[str, Any]:
    """What an asset is, for what and how long it is kept: the part of the document that names no person."""
    retention = contract.retention
    return {
        "asset": contract.key,
        "description": contract.description,
        "category": contract.category.value,
        "purposes": [purpose.value for purpose in contract.purposes],
        "legal_basis": contract.legal_basis.value if contract.legal_basis else None,
        "kept_for_days": retention.days if retention else None,
        "kept_since": retention.column if retention else None,
        "held": 0,
        "rows": [],
        **({"kept_by_law": duties.describe(contract.duty)} if contract.duty else {}),
        **({} if contract.holds_subjects else {"reason": nobody_held(contract)}),
    }


def nobody_held(contract: AssetContract) -> str:
    """Why no single person can be found in an asset."""
    return contract.reason or "Aggregated over groups: no single person can be found in it."


def _document(assets: Sequence[dict[str, Any]]) -> bytes:
    document = {
        "document": "Everything that is held about you, by asset (Art. 15 GDPR)",
        "generated": datetime.now(UTC).isoformat(),
        "assets": assets,
    }
    return orjson.dumps(document, default=plain, option=orjson.OPT_INDENT_2)


def _store(subject: Subject, document: bytes) -> None:
    """Keep the document; of somebody erased or unknown under a keyed stand-in, so that no pseudonym comes back."""
    expires = datetime.now(UTC) + EXPORT_LIFETIME
    with tombstones.writing():
        present = is_present(subject.pseudonym)
        name = subject.pseudonym if present else stand_in(subject.pseudonym)
        ciphertext = _encrypt(Subject(subject.request_id, name), document, present)
        with connect(Role.PRIVACY) as connection:
            connection.execute(
                "insert into requests.exports (request_id, pseudonym, ciphertext, expires) values (%s, %s, %s, %s) "
                "on conflict (request_id) do update set pseudonym = excluded.pseudonym, "
                "ciphertext = excluded.ciphertext, expires = excluded.expires",
                [subject.request_id, name, ciphertext, expires],
            )


def _encrypt(subject: Subject, document: bytes, present: bool) -> bytes:
    """Under the subject's data key; who is not a subject has none, and gets a document all the same."""
    if present:
        return _SUBJECT_KEY + Vault().encrypt_for(subject.pseudonym, _COLUMN, document)
    return _PLATFORM_KEY + seal(_bound(subject), document).encode()


def _bound(subject: Subject) -> str:
    return f"{_COLUMN}|{subject.request_id}|{subject.pseudonym}"


def open_export(request_id: object) -> tuple[bytes, datetime] | None:
    """The document of a request and when it expires; None where there is none or it has expired."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select request_id, pseudonym, ciphertext, expires from requests.exports "
            "where request_id = %s and expires > now()",
            [request_id],
        ).fetchone()
    if row is None:
        return None
    subject, stored = Subject(row[0], row[1]), bytes(row[2])
    if stored[:1] == _PLATFORM_KEY:
        return unseal(_bound(subject), stored[1:].decode()), row[3]
    return Vault().decrypt_for(subject.pseudonym, _COLUMN, stored[1:]), row[3]


def drop_expired() -> int:
    """Delete exports past their time; returns how many."""
    with connect(Role.PRIVACY) as connection:
        return connection.execute("delete from requests.exports where expires <= now()").rowcount
