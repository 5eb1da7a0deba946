"""Events on their way to the lake: the Redis stream `sv:events`, one entry for each event.

Fields of an entry, all text, left out where unknown: `pseudonym`, `event_id`, `event_type`, `event_timestamp` (ISO 8601,
UTC, microseconds), `session` (keyed hash), `product_id`, `size`, `query` (personal data masked), `dwell_seconds`,
`position`, `touchpoint`, `ranking_id`. The asset `lake/interactions` reads the entries and deletes them once they are stored.

`sv:seen:{pseudonym}` holds the ids of a subject's latest events, so that a repeated batch is not stored twice. The entries
are written before the ids: after a crash between the two a repeated event is stored again, and the lake, whose rows are
keyed by the event's id, drops it. No event is lost.

The stream is bounded although nobody may be reading it. An entry is kept for as long as the stream's contract says and no
longer: every append trims it, so does every worker now and then (`serving.stream_watch`), and the key expires when neither
happens. And before it holds more entries than the settings allow, `serving.intake` refuses events instead of dropping older ones.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio.client import Pipeline

from privacy.registry import PLATFORM_CONTRACTS

__all__ = [
    "RETENTION",
    "SEEN_TTL",
    "STREAM",
    "queue_append",
    "queue_seen",
    "queue_trim",
    "seen_key",
]

STREAM = "sv:events"
RETENTION = next(
    timedelta(days=contract.retention.days)
    for contract in PLATFORM_CONTRACTS
    if contract.key == "platform/event_stream" and contract.retention
)
SEEN_TTL = timedelta(days=2)
_LEFT_OUT = (None, "")


def seen_key(pseudonym: str) -> str:
    """Redis key of the set of a subject's latest event ids."""
    return f"sv:seen:{{{pseudonym}}}"


def queue_seen(pipeline: Pipeline, pseudonym: str, event_ids: Sequence[str]) -> None:
    """Add to `pipeline` the question which of `event_ids` were stored before: a list of 0 and 1, in order."""
    pipeline.smismember(seen_key(pseudonym), list(event_ids))


def queue_trim(pipeline: Pipeline) -> None:
    """Add to `pipeline` the removal of entries that came in longer ago than the retention: gives how many there were."""
    oldest = int((datetime.now(UTC) - RETENTION).timestamp() * 1000)
    pipeline.xtrim(STREAM, minid=oldest, approximate=False)


def queue_append(pipeline: Pipeline, pseudonym: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Add to `pipeline` the storing of `events` (at least one), each a mapping of the fields above without the pseudonym."""
    for event in events:
        fields: dict[Any, Any] = {"pseudonym": pseudonym}
        fields |= {name: str(value) for name, value in event.items() if value not in _LEFT_OUT}
        pipeline.xadd(STREAM, fields)
    pipeline.expire(STREAM, RETENTION)
    key = seen_key(pseudonym)
    pipeline.sadd(key, *(event["event_id"] for event in events))
    pipeline.expire(key, SEEN_TTL)
