"""What a privacy officer decides about a request: wait for an identity check, go on, take longer, refuse, lift.

Each decision is one entry of the audit log. None of them undoes what a request has already done, so one that has begun its
work can be neither paused nor rejected.
"""

from typing import Any
from uuid import UUID

import psycopg

from privacy import audit, requests
from privacy.database import Role, connect
from privacy.privacy_request import (
    COLUMNS,
    ExtensionReason,
    PrivacyRequest,
    RejectionGround,
    RequestKind,
    RequestStatus,
    from_row,
    get,
)
from privacy.request_seals import subject_of
from privacy.vault import IdentifierConflictError
from privacy.withholding import lift as lift_objections

__all__ = ["DecisionRefusedError", "check_identity", "extend", "lift", "reject", "resume"]

_TO_LIFT = (RequestKind.RESTRICTION, RequestKind.OBJECTION)


class DecisionRefusedError(RuntimeError):
    """The request's state does not allow the decision; says why."""


def check_identity(request_id: UUID, actor: str) -> PrivacyRequest:
    """Let the request wait until it is sure who asks (Art. 12(6)); its time limit stands still meanwhile."""
    request = _unbegun(request_id)
    if request.status is RequestStatus.IDENTITY_CHECK:
        return request
    return _decide(
        request,
        actor,
        "paused for identity check",
        "status = 'identity_check', detail = detail || jsonb_build_object('paused_since', now())",
        [],
    )


def resume(request_id: UUID, actor: str) -> PrivacyRequest:
    """Go on with a request that waited: its time limit is later by as long as it waited, and what must not wait is done.

    One that would move an identifier of somebody else goes on waiting.
    """
    request = get(request_id)
    if request.status is not RequestStatus.IDENTITY_CHECK:
        raise DecisionRefusedError(
            f"The request is {request.status.value}; it does not wait for an identity check."
        )
    subject = _waiting_subject(request_id)
    resumed = _decide(
        request,
        actor,
        "identity confirmed",
        "status = 'received', detail = detail - 'paused_since', expected_completion_time = "
        "expected_completion_time + (now() - (detail ->> 'paused_since')::timestamptz)",
        [],
    )
    return requests.act_at_once(resumed, subject)


def _waiting_subject(request_id: UUID) -> str:
    try:
        requests.refuse_conflicts(request_id)
    except IdentifierConflictError as error:
        raise DecisionRefusedError(str(error)) from None
    subject = subject_of(request_id)
    assert subject is not None
    return subject


def extend(request_id: UUID, reason: ExtensionReason, actor: str) -> PrivacyRequest:
    """Give the request two months more, once, within its first month (Art. 12(3)); the person must be told why."""
    request = get(request_id)
    if not request.is_undecided:
        raise DecisionRefusedError(f"The request is {request.status.value}: nothing is due.")
    if request.extension is not None:
        raise DecisionRefusedError("The time limit was extended before; it can be extended once.")
    return _decide(
        request,
        actor,
        f"extended ({reason.value})",
        "expected_completion_time = expected_completion_time + interval '2 months', "
        "detail = detail || jsonb_build_object('extension', %s::text)",
        [reason.value],
        "and (expected_completion_time > now() or status = 'identity_check')",
        "The month has passed: an extension must be told to the person within it.",
    )


def reject(request_id: UUID, ground: RejectionGround, actor: str) -> PrivacyRequest:
    """Refuse the request on a ground of the law; the person must be told it, and where they may complain (Art. 12(4))."""
    request = _unbegun(request_id)
    return _decide(
        request,
        actor,
        f"rejected ({ground.value})",
        "status = 'rejected', completed = now(), "
        "detail = (detail - 'subject' - 'corrections' - 'paused_since') || jsonb_build_object('ground', %s::text)",
        [ground.value],
    )


def lift(request_id: UUID, pseudonym: str, actor: str) -> PrivacyRequest:
    """End the restriction or the objection that a completed request made; the person must be told before (Art. 18(3)).

    Nothing is lifted for another subject than the request's own. The caller refreshes the subject's mask.
    """
    request = get(request_id)
    if request.kind not in _TO_LIFT or request.status is not RequestStatus.COMPLETED:
        raise DecisionRefusedError(
            "Only a restriction or an objection that is in force can be lifted; "
            f"this is a request for {request.kind.value}, {request.status.value}."
        )
    if not requests.is_of(request_id, pseudonym):
        raise DecisionRefusedError("The request was made by somebody else.")
    lift_objections(request.kind, pseudonym)
    if request.lifted is not None:
        return request
    return _decide(
        request,
        actor,
        f"{request.kind.value} lifted",
        "detail = detail || jsonb_build_object('lifted', now())",
        [],
    )


def _unbegun(request_id: UUID) -> PrivacyRequest:
    """The request, undecided and without any step begun."""
    request = get(request_id)
    if not request.is_undecided:
        raise DecisionRefusedError(f"The request is {request.status.value}: it is decided.")
    if request.steps():
        raise DecisionRefusedError(
            "Work on the request has begun, and what is done cannot be undone. A request whose author is in doubt is made "
            "with identity_check, so that nothing is done before it is resumed."
        )
    return request


def _decide(
    request: PrivacyRequest,
    actor: str,
    action: str,
    change: str,
    values: list[Any],
    condition: str = "",
    refusal: str = "The request was changed meanwhile: read it again and decide anew.",
) -> PrivacyRequest:
    """Make a `change` (constant SQL) to a request that still stands where it was read, and put it into the audit log."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            f"update requests.privacy_requests set {change} where request_id = %s and status = %s {condition} "  # noqa: S608
            f"returning {COLUMNS}",
            [*values, request.request_id, request.status.value],
        ).fetchone()
        if row is None:
            raise DecisionRefusedError(refusal)
        _audit(connection, actor, action, request)
    return from_row(row)


def _audit(
    connection: psycopg.Connection[Any], actor: str, action: str, request: PrivacyRequest
) -> None:
    detail = {"request_id": str(request.request_id), "kind": request.kind.value}
    audit.record(actor, f"request {action}", detail, connection)
