"""Consents: what a person agrees to and refuses, from the shop's own forms, a CMP's cookie or a TC string."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import psycopg
from fastapi import APIRouter, Cookie, Header
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from redis.exceptions import RedisError

from consent.intake import cookiebot, tcf
from consent.intake.mapping import Decisions, decisions_of_cookie, decisions_of_tc_string
from consent.intake.statements import Statement, take_in
from consent.ledger import Decision
from consent.policies import policy_versions
from consent.purposes import needs_consent
from privacy.clocks import AHEAD
from privacy.contracts import Purpose
from serving.auth import RequireStorefront
from serving.identifiers import EventId
from serving.logs import described, log
from serving.problems import INVALID_REQUEST, UNAVAILABLE, Problem, problem_responses
from serving.subject_path import INVALID_REFERENCE, opened

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["consents"], dependencies=[RequireStorefront])
OLDEST = timedelta(days=3650)
_SOURCE = "api"
_COOKIE, _TC_STRING = "cookiebot", "tcf"
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,31}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]


class ConsentStatement(BaseModel):
    """What one person said; whose it is says the header `Selvedge-Subject`.

    It holds `decisions`, `cookiebot` or `tc_string`; without any of them, the request's cookie `CookieConsent` counts.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "statement_id": "stmt-000000000001",
                    "stated_at": "2026-11-23T21:00:00Z",
                    "mechanism": "banner",
                    "language": "de",
                    "policy_version": "3.0",
                    "decisions": {"personalisation": "opt_in", "analytics": "opt_out"},
                },
                {
                    "statement_id": "stmt-000000000002",
                    "language": "de",
                    "policy_version": "3.0",
                    "cookiebot": "{stamp:'Zm9vYmFyYmF6cXV4',necessary:true,preferences:false,statistics:true,"
                    "marketing:false,method:'explicit',ver:1,utc:1795467600000,region:'de'}",
                },
            ]
        },
    )

    statement_id: Annotated[
        EventId,
        Field(description="Chosen by the storefront, unique; a statement sent again counts once"),
    ]
    stated_at: Annotated[
        AwareDatetime | None,
        Field(
            description="When, with its time zone; needed to agree by `decisions`. A cookie says it itself; a TC string says the day "
            "alone, so give it here too: without it, what the string agrees to counts from the day's beginning, what it refuses from "
            "its receipt"
        ),
    ] = None
    mechanism: Annotated[
        Name, Field(description="How it was said, as in banner or privacy_centre")
    ] = "banner"
    language: Annotated[
        Language | None, Field(description="Language of what the person was shown, as in de")
    ] = None
    policy_version: Annotated[
        Version, Field(description="Version of the policy that the person was shown")
    ]
    decisions: Annotated[
        dict[Purpose, Literal["opt_in", "opt_out"]] | None,
        Field(min_length=1, description="By purpose; purposes that are not named stay as they are"),
    ] = None
    cookiebot: Annotated[
        str | None,
        Field(
            max_length=6_144,
            description="Value of the cookie CookieConsent. A browser can write it: its stamp is kept as a reference to the CMP's log",
        ),
    ] = None
    tc_string: Annotated[
        str | None, Field(max_length=16_384, description="IAB TCF 2.2 consent string")
    ] = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        given = [self.decisions, self.cookiebot, self.tc_string]
        if sum(value is not None for value in given) > 1:
            raise ValueError("Give one of decisions, cookiebot and tc_string")
        if "opt_in" in (self.decisions or {}).values() and self.stated_at is None:
            raise ValueError("To agree by decisions, stated_at is needed")
        for purpose in self.decisions or ():
            if not needs_consent(purpose):
                raise ValueError(f"{purpose.value} does not rest on consent and cannot be decided")
        return self


