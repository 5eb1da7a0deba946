"""Privacy requests over HTTP: made, followed, and for access, fetched. Thin routes over `privacy.requests`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

import psycopg
from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from privacy import certificates, requests
from privacy.certificates import CertificateUnavailableError
from privacy.requests import PrivacyRequest, RequestKind, RequestStatus
from serving.auth import RequirePrivacy
from serving.problems import CONFLICT, NOT_FOUND, UNAVAILABLE, Problem, problem_responses
from serving.subject_path import INVALID_REFERENCE, opened

__all__ = ["router"]

router = APIRouter(
    prefix="/v1/privacy-requests", tags=["privacy requests"], dependencies=[RequirePrivacy]
)
_ACTOR = "api"
_ID = "6f1e8f0a-3b0c-4f0e-9a59-0d4f6a1c2b3d"


class NewPrivacyRequest(BaseModel):
    """What a person asks for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "erasure",
                    "subject_ref": "AAFkm1qVbR0nJ5mHq0u3s8pXw2Zt7yLcV4gKe9dQxNfTjBvA6hUrMzWo1iPsEyCl",
                }
            ]
        },
    )

    kind: Annotated[RequestKind, Field(description="access (Art. 15) or erasure (Art. 17)")]
    subject_ref: Annotated[
        SecretStr,
        Field(
            min_length=1, max_length=1024, description="Reference from POST /v1/subjects/reference"
        ),
    ]


class StepReport(BaseModel):
    """What a request did in one asset."""

    asset: Annotated[str, Field(description="Key of the asset or store")]
    step: Annotated[str, Field(description="What was done: collect, online, erase, purge, verify")]
    status: Annotated[str, Field(description="pending, running, done or failed")]
    attempts: Annotated[int, Field(description="How often it was begun")]
    affected: Annotated[int, Field(description="Rows, keys or entries; searched places in verify")]
    error: Annotated[str | None, Field(description="Why it failed")] = None


class PrivacyRequestReport(BaseModel):
    """Where a privacy request stands; it says nothing of whom it is about."""

    model_config = ConfigDict(
        title="PrivacyRequest",
        json_schema_extra={
            "examples": [
                {
                    "request_id": _ID,
                    "kind": "erasure",
                    "status": "completed",
                    "created": "2026-11-24T09:00:00Z",
                    "expected_completion_time": "2026-12-24T09:00:00Z",
                    "completed": "2026-11-24T09:01:10Z",
                    "attempts": 1,
                    "unfinished": [],
                    "steps": [
                        {
                            "asset": "shop/orders",
                            "step": "erase",
                            "status": "done",
                            "attempts": 1,
                            "affected": 4,
                            "error": None,
                        }
                    ],
                }
            ]
        },
    )

    request_id: UUID
    kind: RequestKind
    status: Annotated[
        RequestStatus, Field(description="completed only where every step in every store is done")
    ]
    created: AwareDatetime
    expected_completion_time: Annotated[
        AwareDatetime, Field(description="One month after receipt, as the law asks")
    ]
    completed: AwareDatetime | None
    attempts: int
    unfinished: Annotated[
        list[str], Field(description="Each step that is missing, with its store and the reason")
    ]
    steps: list[StepReport]


@contextmanager
def _answered() -> Iterator[None]:
    """Turn what the privacy part raises into problem documents."""
    try:
        yield
    except requests.UnknownRequestError as error:
        raise Problem(NOT_FOUND, str(error)) from None
    except (requests.ExportUnavailableError, CertificateUnavailableError) as error:
        raise Problem(CONFLICT, str(error)) from None
    except psycopg.OperationalError:
        raise Problem(UNAVAILABLE, headers={"Retry-After": "5"}) from None


def _report(request: PrivacyRequest) -> PrivacyRequestReport:
    return PrivacyRequestReport(
        request_id=request.request_id,
        kind=request.kind,
        status=request.status,
        created=request.created,
        expected_completion_time=request.expected_completion_time,
        completed=request.completed,
        attempts=request.attempts,
        unfinished=list(request.unfinished),
        steps=[
            StepReport(
                asset=step.asset_key,
                step=step.step,
                status=step.status,
                attempts=step.attempts,
                affected=step.affected,
                error=step.error,
            )
            for step in request.steps()
        ],
    )


@router.post(
    "",
    status_code=202,
    summary="Make a privacy request",
    response_description="The request, received; an open one of the same kind for the same person is returned as it is",
    responses=problem_responses(INVALID_REFERENCE, UNAVAILABLE),
)
def create_privacy_request(body: NewPrivacyRequest, response: Response) -> PrivacyRequestReport:
    """Ask for access or erasure over every asset.

    Of an erasure, everything that serving reads is gone when this answers; the rest follows within minutes. The answer is the
    same whether or not anything is held about the person.
    """
    pseudonym = opened(body.subject_ref.get_secret_value())
    with _answered():
        request, new = requests.submit(body.kind, pseudonym, _ACTOR)
        report = _report(request)
    response.headers["Location"] = f"/v1/privacy-requests/{request.request_id}"
    response.status_code = 202 if new else 200
    return report


@router.get(
    "/{request_id}",
    summary="Follow a privacy request",
    response_description="Where it stands, with what was done in each asset",
    responses=problem_responses(NOT_FOUND, UNAVAILABLE),
)
def read_privacy_request(request_id: UUID) -> PrivacyRequestReport:
    """Where a request stands. `incomplete` names each store that failed; it is tried again on its own."""
    with _answered():
        return _report(requests.get(request_id))


@router.get(
    "/{request_id}/export",
    summary="Fetch the export of an access request",
    response_class=Response,
    responses={
        200: {
            "description": "Everything that is held, by asset",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problem_responses(NOT_FOUND, CONFLICT, UNAVAILABLE),
    },
)
def read_export(request_id: UUID) -> Response:
    """The document of a completed access request, for seven days."""
    with _answered():
        document, expires = requests.export_of(request_id)
    return Response(
        document,
        media_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="export-{request_id}.json"',
            "Expires": expires.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        },
    )


@router.get(
    "/{request_id}/certificate",
    summary="Fetch the certificate of an erasure",
    response_class=Response,
    responses={
        200: {
            "description": "What was erased where, and that everything was searched; signed with Ed25519",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problem_responses(NOT_FOUND, CONFLICT, UNAVAILABLE),
    },
)
def read_certificate(request_id: UUID) -> Response:
    """The certificate of a completed erasure, as it was signed: `./selvedge privacy verify-certificate` checks it offline."""
    with _answered():
        requests.get(request_id)
        document = certificates.get(request_id)
    return Response(
        document,
        media_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="erasure-{request_id}.json"',
        },
    )
