"""Access (Art. 15) and portability (Art. 20): one file for the person, encrypted until it is fetched, gone after a week."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from privacy import request_steps, tombstones
from privacy.contracts import AssetContract
from privacy.controller import Recipient, load_controller
from privacy.database import Role, connect
from privacy.exports.document import asset_entry, document, portable_rows, with_rows
from privacy.exports.package import packed
from privacy.fingerprints import seal, stand_in, unseal
from privacy.presence import is_present
from privacy.registry import Registry
from privacy.request_steps import Subject
from privacy.stores import handler_for
from privacy.vault import Vault

__all__ = [
    "EXPORT_LIFETIME",
    "Explainer",
    "collect",
    "collect_portable",
    "drop_expired",
    "open_export",
]

Explainer = Callable[[str], Mapping[str, Any]]
"""Says why items are recommended to the subject of a pseudonym; the form is that of the schema's `recommendations`."""

EXPORT_LIFETIME = timedelta(days=7)
_COLUMN = "access export"
_RECOMMENDATIONS = "serving/recommendations"
_RECIPIENTS = "platform/recipients"
# First byte of a stored export: by whose key it is encrypted.
_SUBJECT_KEY, _PLATFORM_KEY = b"s", b"p"


def collect(subject: Subject, registry: Registry, explain: Explainer | None = None) -> bool:
    """Ask every asset, and keep the answer encrypted for `EXPORT_LIFETIME`; False where an asset did not answer.

    An asset that holds nobody is listed with the reason, so that the document is complete.
    """
    recipients: list[Recipient] = []
    complete = _add_recipients(subject, recipients)
    assets: list[dict[str, Any]] = []
    for contract in registry.contracts:
        entry = asset_entry(contract, recipients)
        if contract in registry.holding_subjects:
            complete &= _add_rows(subject, contract, entry)
        assets.append(entry)
    why: dict[str, Any] = {}
    if explain is not None:
        complete &= _add_reasons(subject, explain, why)
    if complete:
        _store(subject, packed(document("access", subject.request_id, assets, recipients, why)))
    return complete


def collect_portable(subject: Subject, registry: Registry) -> bool:
    """The same for what the subject provided, under consent or a contract (Art. 20), and nothing that was made of it."""
    recipients: list[Recipient] = []
    complete = _add_recipients(subject, recipients)
    assets: list[dict[str, Any]] = []
    for contract in registry.holding_subjects:
        if contract.is_portable:
            entry = asset_entry(contract, recipients)
            complete &= _add_rows(subject, contract, entry)
            entry["rows"] = portable_rows(entry["rows"])
            assets.append(entry)
    if complete:
        _store(subject, packed(document("portability", subject.request_id, assets)))
    return complete


def _add_recipients(subject: Subject, recipients: list[Recipient]) -> bool:
    """Who receives data; a file that does not say it leaves the request incomplete, and no export that names nobody."""

    def action(_: Sequence[str]) -> dict[str, int]:
        recipients.extend(load_controller().recipients)
        return {}

    return request_steps.run([subject], _RECIPIENTS, "read", action)


def _add_rows(subject: Subject, contract: AssetContract, entry: dict[str, Any]) -> bool:
    def action(pseudonyms: Sequence[str]) -> dict[str, int]:
        with_rows(entry, contract, handler_for(contract).export(contract, pseudonyms[0]))
        return {pseudonyms[0]: entry["held"]}

    return request_steps.run([subject], contract.key, "collect", action)


def _add_reasons(subject: Subject, explain: Explainer, why: dict[str, Any]) -> bool:
    def action(pseudonyms: Sequence[str]) -> dict[str, int]:
        why.update(explain(pseudonyms[0]))
        return {}

    return request_steps.run([subject], _RECOMMENDATIONS, "explain", action)


def _store(subject: Subject, archive: bytes) -> None:
    """Keep the file; of somebody erased or unknown under a keyed stand-in, so that no pseudonym comes back."""
    expires = datetime.now(UTC) + EXPORT_LIFETIME
    with tombstones.writing():
        present = is_present(subject.pseudonym)
        name = subject.pseudonym if present else stand_in(subject.pseudonym)
        ciphertext = _encrypt(Subject(subject.request_id, name), archive, present)
        with connect(Role.PRIVACY) as connection:
            connection.execute(
                "insert into requests.exports (request_id, pseudonym, ciphertext, expires) values (%s, %s, %s, %s) "
                "on conflict (request_id) do update set pseudonym = excluded.pseudonym, "
                "ciphertext = excluded.ciphertext, expires = excluded.expires",
                [subject.request_id, name, ciphertext, expires],
            )


def _encrypt(subject: Subject, archive: bytes, present: bool) -> bytes:
    """Under the subject's data key; who is not a subject has none, and gets a document all the same."""
    if present:
        return _SUBJECT_KEY + Vault().encrypt_for(subject.pseudonym, _COLUMN, archive)
    return _PLATFORM_KEY + seal(_bound(subject), archive).encode()


def _bound(subject: Subject) -> str:
    return f"{_COLUMN}|{subject.request_id}|{subject.pseudonym}"


def open_export(request_id: object) -> tuple[bytes, datetime] | None:
    """The file of a request and when it expires; None where there is none or it has expired."""
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
