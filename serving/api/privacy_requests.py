"""Privacy requests over HTTP: made, followed, decided, and fetched. Thin routes over `privacy.requests` and `privacy.decisions`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, assert_never
from uuid import UUID

import psycopg
import redis
from fastapi import APIRouter, Header, Query, Request, Response

from consent import masks
from privacy import certificates, decisions, requests, tombstones
from privacy.certificates import CertificateUnavailableError
from privacy.decisions import DecisionRefusedError
from privacy.exports.package import data_of
from privacy.idempotency import KeyReusedError
from privacy.presence import is_present
from privacy.privacy_request import PrivacyRequest, RequestKind
from privacy.request_seals import subject_of
from privacy.vault import IdentifierConflictError
from serving.api.privacy_reports import (
    CheckIdentity,
    Decision,
    Extend,
    Lift,
    NewPrivacyRequest,
    PrivacyRequestList,
    PrivacyRequestReport,
    Reject,
    Resume,
    report_of,
)
from serving.auth import RequireAnyKey, RequirePrivacy
from serving.problems import (
    CONFLICT,
    INVALID_REQUEST,
    NOT_FOUND,
    UNAVAILABLE,
    FieldError,
    Problem,
    ProblemKind,
    problem_responses,
)
from serving.rate_limits import TOO_MANY_REQUESTS
from serving.requesters import NOT_RECOGNISED, Caller, CallerDep
from serving.subject_path import INVALID_REFERENCE, opened

__all__ = ["router"]

KEY_REUSED = ProblemKind(
    "idempotency-key-reused",
    422,
    "The Idempotency-Key belongs to another request",
    "Use a new key for a new request, and the same one only to send the same request again.",
)
router = APIRouter(prefix="/v1/privacy-requests", tags=["privacy requests"])
_ACTOR = "api"
_PERSONAL = (NOT_RECOGNISED, TOO_MANY_REQUESTS, UNAVAILABLE)
_MASKED = (RequestKind.RECTIFICATION, RequestKind.RESTRICTION, RequestKind.OBJECTION)
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{8,255}$",
        description="Chosen by the caller, new for each new request. The same request sent again with it is made once, even when "
        "the first one is completed; it is remembered for a week, as a keyed hash",
    ),
]


@contextmanager
def _answered() -> Iterator[None]:
    """Turn what the privacy part raises into problem documents."""
    try:
        yield
    except requests.UnknownRequestError as error:
        raise Problem(NOT_FOUND, str(error)) from None
    except (
        requests.ExportUnavailableError,
        CertificateUnavailableError,
        DecisionRefusedError,
        IdentifierConflictError,
    ) as error:
        raise Problem(CONFLICT, str(error)) from None
    except KeyReusedError as error:
        raise Problem(KEY_REUSED, str(error)) from None
    except (psycopg.OperationalError, redis.ConnectionError, redis.TimeoutError):
        raise Problem(UNAVAILABLE, headers={"Retry-After": "5"}) from None


@router.post(
    "",
    status_code=202,
    summary="Make a privacy request",
    response_description="The request, received; an open one of the same kind for the same person is returned as it is",
    dependencies=[RequireAnyKey],
    responses=problem_responses(CONFLICT, INVALID_REFERENCE, KEY_REUSED, *_PERSONAL),
)
def create_privacy_request(
    body: NewPrivacyRequest,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> PrivacyRequestReport:
    """Ask for one of the rights over every asset.

    An administrator (privacy key) says whom it is about by `subject_ref`; a person asks for themselves through the storefront
    (storefront key) with a token of the shop in `Selvedge-Requester`. What must not wait is done when this answers: of an
    erasure, everything that serving reads is gone; a rectification, a restriction and an objection hold. The rest follows
    within minutes. To an administrator the answer is the same whether or not anything is held about the person.

    An e-mail address, a phone number and a customer number are what people are found by. A correction of one leads to the person in
    place of the old one. An administrator's is refused (409) where the new one leads to somebody else. A person's waits
    (`identity_check`) until an officer has made sure that it is theirs, whoever has it; nothing of it is done before, and its
    answers are the same. A customer number is corrected by administrators alone.
    """
    with _answered():
        pseudonym = _subject(body, caller)
        request, new = requests.submit(
            body.kind,
            pseudonym,
            caller.actor,
            corrections=body.corrections,
            idempotency_key=_scoped(idempotency_key, caller, pseudonym),
            check_identity=body.identity_check or _to_be_confirmed(body, caller),
        )
        if body.kind in _MASKED:
            _refresh_mask(pseudonym)
        report = report_of(request, reasons=caller.is_administrator)
    response.headers["Location"] = f"/v1/privacy-requests/{request.request_id}"
    response.status_code = 202 if new else 200
    return report


def _subject(body: NewPrivacyRequest, caller: Caller) -> str:
    if caller.is_administrator:
        if body.subject_ref is None:
            raise _invalid("body/subject_ref", "An administrator says whom the request is about")
        return opened(body.subject_ref.get_secret_value())
    if body.subject_ref is not None or body.identity_check:
        raise _invalid(
            "body", "With a requester's token there is neither subject_ref nor identity_check"
        )
    if body.corrections is not None and body.corrections.customer_number is not None:
        raise _invalid("body/corrections/customer_number", "Administrators alone correct it")
    return caller.pseudonym_for(body.kind)


def _to_be_confirmed(body: NewPrivacyRequest, caller: Caller) -> bool:
    """Whether a person would be found by something else than before, which they may not decide alone.

    Whoever has it already: an answer that depended on that would tell a requester who is a customer.
    """
    return (
        not caller.is_administrator
        and body.corrections is not None
        and bool(body.corrections.identifiers)
    )


def _scoped(key: str | None, caller: Caller, pseudonym: str) -> str | None:
    """A person's key is their own, whatever another person chose."""
    return key if key is None or caller.is_administrator else f"{pseudonym}|{key}"


