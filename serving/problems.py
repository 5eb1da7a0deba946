"""Errors as RFC 9457 problem details (``application/problem+json``), for every way a request can fail.

    Problem            raised by routes; carries one of the kinds below
    ProblemKind        slug, status and title of a kind; its `type` is the address of its explanation

A response never repeats what the caller sent: neither a value that failed validation nor the path (which may hold a
subject reference). `instance` is a URN that also stands in the log, so that the two can be matched.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

__all__ = [
    "BAD_REQUEST",
    "CONFLICT",
    "EVENTS_HELD_UP",
    "FORBIDDEN",
    "INTERNAL_ERROR",
    "INVALID_REQUEST",
    "KINDS",
    "METHOD_NOT_ALLOWED",
    "NOT_FOUND",
    "NOT_READY",
    "TOO_LARGE",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNSUPPORTED_MEDIA_TYPE",
    "FieldError",
    "Problem",
    "ProblemDocument",
    "ProblemKind",
    "add_problem_handlers",
    "document_problem",
    "new_instance",
    "problem_response",
    "problem_responses",
]

MEDIA_TYPE = "application/problem+json"


KINDS: dict[str, "ProblemKind"] = {}
"""Every kind that was defined, by slug."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem: `slug` names its explanation at ``/problems/{slug}``, where defining it puts it."""

    slug: str
    status: int
    title: str
    advice: str

    def __post_init__(self) -> None:
        KINDS.setdefault(self.slug, self)

    @property
    def type(self) -> str:
        """The ``type`` member: a reference to the explanation, relative to the API's root."""
        return f"/problems/{self.slug}"


BAD_REQUEST = ProblemKind(
    "bad-request", 400, "The request cannot be read", "Send well-formed JSON in UTF-8."
)
UNAUTHENTICATED = ProblemKind(
    "unauthenticated",
    401,
    "An API key is needed",
    "Send the header 'Authorization: Bearer <API key>' with a key of the scope the route asks for.",
)
FORBIDDEN = ProblemKind(
    "forbidden",
    403,
    "The API key lacks the scope",
    "Use a key of the scope the route asks for; the API page names it for each route.",
)
NOT_FOUND = ProblemKind(
    "not-found", 404, "There is nothing here", "Compare the address with the API page at /docs."
)
METHOD_NOT_ALLOWED = ProblemKind(
    "method-not-allowed",
    405,
    "The method is not allowed here",
    "The header 'Allow' lists the methods of this address.",
)
CONFLICT = ProblemKind(
    "conflict", 409, "The state does not allow this", "Read the resource again and decide anew."
)
TOO_LARGE = ProblemKind(
    "too-large", 413, "The request is too large", "Split the request into smaller ones."
)
UNSUPPORTED_MEDIA_TYPE = ProblemKind(
    "unsupported-media-type",
    415,
    "The body must be JSON",
    "Send the body as JSON with the header 'Content-Type: application/json'.",
)
INVALID_REQUEST = ProblemKind(
    "invalid-request",
    422,
    "The request is not valid",
    "'errors' names each field that is wrong and says why; values are not repeated.",
)
INTERNAL_ERROR = ProblemKind(
    "internal-error",
    500,
    "The server failed",
    "Try again; if it stays, give 'instance' to the operators, who find the failure under it.",
)
UNAVAILABLE = ProblemKind(
    "unavailable",
    503,
    "A server behind the API does not answer",
    "Try again after the seconds in 'Retry-After'; GET /health/ready says what is missing.",
)
NOT_READY = ProblemKind(
    "not-ready",
    503,
    "The API is not ready",
    "'checks' says what is missing; without a model, materialise the asset serving/ranker.",
)
EVENTS_HELD_UP = ProblemKind(
    "events-held-up",
    503,
    "Too many events wait to be ingested",
    "Keep the batch and send it again after the seconds in 'Retry-After'; operators: materialise the asset lake/interactions.",
)

_BY_STATUS = {kind.status: kind for kind in reversed(KINDS.values())}


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    pointer: Annotated[
        str, Field(description="Where: body, query, header or path, then the field's path")
    ]
    detail: Annotated[str, Field(description="What is wrong with it; never the value itself")]


class ProblemDocument(BaseModel):
    """A problem document as RFC 9457 defines it."""

    model_config = ConfigDict(
        extra="allow",
        title="Problem",
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/invalid-request",
                    "title": "The request is not valid",
                    "status": 422,
                    "detail": "1 field is not valid: query/limit.",
                    "instance": "urn:uuid:0193b2c4-0000-7000-8000-000000000000",
                    "errors": [
                        {
                            "pointer": "query/limit",
                            "detail": "Input should be less than or equal to 100",
                        }
                    ],
                }
            ]
        },
    )

    type: Annotated[str, Field(description="Address of the explanation of this kind of problem")]
    title: Annotated[str, Field(description="The kind in one sentence")]
    status: Annotated[int, Field(description="The HTTP status, once more")]
    detail: Annotated[str, Field(description="What went wrong this time and what to do")]
    instance: Annotated[str, Field(description="URN of this occurrence; the log holds it too")]
    errors: Annotated[
        list[FieldError] | None, Field(description="The fields that failed validation")
    ] = None