class ConsentReceipt(BaseModel):
    """What was taken in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "statement_id": "stmt-000000000001",
                    "stated_at": "2026-11-23T21:00:00Z",
                    "decisions": {"personalisation": "opt_in", "analytics": "opt_out"},
                }
            ]
        }
    )

    statement_id: str
    stated_at: Annotated[
        AwareDatetime,
        Field(
            description="Statements are ordered by it: when it was said; an agreement not later than it was received, a refusal "
            "that says no time when it was received"
        ),
    ]
    decisions: Annotated[
        dict[Purpose, Decision],
        Field(description="What the statement says of each purpose; a later one may say otherwise"),
    ]


@router.post(
    "/consents",
    summary="Record a consent statement",
    response_description="What was taken in; serving follows it from now on",
    responses=problem_responses(INVALID_REFERENCE, UNAVAILABLE),
)
def post_consents(
    body: ConsentStatement,
    subject: Annotated[
        str,
        Header(
            alias="Selvedge-Subject",
            min_length=1,
            max_length=1024,
            description="Subject reference from `POST /v1/subjects/reference`",
        ),
    ],
    cookie: Annotated[
        str | None,
        Cookie(
            alias="CookieConsent",
            max_length=6_144,
            description="Cookiebot's cookie, where the storefront passes the browser's cookies on",
        ),
    ] = None,
) -> ConsentReceipt:
    """Append what a person agrees to and refuses to the consent ledger.

    Before the answer is sent, serving knows: the next ranking follows the statement. Statements count in the order of their
    `stated_at`, however late they arrive; of two at one time the refusal wins. A refusal that does not say when counts from now.
    The answer says what the request said, whoever it
    is about: it does not tell who is a customer.
    """
    pseudonym = opened(subject)
    statement = _statement(body, cookie)
    with _available():
        take_in(pseudonym, statement)
    return ConsentReceipt(
        statement_id=body.statement_id,
        stated_at=max(map(statement.counts_from, statement.decisions.values())),
        decisions=statement.decisions,
    )


def _statement(body: ConsentStatement, cookie: str | None) -> Statement:
    """The statement in the body, or in the cookie; raises Problem where there is none, or one that cannot be used."""
    if body.decisions is not None:
        decisions: Decisions = {p: Decision(said) for p, said in body.decisions.items()}
        return _checked(body, decisions, body.stated_at, body.mechanism, body.language, {})
    if body.tc_string is not None:
        return _from_tc_string(body, body.tc_string)
    if (value := body.cookiebot if body.cookiebot is not None else cookie) is not None:
        where = "body/cookiebot" if body.cookiebot is not None else "cookie/CookieConsent"
        return _from_cookie(body, value, where)
    raise _invalid("body", "Give decisions, cookiebot or tc_string, or send the cookie along")


def _from_cookie(body: ConsentStatement, value: str, where: str) -> Statement:
    try:
        consent = cookiebot.parse(value)
    except cookiebot.CookieError as error:
        raise _invalid(where, str(error)) from None
    proof = {
        "kind": _COOKIE,
        "reference": consent.stamp,
        "verified": False,
        "method": "explicit" if consent.explicit else "implied",
        "version": consent.version,
        "region": consent.region,
    }
    at = consent.stated_at or body.stated_at
    return _checked(body, decisions_of_cookie(consent), at, _COOKIE, body.language, proof)


def _from_tc_string(body: ConsentStatement, value: str) -> Statement:
    try:
        tc = tcf.decode(value)
        decisions = decisions_of_tc_string(tc)
    except tcf.TcfError as error:
        raise _invalid("body/tc_string", str(error)) from None
    at = body.stated_at or tc.last_updated
    if at < tc.last_updated:
        raise _invalid("body/stated_at", "Input is before the TC string was last updated")
    proof = {"kind": _TC_STRING, "tc_string": value, "cmp_id": tc.cmp_id, "verified": False}
    language = body.language or tc.consent_language.lower()
    dated = body.stated_at is not None
    return _checked(body, decisions, at, _TC_STRING, language, proof, dated=dated)


def _checked(
    body: ConsentStatement,
    decisions: Decisions,
    at: datetime | None,
    mechanism: str,
    language: str | None,
    proof: dict[str, Any],
    *,
    dated: bool = True,
) -> Statement:
    """The statement, if it may be taken in; `dated`: whether `at` is when it was said, and not only the day."""
    now = datetime.now(UTC)
    if at is None:
        if Decision.OPT_IN in decisions.values():
            raise _invalid("body/stated_at", "The cookie does not say when: give stated_at")
        at, dated = now, False
    if at > now + AHEAD:
        raise _invalid("body/stated_at", "Input lies in the future; check the clock that made it")
    if at < now - OLDEST:
        raise _invalid("body/stated_at", "Input is older than ten years")
    if Decision.OPT_IN in decisions.values():
        _agreed_to_a_known_text(body.policy_version, language)
    return Statement(
        body.statement_id,
        decisions,
        at,
        mechanism,
        body.policy_version,
        _SOURCE,
        language,
        proof,
        dated,
        now,
    )


def _agreed_to_a_known_text(version: str, language: str | None) -> None:
    """An agreement is to a text that the platform holds; a refusal is taken in whatever it answers to."""
    known = policy_versions()
    if version not in known:
        raise _invalid(
            "body/policy_version",
            f"An agreement needs a version that is registered in consent/policies.yaml: {', '.join(known)}",
        )
    if (language or "").partition("-")[0] not in known[version].sha256:
        shown = ", ".join(sorted(known[version].sha256))
        raise _invalid("body/language", f"An agreement needs a language of that version: {shown}")


def _invalid(pointer: str, detail: str) -> Problem:
    return Problem(
        INVALID_REQUEST,
        f"1 field is not valid: {pointer}.",
        errors=[{"pointer": pointer, "detail": detail}],
    )


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (RedisError, psycopg.OperationalError) as error:
        log.error("consent cannot be recorded", **described(error))
        raise Problem(
            UNAVAILABLE,
            "The statement could not be taken in; send it again, it counts once.",
            headers={"Retry-After": "5"},
        ) from None
