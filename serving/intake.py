"""Taking events in: consent first, then the stream and the session, in two round trips to Redis."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import psycopg
from starlette.concurrency import run_in_threadpool

from consent.masks import MASK_FIELDS, Mask, decode, mask_key
from privacy.contracts import Purpose
from privacy.pii import shared_masker
from privacy.pseudonymise import session_hash
from serving.event_stream import STREAM, queue_append, queue_seen, queue_trim
from serving.logs import described, log
from serving.online import INTERACTIONS_ASSETS, RANKER_ASSETS, SESSION_ASSETS, serves_all
from serving.resources import Resources
from serving.sessions import queue_items, session_key
from serving.stream_watch import count_trimmed

__all__ = ["Outcome", "StreamFullError", "take_in"]

Outcome = Literal["accepted", "duplicate", "withheld", "anonymous"]
Event = dict[str, Any]


class StreamFullError(RuntimeError):
    """The stream holds as many events as it may, so none of the batch was stored."""


async def take_in(
    resources: Resources,
    pseudonym: str | None,
    session: str | None,
    events: Sequence[Event],
    *,
    gpc: bool = False,
) -> list[Outcome]:
    """Store what may be stored of `events` and say what became of each, in order.

    With `gpc`, the visitor's browser objects to personalisation: where the ledger says otherwise all the same (they agreed after
    their objection), nothing is stored, for what is stored would serve what the ledger says.

    Raises redis.RedisError where Redis does not answer, StreamFullError where the stream has no room for the batch; the same
    batch may be sent again. Workers that ask at the same moment may each fill the last room with a batch.
    """
    if pseudonym is None:
        return ["anonymous"] * len(events)
    pipeline = resources.redis.pipeline(transaction=False)
    pipeline.hmget(mask_key(pseudonym), list(MASK_FIELDS))
    queue_seen(pipeline, pseudonym, [event["event_id"] for event in events])
    pipeline.xlen(STREAM)
    raw_mask, seen, waiting = await pipeline.execute()
    mask = decode(raw_mask)
    if not _may_store(mask) or (gpc and mask != mask.without(Purpose.PERSONALISATION)):
        return ["withheld"] * len(events)
    fresh = _fresh(events, seen)
    if fresh:
        if waiting + len(fresh) > resources.settings.serving_event_stream_limit:
            raise StreamFullError
        await _store(resources, pseudonym, session, fresh, mask)
    stored = {id(event) for event in fresh}
    return ["accepted" if id(event) in stored else "duplicate" for event in events]


def _may_store(mask: Mask) -> bool:
    """For personalisation only where the subject is ranked at all: an objection to profiling ends it."""
    return serves_all(
        mask, Purpose.PERSONALISATION, (*INTERACTIONS_ASSETS, *RANKER_ASSETS)
    ) or serves_all(mask, Purpose.ANALYTICS, INTERACTIONS_ASSETS)


def _fresh(events: Sequence[Event], seen: Sequence[int]) -> list[Event]:
    """The events that were not stored before; of equal ids in the batch, the first."""
    first = {event["event_id"]: event for event in reversed(events)}
    return [
        event
        for event, was_seen in zip(events, seen, strict=True)
        if not was_seen and first[event["event_id"]] is event
    ]


async def _store(
    resources: Resources,
    pseudonym: str,
    session: str | None,
    events: Sequence[Event],
    mask: Mask,
) -> None:
    settings = resources.settings
    queries = await run_in_threadpool(_masked_queries, resources, pseudonym, events)
    hashed = session_hash(session) if session else None
    entries = [
        {**event, "query": query, "session": hashed, "event_timestamp": _text(event)}
        for event, query in zip(events, queries, strict=True)
    ]
    pipeline = resources.redis.pipeline(transaction=False)
    queue_trim(pipeline)
    queue_append(pipeline, pseudonym, entries)
    follows = _follows_session(mask)
    if follows:
        queue_items(
            pipeline,
            pseudonym,
            _items(events),
            keep=settings.serving_session_items,
            ttl=settings.serving_session_ttl,
        )
    pipeline.hmget(mask_key(pseudonym), list(MASK_FIELDS))
    trimmed, *_, raw_mask = await pipeline.execute()
    count_trimmed(trimmed)
    if follows and not _follows_session(decode(raw_mask)):
        await resources.redis.delete(session_key(pseudonym))  # withdrawn while it was written


def _follows_session(mask: Mask) -> bool:
    return serves_all(mask, Purpose.PERSONALISATION, (*RANKER_ASSETS, *SESSION_ASSETS))


def _text(event: Mapping[str, Any]) -> str:
    return str(event["event_timestamp"].isoformat(timespec="microseconds"))


def _items(events: Sequence[Event]) -> list[tuple[str, str]]:
    """(event type, product id) of the events about a product, oldest first."""
    ordered = sorted(events, key=lambda event: event["event_timestamp"])
    return [(event["event_type"], event["product_id"]) for event in ordered if event["product_id"]]


def _masked_queries(
    resources: Resources, pseudonym: str, events: Sequence[Event]
) -> list[str | None]:
    """The events' queries without personal data, the subject's own names among it.

    Where the vault does not answer, the queries are dropped: the subject's name could not be told from another word.
    """
    queries = [event["query"] for event in events]
    if not any(queries):
        return queries
    try:
        known = resources.vault.reveal(pseudonym)
    except psycopg.OperationalError as error:
        log.error("vault does not answer; queries are dropped", **described(error))
        return [None] * len(events)
    return shared_masker().mask(queries, [known] * len(events))
