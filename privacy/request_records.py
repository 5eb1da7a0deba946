"""What is recorded of a privacy request: one asked again is the same one, and whom it is about is sealed.

A request holds no pseudonym: a keyed fingerprint recognises it, and the pseudonym, with what is to be corrected, is sealed in it
only until it is closed.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from privacy import audit, idempotency
from privacy.database import Role, connect
from privacy.fingerprints import SealError, fingerprint, fingerprints, keyed_hash, seal, unseal
from privacy.keys import KeyProvider
from privacy.privacy_request import COLUMNS, UNDECIDED, PrivacyRequest, RequestKind, from_row
from privacy.rectification import Corrections

__all__ = ["create", "is_of", "renew_seals", "unsealed_corrections", "unsealed_subject"]

_NEW = "request_id, kind, fingerprint, content, status, expected_completion_time, detail"
# What a request keeps sealed until it is closed; all of it is sealed at one time.
_SEALED = ("subject", "corrections")
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
    asked = json.dumps([kind, pseudonym, _text(corrections)])
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
    content = None if corrections is None else keyed_hash("content", _text(corrections))
    row = connection.execute(
        f"select {COLUMNS} from requests.privacy_requests where kind = %s and fingerprint = any(%s) "  # noqa: S608 (constant column names)
        "and status = any(%s) and content is not distinct from %s",
        [kind.value, fingerprints(pseudonym), list(UNDECIDED), content],
    ).fetchone()
    if row is not None:
        return from_row(row), False
    request_id = uuid4()
    sealed = {"subject": seal(_bound(request_id), pseudonym.encode())}
    if corrections is not None:
        sealed["corrections"] = seal(_bound(request_id), _text(corrections).encode())
    if check_identity:
        sealed["paused_since"] = datetime.now(UTC).isoformat()
    row = connection.execute(
        f"insert into requests.privacy_requests ({_NEW}) values (%s, %s, %s, %s, %s, {_TIME_LIMIT}, %s) "  # noqa: S608
        f"returning {COLUMNS}",
        [
            request_id,
            kind.value,
            fingerprint(kind, pseudonym),
            content,
            "identity_check" if check_identity else "received",
            json.dumps(sealed),
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


def renew_seals(connection: psycopg.Connection[Any], keys: KeyProvider, limit: int) -> int:
    """Seal the subjects and corrections of open requests anew that are sealed under an older key; returns how many."""
    rows = connection.execute(
        "select request_id, detail from requests.privacy_requests where detail ? 'subject' "
        "and split_part(detail ->> 'subject', '.', 1)::int <> %s limit %s for update skip locked",
        [keys.current("wrapping").version, limit],
    ).fetchall()
    for request_id, detail in rows:
        name = _bound(request_id)
        renewed = {
            part: seal(name, unseal(name, detail[part], keys), keys)
            for part in _SEALED
            if part in detail
        }
        connection.execute(
            "update requests.privacy_requests set detail = detail || %s::jsonb where request_id = %s",
            [json.dumps(renewed), request_id],
        )
    return len(rows)


def unsealed_subject(request_id: UUID, sealed: str | None) -> str:
    """The pseudonym that an open request keeps sealed; raises SealError where it keeps none."""
    if sealed is None:
        raise SealError("An open privacy request holds no sealed subject: ask for it anew.")
    return unseal(_bound(request_id), sealed).decode()


def unsealed_corrections(request_id: UUID, sealed: str | None) -> Corrections:
    """What an open rectification is to correct; raises SealError where it keeps nothing."""
    if sealed is None:
        raise SealError("An open rectification holds no sealed corrections: ask for it anew.")
    return Corrections.model_validate_json(unseal(_bound(request_id), sealed))


def _bound(request_id: UUID) -> str:
    """What the sealed parts of a request are bound to."""
    return f"privacy request|{request_id}"


def _text(corrections: Corrections | None) -> str:
    return "" if corrections is None else corrections.model_dump_json(exclude_unset=True)
