"""What is recorded of a privacy request: one asked again is the same one, and whom it is about is sealed.

A request holds no pseudonym: a keyed fingerprint recognises it, and the pseudonym, with what is to be corrected, is sealed in it
only until it is closed.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from privacy import audit, idempotency
from privacy.database import Role, connect
from privacy.fingerprints import fingerprint, fingerprints, keyed_hash
from privacy.privacy_request import COLUMNS, UNDECIDED, PrivacyRequest, RequestKind, from_row
from privacy.rectification import Corrections
from privacy.request_seals import sealed, text_of

__all__ = ["create", "is_of"]

_NEW = "request_id, kind, fingerprint, content, status, expected_completion_time, detail"
# Art. 12(3): within one month of receipt.
_TIME_LIMIT = "now() + interval '1 month'"


def create(
    kind: RequestKind,
    pseudonym: str,
    actor: str,
    *,
    corrections: Corrections | None = None,
    idempotency_key: str | None = None,
    check_identity: bool = False,
) -> tuple[PrivacyRequest, bool]:
    """Record a request; returns it, and whether it is new.

    An open one of the same kind, subject and corrections is not made twice, nor is one with the same `idempotency_key` of the
    same actor, open or closed. `check_identity` lets it wait until an officer resumes it. Raises
    idempotency.KeyReusedError where the key came with another request before.
    """
    asked = json.dumps([kind, pseudonym, text_of(corrections)])
    with connect(Role.PRIVACY) as connection:
        if idempotency_key is not None:
            earlier = idempotency.claimed(connection, actor, idempotency_key, asked)
            if earlier is not None:
                return _read(connection, earlier), False
        request, new = _find_or_insert(connection, kind, pseudonym, corrections, check_identity)
        if idempotency_key is not None:
            idempotency.claim(connection, actor, idempotency_key, asked, request.request_id)
        if new:
            detail = {"request_id": str(request.request_id)}
            audit.record(actor, f"{kind.value} requested", detail, connection)
    return request, new


def _find_or_insert(
    connection: Any,
    kind: RequestKind,
    pseudonym: str,
    corrections: Corrections | None,
    check_identity: bool,
) -> tuple[PrivacyRequest, bool]:
    connection.execute(
        "select pg_advisory_xact_lock(('x' || left(encode(%s, 'hex'), 16))::bit(64)::bigint)",
        [fingerprint(kind, pseudonym)],
    )
    content = None if corrections is None else keyed_hash("content", text_of(corrections))
    row = connection.execute(
        f"select {COLUMNS} from requests.privacy_requests where kind = %s and fingerprint = any(%s) "  # noqa: S608 (constant column names)
        "and status = any(%s) and content is not distinct from %s",
        [kind.value, fingerprints(pseudonym), list(UNDECIDED), content],
    ).fetchone()
    if row is not None:
        return from_row(row), False
    request_id = uuid4()
    detail = sealed(request_id, pseudonym, corrections)
    if check_identity:
        detail["paused_since"] = datetime.now(UTC).isoformat()
    row = connection.execute(
        f"insert into requests.privacy_requests ({_NEW}) values (%s, %s, %s, %s, %s, {_TIME_LIMIT}, %s) "  # noqa: S608
        f"returning {COLUMNS}",
        [
            request_id,
            kind.value,
            fingerprint(kind, pseudonym),
            content,
            "identity_check" if check_identity else "received",
            json.dumps(detail),
        ],
    ).fetchone()
    return from_row(row), True


def _read(connection: Any, request_id: UUID) -> PrivacyRequest:
    row = connection.execute(
        f"select {COLUMNS} from requests.privacy_requests where request_id = %s",  # noqa: S608
        [request_id],
    ).fetchone()
    return from_row(row)


def is_of(request_id: UUID, pseudonym: str) -> bool:
    """Whether the request is one of this subject."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            "select 1 from requests.privacy_requests where request_id = %s and fingerprint = any(%s)",
            [request_id, fingerprints(pseudonym)],
        ).fetchone()
    return row is not None
