"""Privacy requests: received once, worked on until they are complete, honest when they are not.

    received ──► in_progress ──► completed
                     ▲    └────► incomplete (names each store that failed; tried again)
                     └───────────────┘
    cancelled: an open access request of somebody who was erased

A request asked again while one of the same kind for the same subject is open is that same request. It holds no pseudonym: a keyed
fingerprint recognises it, and the pseudonym is sealed in it only until it completes.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import psycopg

from privacy import access, audit, registry, request_steps
from privacy.database import Role, connect
from privacy.erasure import erase_everywhere, erase_online
from privacy.fingerprints import SealError, fingerprint, fingerprints, seal, unseal
from privacy.keys import KeyProvider, KeyProviderError
from privacy.request_steps import Step, Subject
from privacy.stores.scrub import scrub_postgres
from privacy.vault import VaultError

__all__ = [
    "ExportUnavailableError",
    "PrivacyRequest",
    "RequestKind",
    "RequestStatus",
    "UnknownRequestError",
    "create",
    "export_of",
    "get",
    "listed",
    "process",
    "process_open",
    "renew_seals",
    "submit",
]

ONE_MONTH = timedelta(days=30)  # Art. 12(3): within one month of receipt
_PROCESSING = 0x53565052  # advisory lock: one process works on requests at a time
_COLUMNS = "request_id, kind, status, created, expected_completion_time, completed, detail"
_NEW = "request_id, kind, fingerprint, status, expected_completion_time, detail"
_OPEN = ("received", "in_progress", "incomplete")
# What keeps a single request from being worked on: its seal, a key that is gone, its subject's data key.
_UNREADABLE = (SealError, KeyProviderError, VaultError)
_OWN_STORE = "platform/privacy_requests"


class UnknownRequestError(KeyError):
    """No privacy request has this id."""

    def __str__(self) -> str:
        return str(self.args[0])


class ExportUnavailableError(RuntimeError):
    """The export is not ready, has expired, or is of a request that has none; says which."""


class RequestKind(StrEnum):
    """What a person asks for."""

    ACCESS = "access"
    ERASURE = "erasure"


class RequestStatus(StrEnum):
    """Where a request stands."""

    RECEIVED = "received"
    IN_PROGRESS = "in_progress"
    INCOMPLETE = "incomplete"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class PrivacyRequest:
    """One request; `unfinished` names each step that is missing, with the reason, where it is incomplete."""

    request_id: UUID
    kind: RequestKind
    status: RequestStatus
    created: datetime
    expected_completion_time: datetime
    completed: datetime | None
    attempts: int
    unfinished: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do."""
        return self.status.value in _OPEN

    def steps(self) -> list[Step]:
        """What was done in each store, read anew."""
        return request_steps.steps_of(self.request_id)


def create(kind: RequestKind, pseudonym: str, actor: str) -> tuple[PrivacyRequest, bool]:
    """Record a request; returns it, and whether it is new (an open one of the same kind and subject is not made twice)."""
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "select pg_advisory_xact_lock(('x' || left(encode(%s, 'hex'), 16))::bit(64)::bigint)",
            [fingerprint(kind, pseudonym)],
        )
        row = connection.execute(
            f"select {_COLUMNS} from requests.privacy_requests "  # noqa: S608 (constant column names)
            "where kind = %s and fingerprint = any(%s) and status = any(%s)",
            [kind.value, fingerprints(pseudonym), list(_OPEN)],
        ).fetchone()
        if row is not None:
            return _request(row), False
        request_id = uuid4()
        row = connection.execute(
            f"insert into requests.privacy_requests ({_NEW}) "  # noqa: S608 (constant column names)
            f"values (%s, %s, %s, 'received', now() + %s, %s) returning {_COLUMNS}",
            [
                request_id,
                kind.value,
                fingerprint(kind, pseudonym),
                ONE_MONTH,
                json.dumps({"subject": seal(_bound(request_id), pseudonym.encode())}),
            ],
        ).fetchone()
        audit.record(actor, f"{kind.value} requested", {"request_id": str(request_id)}, connection)
    assert row is not None
    return _request(row), True


def submit(kind: RequestKind, pseudonym: str, actor: str) -> tuple[PrivacyRequest, bool]:
    """Record a request, and for an erasure do at once what must not wait; returns it, and whether it is new.

    What fails at once is no error here: the steps keep it, and `process_open` does it again.
    """
    request, new = create(kind, pseudonym, actor)
    if kind is RequestKind.ERASURE and request.is_open:
        erase_online([Subject(request.request_id, pseudonym)], registry.load())
    return request, new


def get(request_id: UUID) -> PrivacyRequest:
    """One request; raises UnknownRequestError."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            f"select {_COLUMNS} from requests.privacy_requests where request_id = %s",  # noqa: S608
            [request_id],
        ).fetchone()
    if row is None:
        raise UnknownRequestError("There is no privacy request with this id.")
    return _request(row)


def listed(*, open_only: bool) -> list[PrivacyRequest]:
    """Every request, or every open one, the one due first at the head."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            f"select {_COLUMNS} from requests.privacy_requests where status = any(%s) or not %s "  # noqa: S608
            "order by expected_completion_time, request_id",
            [list(_OPEN), open_only],
        ).fetchall()
    return [_request(row) for row in rows]


