"""Privacy requests: received once, worked on until they are complete, honest when they are not.

Where a request can stand is drawn in `privacy.privacy_request`; what is recorded of one, `privacy.request_records` knows; what
officers decide about one is in `privacy.decisions`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from privacy import access, audit, certificates, idempotency, registry, request_steps
from privacy.access import Explainer
from privacy.certificates import CertificateError
from privacy.database import Role, alone, connect, reusing
from privacy.erasure import erase_everywhere, erase_online
from privacy.fingerprints import SealError
from privacy.keys import KeyProviderError
from privacy.privacy_request import (
    TO_DO,
    PrivacyRequest,
    RequestKind,
    RequestStatus,
    UnknownRequestError,
    get,
    listed,
)
from privacy.rectification import Corrections, rectify
from privacy.registry import Registry
from privacy.request_records import create
from privacy.request_seals import corrections_of, subject_of
from privacy.request_steps import Subject
from privacy.signing import SigningError
from privacy.stores.scrub import scrub_postgres
from privacy.vault import Vault, VaultError
from privacy.withholding import object_to_profiling, restrict

__all__ = [
    "ExportUnavailableError",
    "PrivacyRequest",
    "RequestKind",
    "RequestStatus",
    "UnknownRequestError",
    "act_at_once",
    "create",
    "export_of",
    "get",
    "listed",
    "process",
    "process_open",
    "refuse_conflicts",
    "submit",
    "submit_erasures",
]

_PROCESSING = 0x53565052  # advisory lock: one process works on requests at a time
# What keeps a single request from being worked on: its seal, a key that is gone, its subject's data key.
_UNREADABLE = (SealError, KeyProviderError, VaultError)
_OWN_STORE, _CERTIFICATES = "platform/privacy_requests", "platform/certificates"


class ExportUnavailableError(RuntimeError):
    """The export is not ready, has expired, or is of a request that has none; says which."""


def submit(
    kind: RequestKind,
    pseudonym: str,
    actor: str,
    *,
    corrections: Corrections | None = None,
    idempotency_key: str | None = None,
    check_identity: bool = False,
) -> tuple[PrivacyRequest, bool]:
    """Record a request as `create` does, and do at once what must not wait; returns it, and whether it is new.

    What fails at once is no error here: the steps keep it, and `process_open` does it again. Raises IdentifierConflictError, and
    records nothing, where a corrected identifier leads to somebody else; not while the request waits (see `refuse_conflicts`).
    """
    if (kind is RequestKind.RECTIFICATION) != (corrections is not None):
        raise ValueError("A rectification, and no other request, has corrections.")
    with reusing(Role.PRIVACY):
        if corrections is not None and not check_identity:
            Vault().refuse_conflicts(pseudonym, corrections.identifiers)
        request, new = create(
            kind,
            pseudonym,
            actor,
            corrections=corrections,
            idempotency_key=idempotency_key,
            check_identity=check_identity,
        )
        return act_at_once(request, pseudonym), new


def refuse_conflicts(request_id: UUID) -> None:
    """Raise IdentifierConflictError where a waiting rectification would move an identifier that leads to somebody else."""
    subject, corrections = subject_of(request_id), corrections_of(request_id)
    if subject is not None and corrections is not None:
        Vault().refuse_conflicts(subject, corrections.identifiers)


def submit_erasures(pseudonyms: Sequence[str], actor: str) -> list[PrivacyRequest]:
    """Record the erasures of many subjects, and do at once, for all together, what must not wait; returns the requests."""
    with reusing(Role.PRIVACY):
        made = [create(RequestKind.ERASURE, pseudonym, actor)[0] for pseudonym in pseudonyms]
        subjects = [
            Subject(request.request_id, pseudonym)
            for request, pseudonym in zip(made, pseudonyms, strict=True)
            if request.is_open
        ]
        erase_online(subjects, registry.load())
    return made


def act_at_once(request: PrivacyRequest, pseudonym: str) -> PrivacyRequest:
    """Of an open request, do what must not wait: the online part of an erasure; all of what takes no copy to be searched."""
    if not request.is_open:
        return request
    if request.kind is RequestKind.ERASURE:
        erase_online([Subject(request.request_id, pseudonym)], registry.load())
    elif request.kind in _AT_ONCE:
        _perform(request.request_id, _AT_ONCE[request.kind], registry.load())
    return get(request.request_id)


def export_of(request_id: UUID) -> tuple[bytes, datetime]:
    """The ZIP of a completed request for access or portability, and when it expires.

    Raises UnknownRequestError or ExportUnavailableError.
    """
    request = get(request_id)
    if not request.kind.exports:
        raise ExportUnavailableError("Only a request for access or portability has an export.")
    if request.status is not RequestStatus.COMPLETED:
        raise ExportUnavailableError(f"The request is {request.status.value}: there is no export.")
    found = access.open_export(request_id)
    if found is None:
        raise ExportUnavailableError("The export has expired: make another request.")
    return found


def process(request_id: UUID, explain: Explainer | None = None) -> PrivacyRequest:
    """Work on one open request until it is completed or incomplete; a closed one stays as it is."""
    get(request_id)
    return _process([request_id], explain).get(request_id) or get(request_id)


def process_open(limit: int = 1_000, explain: Explainer | None = None) -> list[PrivacyRequest]:
    """Work on the open requests: erasures first and in one batch, exports last, oldest first; returns how each stands.

    One that cannot be worked on is incomplete and holds up no other. Returns nothing where another process is at it.
    `explain` says in an access export why items are recommended to its subject. Exports that expired are deleted, bytes included.
    """
    if access.drop_expired():
        scrub_postgres([("requests", "exports")])
    idempotency.drop_old()
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select request_id from requests.privacy_requests where status = any(%s) order by created limit %s",
            [list(TO_DO), limit],
        ).fetchall()
    return list(_process([row[0] for row in rows], explain).values())


def _process(request_ids: Sequence[UUID], explain: Explainer | None) -> dict[UUID, PrivacyRequest]:
    with alone(Role.PRIVACY, _PROCESSING) as mine, reusing(Role.PRIVACY):
        if not mine:
            return {}
        found = registry.load()
        tried, erased = _begin_all(request_ids, RequestKind.ERASURE)
        if erased:
            _finish(erased, erase_everywhere(erased, found), certified_by=found)
            scrub_postgres([("requests", "privacy_requests")])
        performers = {**_AT_ONCE, **_exports(explain)}
        for request in map(get, request_ids):
            if request.is_open and request.kind in performers:
                tried.append(request.request_id)
                _perform(request.request_id, performers[request.kind], found)
        return {request_id: get(request_id) for request_id in tried}


_Performer = Callable[[Subject, Registry], bool]


def _exports(explain: Explainer | None) -> dict[RequestKind, _Performer]:
    return {
        RequestKind.ACCESS: lambda subject, found: access.collect(subject, found, explain),
        RequestKind.PORTABILITY: access.collect_portable,
    }


def _rectify(subject: Subject, found: Registry) -> bool:
    corrections = corrections_of(subject.request_id)
    if corrections is None:
        raise SealError("An open rectification holds no sealed corrections: ask for it anew.")
    return rectify(subject, corrections, get(subject.request_id).created, found)


_AT_ONCE: dict[RequestKind, _Performer] = {
    RequestKind.RECTIFICATION: _rectify,
    RequestKind.RESTRICTION: restrict,
    RequestKind.OBJECTION: object_to_profiling,
}


def _perform(request_id: UUID, performer: _Performer, found: Registry) -> None:
    """Do all of one request; every step may be repeated, so that two processes at it do no harm."""
    with _guarded(request_id):
        subject = _begin(request_id)
        _finish([subject], performer(subject, found))


def _begin_all(request_ids: Sequence[UUID], kind: RequestKind) -> tuple[list[UUID], list[Subject]]:
    """Take up the open requests of one kind; returns their ids, and the subjects of those that can be worked on."""
    tried = [
        request.request_id
        for request in map(get, request_ids)
        if request.kind is kind and request.is_open
    ]
    begun: list[Subject] = []
    for request_id in tried:
        with _guarded(request_id):
            begun.append(_begin(request_id))
    return tried, begun


@contextmanager
def _guarded(request_id: UUID) -> Iterator[None]:
    """Leave a request incomplete, with the reason, that cannot be worked on; the others go on."""
    try:
        yield
    except _UNREADABLE as error:
        _leave_open(request_id, [f"{_OWN_STORE} (open): {request_steps.describe(error)}"])


def _begin(request_id: UUID) -> Subject:
    """Take up an open request: a new attempt where the last one ended, the same one where it was cut short."""
    request = get(request_id)
    if request.status is RequestStatus.INCOMPLETE or request.kind.exports:
        request_steps.restart(request_id)
    with connect(Role.PRIVACY) as connection:
        begun = connection.execute(
            "update requests.privacy_requests set status = 'in_progress', "
            "detail = (detail - 'unfinished') || jsonb_build_object('attempts', %s::int) "
            "where request_id = %s and status = any(%s)",
            [request.attempts + 1, request_id, list(TO_DO)],
        ).rowcount
    pseudonym = subject_of(request_id) if begun else None
    if pseudonym is None:
        raise SealError("An open privacy request holds no sealed subject: ask for it anew.")
    return Subject(request_id, pseudonym)


def _finish(subjects: Sequence[Subject], done: bool, certified_by: Registry | None = None) -> None:
    """Close each request whose steps are all done, an erasure with its certificate; name what is missing in the others."""
    unfinished = request_steps.failed(subjects)
    for subject in subjects:
        missing = unfinished[subject.request_id]
        if missing and not done:
            _leave_open(subject.request_id, missing)
            continue
        try:
            _complete(subject, certified_by)
        except (CertificateError, SigningError) as error:
            reason = f"{_CERTIFICATES} (sign): {request_steps.describe(error)}"
            _leave_open(subject.request_id, [reason])


def _complete(subject: Subject, certified_by: Registry | None) -> None:
    certificate = (
        certificates.prepare(subject.request_id, certified_by) if certified_by is not None else None
    )
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.privacy_requests set status = 'completed', completed = now(), "
            "detail = detail - 'subject' - 'corrections' where request_id = %s and status = 'in_progress'",
            [subject.request_id],
        )
        _audit("completed", subject.request_id, 0, connection)
        if certificate is not None:
            certificates.issue(certificate, connection)


def _leave_open(request_id: UUID, missing: Sequence[str]) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.privacy_requests set status = 'incomplete', "
            "detail = detail || jsonb_build_object('unfinished', %s::jsonb, 'last_attempt', now()) "
            "where request_id = %s and status = any(%s)",
            [json.dumps(missing), request_id, list(TO_DO)],
        )
        _audit("incomplete", request_id, len(missing), connection)


def _audit(action: str, request_id: UUID, missing: int, connection: Any) -> None:
    detail = {"request_id": str(request_id), "unfinished_steps": missing}
    audit.record("privacy requests", f"request {action}", detail, connection)