class Problem(Exception):  # noqa: N818 - the RFC's own word
    """An error for the caller; `detail` says what was wrong and what to do, without personal data."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or kind.advice)
        self.kind = kind
        self.detail = detail or kind.advice
        self.headers = dict(headers or {})
        self.members = members


def new_instance() -> str:
    """A fresh URN for the ``instance`` member."""
    return uuid.uuid4().urn


def problem_response(problem: Problem, instance: str | None = None) -> Response:
    """The response that carries `problem`."""
    content = {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "instance": instance or new_instance(),
        **problem.members,
    }
    return Response(
        orjson.dumps(content),
        problem.kind.status,
        {"Cache-Control": "no-store", **problem.headers},
        MEDIA_TYPE,
    )


def problem_responses(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's ``responses`` of a route that may answer with these kinds; kinds of one status share an entry."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        document_problem(responses.setdefault(kind.status, {}), kind)
    return responses


def document_problem(response: dict[str, Any], kind: ProblemKind) -> None:
    """Add `kind` to what an OpenAPI response says, beside the kinds that it has."""
    sentence = f"{kind.title}. {kind.advice}"
    content = response.setdefault("content", {}).setdefault(
        MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    )
    if kind.slug not in content["examples"]:
        content["examples"][kind.slug] = {"summary": kind.title, "value": _example(kind)}
        response["description"] = " ".join(filter(None, (response.get("description"), sentence)))


def _example(kind: ProblemKind) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.advice,
        "instance": "urn:uuid:0193b2c4-0000-7000-8000-000000000000",
    }
    if kind is INVALID_REQUEST:
        example["detail"] = "1 field is not valid: query/limit."
        example["errors"] = [
            {"pointer": "query/limit", "detail": "Input should be less than or equal to 100"}
        ]
    return example


def _from_http_exception(error: HTTPException) -> Problem:
    kind = _BY_STATUS.get(error.status_code)
    headers = dict(error.headers or {})
    if kind is not None:
        return Problem(kind, headers=headers)
    phrase = HTTPStatus(error.status_code).phrase
    return Problem(
        ProblemKind(phrase.lower().replace(" ", "-"), error.status_code, phrase, f"{phrase}."),
        headers=headers,
    )


# Pydantic's messages of these types repeat (a part of) the value.
_SILENT_MESSAGES = {
    "union_tag_invalid": "The tag is none of those expected",
    "uuid_parsing": "Input should be a valid UUID",
    "uuid_version": "Input should be a UUID of the expected version",
    "url_parsing": "Input should be a valid URL",
    "json_invalid": "The body is not valid JSON",
    "extra_forbidden": "This field is not known here",
}
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")


def _pointer(location: Sequence[int | str]) -> str:
    """`location` as a path; names that are no plausible field name (a caller's own key) are left out."""
    return "/".join(
        str(part) if isinstance(part, int) or _FIELD_NAME.fullmatch(part) else "(unknown)"
        for part in location
    )


def _field_errors(error: RequestValidationError) -> list[FieldError]:
    return [
        FieldError(
            pointer=_pointer(item["loc"]),
            detail=_SILENT_MESSAGES.get(item["type"]) or item["msg"].removeprefix("Value error, "),
        )
        for item in error.errors()
    ]


def _not_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return not media_type.endswith(("/json", "+json"))


def _from_validation(request: Request, error: RequestValidationError) -> Problem:
    errors = _field_errors(error)
    if _not_json(request) and any(
        item["loc"] == ("body",) and item["type"] != "missing" for item in error.errors()
    ):
        return Problem(UNSUPPORTED_MEDIA_TYPE)
    fields = list(dict.fromkeys(item.pointer for item in errors))
    shown = ", ".join(fields[:5]) + (f" and {len(fields) - 5} more" if len(fields) > 5 else "")
    verb = "field is" if len(fields) == 1 else "fields are"
    return Problem(
        INVALID_REQUEST,
        f"{len(fields)} {verb} not valid: {shown}.",
        errors=[item.model_dump() for item in errors[:50]],
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Make `app` answer every expected error with a problem document.

    Unexpected ones are answered by `serving.observation.ObservedRequests`, which must wrap the app: Starlette's own
    last resort passes the exception on to the server, whose log would then hold its message.
    """

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error)

    async def on_http_exception(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(_from_http_exception(error))

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(_from_validation(request, error))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation)
