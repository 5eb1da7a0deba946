"""What routes ask for: the worker's shared resources and the subject of the request."""

from typing import Annotated, cast

from fastapi import Depends, Header, Request

from privacy.subject_reference import (
    ExpiredSubjectReferenceError,
    InvalidSubjectReferenceError,
    open_reference,
)
from serving.metrics import REFERENCES
from serving.resources import Resources

__all__ = ["GpcDep", "ResourcesDep", "SubjectDep"]


async def _resources(request: Request) -> Resources:
    return cast(Resources, request.app.state.resources)


async def _subject(
    reference: Annotated[
        str | None,
        Header(
            alias="Selvedge-Subject",
            max_length=1024,
            description="Subject reference from `POST /v1/subjects/reference`. Without it, or with one that expired or is "
            "not valid, the request is that of an anonymous visitor.",
        ),
    ] = None,
) -> str | None:
    """The pseudonym in the request's subject reference; None for an anonymous visitor."""
    if not reference:
        REFERENCES.labels("none").inc()
        return None
    try:
        pseudonym = open_reference(reference)
    except ExpiredSubjectReferenceError:
        REFERENCES.labels("expired").inc()
        return None
    except InvalidSubjectReferenceError:
        REFERENCES.labels("invalid").inc()
        return None
    REFERENCES.labels("opened").inc()
    return pseudonym


async def _gpc(
    signal: Annotated[
        str | None,
        Header(
            alias="Sec-GPC",
            max_length=16,
            description="Global Privacy Control, as the visitor's browser sent it. `1` objects to personalisation: it is honoured "
            "in this very answer, and recorded once for a subject.",
            examples=["1"],
        ),
    ] = None,
) -> bool:
    """Whether the visitor's browser objects to personalisation."""
    return signal is not None and signal.strip() == "1"


ResourcesDep = Annotated[Resources, Depends(_resources)]
SubjectDep = Annotated[str | None, Depends(_subject)]
GpcDep = Annotated[bool, Depends(_gpc)]
