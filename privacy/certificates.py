"""Certificates of erasure: what was erased where, and that everything was searched afterwards; signed, and about nobody.

A certificate is one JSON object. It names the request, assets, counts and times, holds no identifier and no pseudonym, and is
signed with the platform's Ed25519 key. It is chained to the audit log: the log's entry holds the SHA-256 of the certificate's
content, the certificate holds the entry's place and hashes. `check` needs the public key alone, no database and no network.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from privacy import audit, request_steps, signing, unlearning
from privacy.contracts import AssetContract, Unlearn
from privacy.coverage import not_searched
from privacy.database import Role, connect
from privacy.duties import describe
from privacy.registry import Registry
from privacy.request_steps import Step
from privacy.unlearning import Due

__all__ = [
    "CertificateError",
    "CertificateUnavailableError",
    "Checked",
    "check",
    "get",
    "issue",
    "prepare",
]

FORMAT = "selvedge/erasure-certificate/1"
_ACTION = "erasure certified"
_ACTOR = "privacy requests"
_IDENTIFIERS = "platform/identifiers"
_BEFORE = ("online", "retain")
_PLACES = {
    "platform/registry": "stores",
    "platform/postgres": "tables of Postgres",
    "platform/redis": "keys of Redis",
    "platform/files": "files",
}


class CertificateError(ValueError):
    """A certificate is not what was signed, or proves less than it says; the message says what is wrong."""


class CertificateUnavailableError(LookupError):
    """There is no certificate: the request is no erasure, or is not complete."""


@dataclass(frozen=True)
class Checked:
    """What a certificate that holds says: which request, when completed, how many assets, what is still due, what was not searched.

    `link` is the entry of the audit log that it was chained to.
    """

    request_id: UUID
    completed: datetime
    assets: int
    key_id: str
    retraining_due: tuple[str, ...]
    not_searched: tuple[str, ...]
    link: audit.Link


def prepare(request_id: UUID, registry: Registry) -> Mapping[str, Any]:
    """The content of an erasure's certificate; raises CertificateError where a step is missing, for half is not erased."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select kind, created from requests.privacy_requests where request_id = %s",
            [request_id],
        ).fetchone()
    assert row is not None
    kind, created = row
    steps = _done_steps(request_id)
    due = {each.asset_key: each for each in unlearning.due_of(request_id)}
    return {
        "format": FORMAT,
        "request_id": str(request_id),
        "kind": kind,
        "received": _utc(created),
        "completed": _utc(datetime.now(UTC)),
        "assets": [_asset(contract, steps) for contract in registry.holding_subjects],
        "models": [_model(contract, due) for contract in registry.contracts if contract.unlearn],
        "kept_by_law": list(_kept(registry, steps)),
        "searched": {name: _searched(place, steps) for place, name in _PLACES.items()},
        "identifiers_searched": _utc(_step(_IDENTIFIERS, "verify", steps).updated),
        "not_searched": not_searched(),
    }


def issue(content: Mapping[str, Any], connection: psycopg.Connection[Any]) -> None:
    """Chain what `prepare` told to the audit log, sign and keep it, in the transaction that completes the request."""
    request_id = content["request_id"]
    digest = hashlib.sha256(_canonical(content)).hexdigest()
    entry = audit.record(
        _ACTOR, _ACTION, {"request_id": request_id, "certificate": digest}, connection
    )
    signed = {
        **content,
        "audit": {
            "entry": entry.entry_id,
            "at": _utc(entry.at),
            "prev_hash": entry.prev_hash.hex(),
            "hash": entry.hash.hex(),
        },
        "key_id": signing.key_id(signing.public_key_pem()),
    }
    signature = base64.b64encode(signing.sign(_message(signed))).decode()
    connection.execute(
        "insert into requests.certificates (request_id, certificate) values (%s, %s)",
        [request_id, json.dumps({**signed, "signature": signature}, indent=1)],
    )


