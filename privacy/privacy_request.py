"""What a privacy request is: its kind, where it stands, and how it is read from the table of requests.

received ──► in_progress ──► completed
   │  ▲          ▲    └────► incomplete (names each store that failed; tried again)
   ▼  │          └───────────────┘
identity_check ──► rejected (with a ground; from `received` too)
cancelled: an open request of somebody who was erased
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from privacy import request_steps
from privacy.database import Role, connect
from privacy.request_steps import Step

__all__ = [
    "COLUMNS",
    "TO_DO",
    "UNDECIDED",
    "ExtensionReason",
    "PrivacyRequest",
    "RejectionGround",
    "RequestKind",
    "RequestStatus",
    "UnknownRequestError",
    "from_row",
    "get",
    "listed",
]

COLUMNS = "request_id, kind, status, created, expected_completion_time, completed, detail"
TO_DO = ("received", "in_progress", "incomplete")
UNDECIDED = (*TO_DO, "identity_check")
_Member = TypeVar("_Member", bound=StrEnum)


class UnknownRequestError(KeyError):
    """No privacy request has this id."""

    def __str__(self) -> str:
        return str(self.args[0])


class RequestKind(StrEnum):
    """What a person asks for, by the right that it rests on."""

    ACCESS = "access"  # Art. 15
    PORTABILITY = "portability"  # Art. 20
    RECTIFICATION = "rectification"  # Art. 16
    ERASURE = "erasure"  # Art. 17
    RESTRICTION = "restriction"  # Art. 18
    OBJECTION = "objection"  # Art. 21

    @property
    def exports(self) -> bool:
        """Whether its outcome is a file for the person."""
        return self in (RequestKind.ACCESS, RequestKind.PORTABILITY)


class RequestStatus(StrEnum):
    """Where a request stands."""

    RECEIVED = "received"
    IDENTITY_CHECK = "identity_check"
    IN_PROGRESS = "in_progress"
    INCOMPLETE = "incomplete"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class ExtensionReason(StrEnum):
    """Why the time limit may be two months longer (Art. 12(3))."""

    COMPLEXITY = "complexity"
    NUMBER_OF_REQUESTS = "number_of_requests"


class RejectionGround(StrEnum):
    """Why a request may be refused: Art. 12(5) and (6), 17(3), 21(1)."""

    MANIFESTLY_UNFOUNDED = "manifestly_unfounded"  # 12(5)
    EXCESSIVE = "excessive"  # 12(5)
    IDENTITY_NOT_CONFIRMED = "identity_not_confirmed"  # 12(6)
    FREEDOM_OF_EXPRESSION = "freedom_of_expression"  # 17(3)(a)
    LEGAL_OBLIGATION = "legal_obligation"  # 17(3)(b)
    PUBLIC_HEALTH = "public_health"  # 17(3)(c)
    ARCHIVING_OR_RESEARCH = "archiving_or_research"  # 17(3)(d)
    LEGAL_CLAIMS = "legal_claims"  # 17(3)(e), 21(1)
    COMPELLING_GROUNDS = "compelling_grounds"  # 21(1)


@dataclass(frozen=True)
class PrivacyRequest:
    """One request; it says nothing of whom it is about.

    Attributes
    ----------
    unfinished: each step that is missing, with the reason, where it is incomplete.
    paused_since: since when it waits for the person's identity to be checked; its time limit stands still meanwhile.
    extension: why its time limit was extended; None where it was not.
    ground: why it was rejected; None where it was not.
    lifted: when the restriction that it asked for was lifted.
    """

    request_id: UUID
    kind: RequestKind
    status: RequestStatus
    created: datetime
    expected_completion_time: datetime
    completed: datetime | None
    attempts: int
    unfinished: tuple[str, ...]
    paused_since: datetime | None = None
    extension: ExtensionReason | None = None
    ground: RejectionGround | None = None
    lifted: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is still something that the platform has to do."""
        return self.status.value in TO_DO

    @property
    def is_undecided(self) -> bool:
        """Whether it is neither completed nor rejected nor cancelled."""
        return self.status.value in UNDECIDED

    def steps(self) -> list[Step]:
        """What was done in each store, read anew."""
        return request_steps.steps_of(self.request_id)


def get(request_id: UUID) -> PrivacyRequest:
    """One request; raises UnknownRequestError."""
    with connect(Role.PRIVACY) as connection:
        row = connection.execute(
            f"select {COLUMNS} from requests.privacy_requests where request_id = %s",  # noqa: S608 (constant column names)
            [request_id],
        ).fetchone()
    if row is None:
        raise UnknownRequestError("There is no privacy request with this id.")
    return from_row(row)


def listed(*, open_only: bool) -> list[PrivacyRequest]:
    """Every request, or every one that is not closed, the one due first at the head."""
    with connect(Role.PRIVACY) as connection:
        rows = connection.execute(
            f"select {COLUMNS} from requests.privacy_requests where status = any(%s) or not %s "  # noqa: S608
            "order by expected_completion_time, request_id",
            [list(UNDECIDED), open_only],
        ).fetchall()
    return [from_row(row) for row in rows]


def from_row(row: Sequence[Any]) -> PrivacyRequest:
    """The request in a row of `COLUMNS`."""
    request_id, kind, status, created, expected, completed, detail = row
    return PrivacyRequest(
        request_id=request_id,
        kind=RequestKind(kind),
        status=RequestStatus(status),
        created=created,
        expected_completion_time=expected,
        completed=completed,
        attempts=int(detail.get("attempts", 0)),
        unfinished=tuple(detail.get("unfinished", ())),
        paused_since=_moment(detail.get("paused_since")),
        extension=_member(ExtensionReason, detail.get("extension")),
        ground=_member(RejectionGround, detail.get("ground")),
        lifted=_moment(detail.get("lifted")),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _member(kind: type[_Member], text: str | None) -> _Member | None:
    return kind(text) if text else None