def export_of(request_id: UUID) -> tuple[bytes, datetime]:
    """The JSON document of a completed access request and when it expires.

    Raises UnknownRequestError or ExportUnavailableError.
    """
    request = get(request_id)
    if request.kind is not RequestKind.ACCESS:
        raise ExportUnavailableError("Only an access request has an export.")
    if request.status is not RequestStatus.COMPLETED:
        raise ExportUnavailableError(f"The request is {request.status.value}: there is no export.")
    found = access.open_export(request_id)
    if found is None:
        raise ExportUnavailableError("The export has expired: make another access request.")
    return found


def renew_seals(connection: psycopg.Connection[Any], keys: KeyProvider, limit: int) -> int:
    """Seal the subjects of open requests anew that are sealed under an older key; returns how many."""
    rows = connection.execute(
        "select request_id, detail ->> 'subject' from requests.privacy_requests where detail ? 'subject' "
        "and split_part(detail ->> 'subject', '.', 1)::int <> %s limit %s for update skip locked",
        [keys.current("wrapping").version, limit],
    ).fetchall()
    for request_id, sealed in rows:
        bound = _bound(request_id)
        renewed = seal(bound, unseal(bound, sealed, keys), keys)
        connection.execute(
            "update requests.privacy_requests set detail = jsonb_set(detail, '{subject}', to_jsonb(%s::text)) "
            "where request_id = %s",
            [renewed, request_id],
        )
    return len(rows)


def process(request_id: UUID) -> PrivacyRequest:
    """Work on one open request until it is completed or incomplete; a closed one stays as it is."""
    get(request_id)
    return _process([request_id]).get(request_id) or get(request_id)


def process_open(limit: int = 1_000) -> list[PrivacyRequest]:
    """Work on the open requests, erasures first and in one batch, then access, oldest first; returns how each stands.

    One that cannot be worked on is incomplete and holds up no other. Returns nothing where another process is at it.
    """
    access.drop_expired()
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            "select request_id from requests.privacy_requests where status = any(%s) order by created limit %s",
            [list(_OPEN), limit],
        ).fetchall()
    return list(_process([row[0] for row in rows]).values())


def _process(request_ids: Sequence[UUID]) -> dict[UUID, PrivacyRequest]:
    with _processing() as alone:
        if not alone:
            return {}
        found = registry.load()
        tried, erased = _begin_all(request_ids, RequestKind.ERASURE)
        if erased:
            _finish(erased, erase_everywhere(erased, found))
            scrub_postgres([("requests", "privacy_requests")])
        asked, readers = _begin_all(request_ids, RequestKind.ACCESS)
        for subject in readers:
            with _guarded(subject.request_id):
                _finish([subject], access.collect(subject, found))
        return {request_id: get(request_id) for request_id in (*tried, *asked)}


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


@contextmanager
def _processing() -> Iterator[bool]:
    """Hold the right to work on requests; False where another process has it."""
    with connect(Role.PRIVACY, autocommit=True) as connection:
        row = connection.execute("select pg_try_advisory_lock(%s)", [_PROCESSING]).fetchone()
        yield bool(row and row[0])


def _begin(request_id: UUID) -> Subject:
    """Take up an open request: a new attempt where the last one ended, the same one where it was cut short."""
    request = get(request_id)
    if request.status is RequestStatus.INCOMPLETE or request.kind is RequestKind.ACCESS:
        request_steps.restart(request_id)
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "update requests.privacy_requests set status = 'in_progress', "
            "detail = (detail - 'unfinished') || jsonb_build_object('attempts', %s::int) "
            "where request_id = %s returning detail ->> 'subject'",
            [request.attempts + 1, request_id],
        ).fetchone()
    if row is None or row[0] is None:
        raise SealError("An open privacy request holds no sealed subject: ask for it anew.")
    return Subject(request_id, unseal(_bound(request_id), row[0]).decode())


def _finish(subjects: Sequence[Subject], done: bool) -> None:
    """Close each request whose steps are all done; name what is missing in the others."""
    unfinished = request_steps.failed(subjects)
    for subject in subjects:
        missing = unfinished[subject.request_id]
        if done or not missing:
            _complete(subject)
        else:
            _leave_open(subject.request_id, missing)


def _complete(subject: Subject) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.privacy_requests set status = 'completed', completed = now(), detail = detail - 'subject' "
            "where request_id = %s and status = 'in_progress'",
            [subject.request_id],
        )
        _audit("completed", subject.request_id, 0, connection)


def _leave_open(request_id: UUID, missing: Sequence[str]) -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "update requests.privacy_requests set status = 'incomplete', "
            "detail = detail || jsonb_build_object('unfinished', %s::jsonb, 'last_attempt', now()) where request_id = %s",
            [json.dumps(missing), request_id],
        )
        _audit("incomplete", request_id, len(missing), connection)


def _audit(action: str, request_id: UUID, missing: int, connection: Any) -> None:
    detail = {"request_id": str(request_id), "unfinished_steps": missing}
    audit.record("privacy requests", f"request {action}", detail, connection)


def _bound(request_id: UUID) -> str:
    return f"privacy request|{request_id}"


def _request(row: Sequence[Any]) -> PrivacyRequest:
    request_id, kind, status, created, expected, completed, detail = row
    return PrivacyRequest(
        request_id=request_id,
        kind=RequestKind(kind),
        status=RequestStatus(status),
        created=created,
        expected_completion_time=expected,
        completed=completed,
        attempts=int(detail.get("attempts", 0)),
        unfinished=tuple(detail.get("unfinished", ())),
    )
