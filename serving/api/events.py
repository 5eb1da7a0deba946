"""Events: what visitors do in the shop."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator
from redis.exceptions import RedisError

from privacy.clocks import AHEAD
from recommenders.ranking import Touchpoint
from serving.auth import RequireStorefront
from serving.deps import GpcDep, ResourcesDep, SubjectDep
from serving.gpc import record_objection
from serving.identifiers import EventId, ProductId, RankingId, SessionId, Size
from serving.intake import Outcome, StreamFullError, take_in
from serving.logs import described, log
from serving.metrics import EVENTS
from serving.problems import EVENTS_HELD_UP, UNAVAILABLE, Problem, problem_responses

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["events"], dependencies=[RequireStorefront])
OLDEST = timedelta(days=7)
EventType = Literal[
    "page_view",
    "click",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "wishlist",
    "purchase",
    "impression",
]
# What an event of a type says nothing without.
NEEDED: dict[str, tuple[str, ...]] = {
    "search": ("query",),
    "impression": ("product_id", "ranking_id", "position"),
    **dict.fromkeys(
        ("click", "add_to_cart", "remove_from_cart", "wishlist", "purchase"), ("product_id",)
    ),
}


class Event(BaseModel):
    """One thing that a visitor did."""

    model_config = ConfigDict(extra="forbid")

    event_id: Annotated[
        EventId, Field(description="Chosen by the storefront, unique; a repeated id is stored once")
    ]
    event_type: Annotated[EventType, Field(description="What happened")]
    event_timestamp: Annotated[
        AwareDatetime,
        Field(description="When, with its time zone; at most 7 days ago and 5 minutes ahead"),
    ]
    product_id: Annotated[
        ProductId | None, Field(description="The product; needed for all but page_view and search")
    ] = None
    size: Annotated[Size | None, Field(description="The size chosen")] = None
    query: Annotated[
        str | None,
        Field(
            max_length=500,
            description="What was searched; personal data in it is masked before it is stored",
        ),
    ] = None
    dwell_seconds: Annotated[
        float | None,
        Field(ge=0, le=86_400, allow_inf_nan=False, description="How long a page was looked at"),
    ] = None
    position: Annotated[
        int | None, Field(ge=1, le=10_000, description="Place in the ranking or listing, from 1")
    ] = None
    touchpoint: Annotated[Touchpoint | None, Field(description="Where it happened")] = None
    ranking_id: Annotated[
        RankingId | None, Field(description="The ranking that led to it; needed for an impression")
    ] = None

    @field_validator("event_timestamp")
    @classmethod
    def _plausible(cls, value: datetime) -> datetime:
        now = datetime.now(UTC)
        if value > now + AHEAD:
            raise ValueError("Input lies in the future; check the storefront's clock")
        if value < now - OLDEST:
            raise ValueError("Input is older than 7 days; bring older events in with an ingest")
        return value.astimezone(UTC)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [
            name for name in NEEDED.get(self.event_type, ()) if getattr(self, name) in (None, "")
        ]
        if missing:
            raise ValueError(f"An event of type {self.event_type} needs {', '.join(missing)}")
        return self


class EventBatch(BaseModel):
    """Events of one visitor; whose they are says the header `Selvedge-Subject`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "session": "visit-7f3a",
                    "events": [
                        {
                            "event_id": "evt-000000000001",
                            "event_type": "impression",
                            "event_timestamp": "2026-11-23T21:00:00Z",
                            "product_id": "P0042",
                            "position": 1,
                            "touchpoint": "homepage",
                            "ranking_id": "0b9d5f5e2f6f4a0c9d3c1f0e8a7b6c5d",
                        },
                        {
                            "event_id": "evt-000000000002",
                            "event_type": "add_to_cart",
                            "event_timestamp": "2026-11-23T21:00:30Z",
                            "product_id": "P0042",
                            "size": "M",
                        },
                    ],
                }
            ]
        },
    )

    session: Annotated[
        SessionId | None, Field(description="The visit's own id; only a keyed hash of it is stored")
    ] = None
    events: Annotated[
        list[Event], Field(min_length=1, max_length=500, description="All valid, or none is stored")
    ]


class EventReceipt(BaseModel):
    """What became of a batch."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"accepted": 2, "duplicates": 0, "withheld": 0}]}
    )

    accepted: Annotated[int, Field(description="Stored in the stream, on their way to the lake")]
    duplicates: Annotated[int, Field(description="Stored before under the same id")]
    withheld: Annotated[
        int,
        Field(
            description="Not stored: the visitor is anonymous, or did not agree to any purpose they would serve"
        ),
    ]


@router.post(
    "/events",
    status_code=202,
    summary="Send events",
    response_description="What became of them",
    responses=problem_responses(UNAVAILABLE, EVENTS_HELD_UP),
)
async def post_events(
    body: EventBatch, resources: ResourcesDep, pseudonym: SubjectDep, gpc: GpcDep
) -> EventReceipt:
    """Take in up to 500 events of one visitor.

    Events of a subject who agreed to personalisation or to analytics are stored under their pseudonym; those of everybody
    else are counted in the metrics by type and dropped. Sending a batch again is safe: each event id is stored once. Where the
    visitor's browser sends Global Privacy Control, nothing of the batch serves personalisation.
    """
    events = [event.model_dump() for event in body.events]
    try:
        if gpc and pseudonym is not None:
            await record_objection(resources, pseudonym)
        outcomes = await take_in(resources, pseudonym, body.session, events, gpc=gpc)
    except RedisError as error:
        log.error("events cannot be stored", **described(error))
        raise Problem(
            UNAVAILABLE,
            "The events could not be stored; send the same batch again.",
            headers={"Retry-After": "5"},
        ) from None
    except StreamFullError:
        for event in events:
            EVENTS.labels(event["event_type"], "held_up").inc()
        raise Problem(
            EVENTS_HELD_UP,
            "The events were not stored: as many as may wait for an ingest do. Send the same batch again later.",
            headers={"Retry-After": "60"},
        ) from None
    for event, outcome in zip(events, outcomes, strict=True):
        EVENTS.labels(event["event_type"], outcome).inc()
    counted: Counter[Outcome] = Counter(outcomes)
    return EventReceipt(
        accepted=counted["accepted"],
        duplicates=counted["duplicate"],
        withheld=counted["withheld"] + counted["anonymous"],
    )
