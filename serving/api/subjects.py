"""Subject references: the one place where the API takes a raw identifier."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Literal

import psycopg
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr
from starlette.concurrency import run_in_threadpool

from privacy.identifiers import InvalidIdentifierError
from privacy.subject_reference import issue
from serving.auth import RequireAnyKey
from serving.deps import ResourcesDep
from serving.logs import described, log
from serving.problems import INVALID_REQUEST, UNAVAILABLE, Problem, problem_responses

__all__ = ["router"]

router = APIRouter(prefix="/v1/subjects", tags=["subjects"], dependencies=[RequireAnyKey])


class ReferenceRequest(BaseModel):
    """Whom to refer to."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"subject_id": "100042", "kind": "customer_number"}]},
    )

    # A SecretStr, so that no representation of the request ever shows it.
    subject_id: Annotated[
        SecretStr, Field(min_length=1, max_length=256, description="The shop's own identifier")
    ]
    kind: Annotated[
        Literal["customer_number", "email", "phone"],
        Field(description="What kind of identifier it is; a phone number with its country code"),
    ] = "customer_number"


class Reference(BaseModel):
    """A reference to a subject."""

    model_config = ConfigDict(
        title="SubjectReference",
        json_schema_extra={
            "examples": [
                {
                    "subject_ref": "AAFkm1qVbR0nJ5mHq0u3s8pXw2Zt7yLcV4gKe9dQxNfTjBvA6hUrMzWo1iPsEyCl",
                    "expires_at": "2026-11-24T09:00:00Z",
                }
            ]
        },
    )

    subject_ref: Annotated[
        str, Field(description="Token for the header `Selvedge-Subject`; safe in a cookie")
    ]
    expires_at: Annotated[
        AwareDatetime, Field(description="When it stops working (UTC); ask for a new one then")
    ]


@router.post(
    "/reference",
    summary="Get a subject reference",
    response_description="The reference",
    responses=problem_responses(UNAVAILABLE),
)
async def create_subject_reference(body: ReferenceRequest, resources: ResourcesDep) -> Reference:
    """Turn the shop's customer number, an e-mail address or a phone number into a subject reference.

    One that is not known, that several people share, or that belongs to an erased person gets a reference too: it behaves like an
    anonymous visitor, so that the answer does not tell who is a customer.
    """
    try:
        known = await run_in_threadpool(
            resources.vault.lookup, body.kind, body.subject_id.get_secret_value()
        )
    except InvalidIdentifierError as error:
        raise Problem(INVALID_REQUEST, str(error)) from None
    except psycopg.OperationalError as error:
        log.error("vault does not answer", **described(error))
        raise Problem(UNAVAILABLE, headers={"Retry-After": "5"}) from None
    lifetime = resources.settings.serving_subject_reference_ttl
    expires_at = datetime.now(UTC).replace(microsecond=0) + lifetime
    reference = issue(known or secrets.token_hex(16), lifetime)
    return Reference(subject_ref=reference, expires_at=expires_at)
