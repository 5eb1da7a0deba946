"""Bodies and answers of the privacy routes."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, model_validator

from privacy import registry
from privacy.privacy_request import (
    ExtensionReason,
    PrivacyRequest,
    RejectionGround,
    RequestKind,
    RequestStatus,
)
from privacy.rectification import Corrections
from privacy.request_steps import Step

__all__ = [
    "AssetState",
    "CheckIdentity",
    "Decision",
    "Extend",
    "Lift",
    "NewPrivacyRequest",
    "PrivacyRequestList",
    "PrivacyRequestReport",
    "Reject",
    "Resume",
    "StepReport",
    "report_of",
]

REFERENCE = "AAFkm1qVbR0nJ5mHq0u3s8pXw2Zt7yLcV4gKe9dQxNfTjBvA6hUrMzWo1iPsEyCl"
_ID = "6f1e8f0a-3b0c-4f0e-9a59-0d4f6a1c2b3d"
State = Literal["pending", "running", "failed", "done"]
SubjectRef = Annotated[
    SecretStr,
    Field(min_length=1, max_length=1024, description="Reference from POST /v1/subjects/reference"),
]


class NewPrivacyRequest(BaseModel):
    """What a person asks for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"kind": "erasure", "subject_ref": REFERENCE},
                {
                    "kind": "rectification",
                    "corrections": {
                        "email": "new@mail.example",
                        "country": "FR",
                        "feedback": [{"feedback_id": "F-1017", "rating": 5}],
                    },
                },
            ]
        },
    )

    kind: Annotated[
        RequestKind,
        Field(
            description="access (Art. 15), portability (Art. 20), rectification (Art. 16), erasure (Art. 17), restriction "
            "(Art. 18) or objection to profiling (Art. 21)"
        ),
    ]
    subject_ref: Annotated[
        SubjectRef | None, Field(description="Whom it is about; administrators only")
    ] = None
    corrections: Annotated[
        Corrections | None, Field(description="What is right; of a rectification, and no other")
    ] = None
    identity_check: Annotated[
        bool,
        Field(description="Do nothing until PATCH resumes it; administrators only"),
    ] = False

    @model_validator(mode="after")
    def _corrections_where_needed(self) -> Self:
        if self.kind is RequestKind.RECTIFICATION and self.corrections is None:
            raise ValueError("A rectification needs corrections")
        if self.kind is not RequestKind.RECTIFICATION and self.corrections is not None:
            raise ValueError("Only a rectification has corrections")
        return self


class CheckIdentity(BaseModel):
    """Wait until it is sure who asks (Art. 12(6)); the time limit stands still."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"action": "check_identity"}]}
    )
    action: Literal["check_identity"]


class Resume(BaseModel):
    """Go on: the person is who they say."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"action": "resume"}]}
    )
    action: Literal["resume"]


class Extend(BaseModel):
    """Take two months more, once (Art. 12(3))."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"action": "extend", "reason": "complexity"}]},
    )
    action: Literal["extend"]
    reason: ExtensionReason


class Reject(BaseModel):
    """Refuse, on a ground of Art. 12(5), 12(6), 17(3) or 21(1)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"action": "reject", "ground": "legal_claims"}]},
    )
    action: Literal["reject"]
    ground: RejectionGround