def _invalid(pointer: str, detail: str) -> Problem:
    error = FieldError(pointer=pointer, detail=detail)
    return Problem(INVALID_REQUEST, f"{detail}.", errors=[error.model_dump()])


def _refresh_mask(pseudonym: str) -> None:
    """Let serving know of the person's objections at once; nothing is written about who is no subject."""
    with tombstones.writing():
        if is_present(pseudonym):
            masks.refresh(pseudonym)


@router.get(
    "",
    summary="List privacy requests",
    response_description="Requests, the one due first at the head",
    dependencies=[RequirePrivacy],
    responses=problem_responses(UNAVAILABLE),
)
def list_privacy_requests(
    closed: Annotated[
        bool, Query(description="Those that are completed, rejected or cancelled as well")
    ] = False,
) -> PrivacyRequestList:
    """Every request that is not closed, with its deadline; for administrators."""
    with _answered():
        found = requests.listed(open_only=not closed)
        return PrivacyRequestList(requests=[report_of(request) for request in found])


@router.get(
    "/{request_id}",
    summary="Follow a privacy request",
    response_description="Where it stands, with what was done in each asset",
    dependencies=[RequireAnyKey],
    responses=problem_responses(NOT_FOUND, *_PERSONAL),
)
def read_privacy_request(request_id: UUID, caller: CallerDep) -> PrivacyRequestReport:
    """Where a request stands. `incomplete` names each store that failed; it is tried again on its own.

    A person reads their own with a token of the same kind.
    """
    with _answered():
        return report_of(caller.readable(request_id), reasons=caller.is_administrator)


@router.patch(
    "/{request_id}",
    summary="Decide about a privacy request",
    response_description="Where it stands now",
    dependencies=[RequirePrivacy],
    responses=problem_responses(NOT_FOUND, CONFLICT, INVALID_REFERENCE, UNAVAILABLE),
)
def decide_privacy_request(request_id: UUID, body: Decision) -> PrivacyRequestReport:
    """Let it wait for an identity check, resume it, extend its time, reject it, or lift what it restricts; for administrators.

    Each decision is in the audit log. A request that has begun its work can be neither paused nor rejected.
    """
    with _answered():
        return report_of(_decided(request_id, body))


def _decided(request_id: UUID, body: Decision) -> PrivacyRequest:
    match body:
        case CheckIdentity():
            return decisions.check_identity(request_id, _ACTOR)
        case Resume():
            waiting = subject_of(request_id)
            resumed = decisions.resume(request_id, _ACTOR)
            if waiting is not None and resumed.kind in _MASKED:
                _refresh_mask(waiting)
            return resumed
        case Extend():
            return decisions.extend(request_id, body.reason, _ACTOR)
        case Reject():
            return decisions.reject(request_id, body.ground, _ACTOR)
        case Lift():
            pseudonym = opened(body.subject_ref.get_secret_value())
            lifted = decisions.lift(request_id, pseudonym, _ACTOR)
            _refresh_mask(pseudonym)
            return lifted
        case _:
            assert_never(body)


@router.get(
    "/{request_id}/export",
    summary="Fetch the export of a request for access or portability",
    response_class=Response,
    dependencies=[RequireAnyKey],
    responses={
        200: {
            "description": "A ZIP with data.json, schema.json and index.html, or the JSON alone",
            "content": {
                "application/zip": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": {"type": "object"}},
            },
        },
        **problem_responses(NOT_FOUND, CONFLICT, *_PERSONAL),
    },
)
def read_export(request_id: UUID, caller: CallerDep, request: Request) -> Response:
    """The file of a completed request, for seven days: a ZIP with JSON, its JSON Schema and a page to read.

    `Accept: application/json` asks for the JSON alone.
    """
    with _answered():
        caller.readable(request_id)
        archive, expires = requests.export_of(request_id)
    as_json = request.headers.get("accept", "").startswith("application/json")
    kind = "json" if as_json else "zip"
    return Response(
        data_of(archive) if as_json else archive,
        media_type=f"application/{kind}",
        headers={
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "Content-Disposition": f'attachment; filename="export-{request_id}.{kind}"',
            "Expires": expires.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        },
    )


@router.get(
    "/{request_id}/certificate",
    summary="Fetch the certificate of an erasure",
    response_class=Response,
    dependencies=[RequireAnyKey],
    responses={
        200: {
            "description": "What was erased where, and that everything was searched; signed with Ed25519",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problem_responses(NOT_FOUND, CONFLICT, *_PERSONAL),
    },
)
def read_certificate(request_id: UUID, caller: CallerDep) -> Response:
    """The certificate of a completed erasure, as it was signed: `./selvedge privacy verify-certificate` checks it offline."""
    with _answered():
        caller.readable(request_id)
        document = certificates.get(request_id)
    return Response(
        document,
        media_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="erasure-{request_id}.json"',
        },
    )
