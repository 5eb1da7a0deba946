"""Who makes a privacy request: an administrator with the privacy key, or a person with a token of the shop.

A person's call comes through the storefront, with its API key and the token in the header `Selvedge-Requester`. Whatever is wrong
with a token, and whoever is unknown, gets one answer.
"""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request

from privacy import request_records, requester_marks, requests
from privacy.privacy_request import PrivacyRequest, RequestKind, UnknownRequestError
from privacy.requester import identify
from serving.auth import Scope
from serving.problems import Problem, ProblemKind
from serving.rate_limits import count_address, count_requester

__all__ = ["NOT_RECOGNISED", "Caller", "CallerDep"]

NOT_RECOGNISED = ProblemKind(
    "requester-not-recognised",
    401,
    "The requester was not recognised",
    "Send a fresh token of the shop for this kind of request in the header 'Selvedge-Requester'. A token lives for minutes and is good "
    "for one call; nothing is said about why one was refused, or about whom it named.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; `token` is None for an administrator."""

    token: str | None
    actor: str

    @property
    def is_administrator(self) -> bool:
        """Whether the privacy key was sent, without a token."""
        return self.token is None

    def pseudonym_for(self, kind: RequestKind) -> str:
        """The person who may ask for `kind`; raises Problem, the same one whatever is wrong."""
        requester = identify(self.token or "")
        count_requester(requester.limited_by)
        if not requester.may_ask(kind):
            raise Problem(NOT_RECOGNISED)
        return requester.pseudonym

    def readable(self, request_id: UUID) -> PrivacyRequest:
        """The request, where the caller may read it: administrators all, a person their own with a token of its kind.

        Raises UnknownRequestError to an administrator, Problem to a person: the same for a request of others and for none.
        """
        if self.is_administrator:
            return requests.get(request_id)
        requester = identify(self.token or "")
        count_requester(requester.limited_by)
        own = request_records.is_of(request_id, requester.pseudonym)
        # Who was erased has no pseudonym any more; both are always asked, so that neither shows.
        own |= requester_marks.opens(request_id, requester.identifier)
        try:
            request = requests.get(request_id)
        except UnknownRequestError:
            raise Problem(NOT_RECOGNISED) from None
        if not (requester.valid and own and requester.purpose is request.kind):
            raise Problem(NOT_RECOGNISED)
        return request


def _caller(
    request: Request,
    token: Annotated[
        str | None,
        Header(
            alias="Selvedge-Requester",
            max_length=8192,
            description="Token of the shop (JWT) for the person who asks, where no administrator does: audience, subject, "
            "purpose (the kind of request), a nonce, and a lifetime of minutes. Good for one call.",
        ),
    ] = None,
) -> Caller:
    """The caller; a person's calls are counted by address, where that is known, before anything else is looked at."""
    if token is None and request.state.scope is Scope.PRIVACY:
        return Caller(None, "api")
    count_address(request)
    return Caller(token or "", "requester")


CallerDep = Annotated[Caller, Depends(_caller)]