class Lift(BaseModel):
    """End a restriction or an objection; the person's own reference shows that it is theirs."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"action": "lift", "subject_ref": REFERENCE}]},
    )
    action: Literal["lift"]
    subject_ref: SubjectRef


Decision = Annotated[CheckIdentity | Resume | Extend | Reject | Lift, Field(discriminator="action")]


class StepReport(BaseModel):
    """What a request did in one asset."""

    asset: Annotated[str, Field(description="Key of the asset or store")]
    step: Annotated[
        str,
        Field(
            description="What was done: collect, explain, rectify, restrict, withhold, online, erase, purge, verify"
        ),
    ]
    status: Annotated[str, Field(description="pending, running, done or failed")]
    attempts: Annotated[int, Field(description="How often it was begun")]
    affected: Annotated[int, Field(description="Rows, keys or entries; searched places in verify")]
    error: Annotated[str | None, Field(description="Why it failed; for administrators")] = None


class AssetState(BaseModel):
    """Where one asset stands in a request."""

    asset: Annotated[str, Field(description="Key of the asset or store")]
    state: Annotated[State, Field(description="done only where each of its steps is")]


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
                    "paused_since": None,
                    "extension": None,
                    "ground": None,
                    "lifted": None,
                    "attempts": 1,
                    "unfinished": [],
                    "assets": [{"asset": "shop/orders", "state": "done"}],
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
        AwareDatetime,
        Field(
            description="One month after receipt, as the law asks; later by two months where it was extended, and by as long as "
            "an identity check took"
        ),
    ]
    completed: AwareDatetime | None
    paused_since: Annotated[
        AwareDatetime | None, Field(description="Since when it waits for an identity check")
    ]
    extension: Annotated[
        ExtensionReason | None, Field(description="Why its time was extended (Art. 12(3))")
    ]
    ground: Annotated[
        RejectionGround | None,
        Field(
            description="Why it was rejected. The person may complain to an authority and go to court (Art. 12(4))"
        ),
    ]
    lifted: Annotated[
        AwareDatetime | None, Field(description="When the restriction or objection was ended")
    ]
    attempts: int
    unfinished: Annotated[
        list[str],
        Field(
            description="Each step that is missing, with its store and, for administrators, the reason"
        ),
    ]
    assets: Annotated[list[AssetState], Field(description="Each asset that has a part in it")]
    steps: list[StepReport]


class PrivacyRequestList(BaseModel):
    """Privacy requests, the one due first at the head."""

    requests: list[PrivacyRequestReport]


def report_of(request: PrivacyRequest, *, reasons: bool = True) -> PrivacyRequestReport:
    """The answer about one request, its steps read anew.

    `reasons` says why steps failed; for officers, since a store's reason may tell of other people.
    """
    steps = request.steps()
    unfinished = [why if reasons else why.partition(":")[0] for why in request.unfinished]
    return PrivacyRequestReport(
        request_id=request.request_id,
        kind=request.kind,
        status=request.status,
        created=request.created,
        expected_completion_time=request.expected_completion_time,
        completed=request.completed,
        paused_since=request.paused_since,
        extension=request.extension,
        ground=request.ground,
        lifted=request.lifted,
        attempts=request.attempts,
        unfinished=unfinished,
        assets=_states(request, steps),
        steps=[
            StepReport(
                asset=step.asset_key,
                step=step.step,
                status=step.status,
                attempts=step.attempts,
                affected=step.affected,
                error=step.error if reasons else None,
            )
            for step in steps
        ],
    )


def _states(request: PrivacyRequest, steps: list[Step]) -> list[AssetState]:
    """The state of each asset with a step, and of each that a request over all assets has still to reach."""
    by_asset: dict[str, set[str]] = {}
    if request.is_undecided and (request.kind.exports or request.kind is RequestKind.ERASURE):
        waiting = registry.load().holding_subjects
        if request.kind is RequestKind.PORTABILITY:
            waiting = tuple(contract for contract in waiting if contract.is_portable)
        by_asset = {contract.key: {"pending"} for contract in waiting}
    last_step = {RequestKind.ERASURE: "verify"}.get(request.kind)
    for step in steps:
        statuses = by_asset.setdefault(step.asset_key, set())
        if last_step is None or step.step == last_step:
            statuses.discard("pending")
        statuses.add(step.status)
    return [AssetState(asset=key, state=_state(found)) for key, found in sorted(by_asset.items())]


def _state(statuses: set[str]) -> State:
    for state in ("failed", "running", "pending"):
        if state in statuses:
            return state
    return "done"