def get(request_id: UUID) -> bytes:
    """The certificate of a request, as it was signed; raises CertificateUnavailableError."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select certificate from requests.certificates where request_id = %s", [request_id]
        ).fetchone()
    if row is None:
        raise CertificateUnavailableError(
            "There is no certificate: only an erasure that is completed, with every store searched, has one."
        )
    return str(row[0]).encode()


def check(certificate: bytes, public_pem: bytes) -> Checked:
    """Check signature, chain and completeness offline; raises CertificateError, or SigningError for the key."""
    try:
        document = json.loads(certificate)
        signature = base64.b64decode(document.pop("signature"), validate=True)
        _require(document["format"] == FORMAT, f"it is not a certificate of the form {FORMAT}")
        signing.verify(public_pem, _message(document), signature)
        _require(
            document["key_id"] == signing.key_id(public_pem),
            "it says that another key signed it than the one that did",
        )
        _check_chain(document)
        _check_content(document)
        return Checked(
            request_id=UUID(document["request_id"]),
            completed=datetime.fromisoformat(document["completed"]),
            assets=len(document["assets"]),
            key_id=document["key_id"],
            retraining_due=tuple(
                model["asset"] for model in document["models"] if model.get("due")
            ),
            not_searched=tuple(map(str, document.get("not_searched", ()))),
            link=audit.Link(
                document["audit"]["entry"],
                bytes.fromhex(document["audit"]["hash"]),
                f"the given certificate of request {document['request_id']}",
            ),
        )
    except signing.InvalidSignatureError as error:
        raise CertificateError(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, CertificateError):
            raise
        raise CertificateError("The file is not a certificate of erasure.") from error


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise CertificateError(f"The certificate does not hold: {what}.")


def _check_chain(document: Mapping[str, Any]) -> None:
    """The entry of the audit log that the certificate names is that of this very content."""
    link = document["audit"]
    content = {name: value for name, value in document.items() if name not in ("audit", "key_id")}
    digest = hashlib.sha256(_canonical(content)).hexdigest()
    # As Postgres writes the entry's jsonb: shorter names first.
    detail = f'{{"request_id": "{document["request_id"]}", "certificate": "{digest}"}}'
    computed = audit.entry_hash(
        bytes.fromhex(link["prev_hash"]),
        link["entry"],
        datetime.fromisoformat(link["at"]),
        _ACTOR,
        _ACTION,
        detail,
    )
    _require(computed.hex() == link["hash"], "the audit log's entry is not that of this content")


def _check_content(document: Mapping[str, Any]) -> None:
    unverified = [asset["asset"] for asset in document["assets"] if not asset["verified"]]
    _require(not unverified, f"{', '.join(unverified)} was not verified")
    for place in _PLACES.values():
        counted = document["searched"][place]
        _require(
            counted["searched"] == counted["existing"], f"not all {place} that exist were searched"
        )


def _done_steps(request_id: UUID) -> Mapping[tuple[str, str], Step]:
    steps = {(step.asset_key, step.step): step for step in request_steps.steps_of(request_id)}
    missing = [f"{key} ({name})" for (key, name), step in steps.items() if step.status != "done"]
    if missing:
        raise CertificateError(f"No certificate: {', '.join(sorted(missing))} is not done.")
    return steps


def _step(key: str, name: str, steps: Mapping[tuple[str, str], Step]) -> Step:
    try:
        return steps[key, name]
    except KeyError as error:
        raise CertificateError(f"No certificate: {key} ({name}) was not done.") from error


def _asset(contract: AssetContract, steps: Mapping[tuple[str, str], Step]) -> dict[str, Any]:
    """What was removed from an asset, online or later, and when it was searched and found without the subject."""
    erased = _step(contract.key, "erase", steps)
    before = [
        steps[contract.key, name].affected for name in _BEFORE if (contract.key, name) in steps
    ]
    return {
        "asset": contract.key,
        "store": contract.store.kind,
        "removed": erased.affected + sum(before),
        "erased": _utc(erased.updated),
        "verified": _utc(_step(contract.key, "verify", steps).updated),
    }


def _model(contract: AssetContract, due: Mapping[str, Due]) -> dict[str, Any]:
    """How a model forgets: its rows are among the assets; one that must be trained again says by when."""
    assert contract.unlearn is not None
    told: dict[str, Any] = {"asset": contract.key, "unlearn": contract.unlearn.value}
    if contract.unlearn is not Unlearn.RETRAIN:
        return told
    if contract.key not in due:
        raise CertificateError(f"No certificate: {contract.key} is not noted to be trained again.")
    return {**told, "due": _utc(due[contract.key].due)}


def _kept(registry: Registry, steps: Mapping[tuple[str, str], Step]) -> Iterator[dict[str, Any]]:
    for contract in registry.holding_subjects:
        if contract.duty is not None:
            kept = _step(contract.key, "retain", steps).affected
            if kept:
                yield {"asset": contract.key, "records": kept, **describe(contract.duty)}


def _searched(place: str, steps: Mapping[tuple[str, str], Step]) -> dict[str, int]:
    return {
        "existing": _step(place, "count", steps).affected,
        "searched": _step(place, "verify", steps).affected,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _message(document: Mapping[str, Any]) -> bytes:
    return FORMAT.encode() + b"\n" + _canonical(document)
