"""Events that the API put into the Redis stream `sv:events`, on their way into the lake.

An entry is removed from the stream once the Delta commit that holds it is done; after a crash in between it is read again
and recognised by its source key. Its pseudonym comes from the API, its session is hashed and its query masked already.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import redis

from orchestration.sources.batch import QuarantinedRow
from orchestration.sources.model import EVENT_TYPES
from privacy.database import redis_url
from privacy.pii import shared_masker
from privacy.pseudonymise import source_keys
from privacy.vault import Vault

__all__ = ["SOURCE", "STREAM", "EventPage", "drain"]

STREAM = "sv:events"
SOURCE = "stream"
_PAGE = 10_000
_TEXTS = ("session", "product_id", "size", "query", "touchpoint", "ranking_id")
_REQUIRED = ("event_id", "pseudonym", "event_type", "event_timestamp")
_SCHEMA = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("event_type", pa.string()),
        ("event_timestamp", pa.timestamp("us", tz="UTC")),
        ("dwell_seconds", pa.float32()),
        ("position", pa.int32()),
        *((name, pa.string()) for name in _TEXTS),
        ("source", pa.string()),
        ("source_key", pa.string()),
    ]
)


class EventPage:
    """Entries of the stream as rows, and what was wrong with the others.

    Attributes
    ----------
    rows: well-formed events, ready for the lake but for erasures and objections.
    refused: entries that are no event, by their position in the stream.
    read: entries looked at.
    """

    def __init__(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        self.refused: list[QuarantinedRow] = []
        self.read = len(entries)
        self.last = entries[-1][0].decode()
        parsed = [row for entry in entries if (row := self._parsed(*entry)) is not None]
        self.rows = _table(parsed)

    def _parsed(self, entry_id: bytes, raw: Mapping[bytes, bytes]) -> dict[str, Any] | None:
        fields = {name.decode(): value.decode(errors="replace") for name, value in raw.items()}
        try:
            return _event(fields)
        except ValueError as error:
            number = int(entry_id.partition(b"-")[0])
            self.refused.append(QuarantinedRow("interactions", STREAM, number, str(error)))
            return None


def drain(store: Callable[[EventPage], None]) -> None:
    """Hand the entries that are in the stream now to `store`, page by page, removing each page once it is stored."""
    client = redis.Redis.from_url(redis_url())
    try:
        for page in _pages(client):
            store(page)
            client.xtrim(STREAM, minid=_after(page.last), approximate=False)
    finally:
        client.close()


def _pages(client: redis.Redis) -> Iterator[EventPage]:
    newest: Any = client.xrevrange(STREAM, count=1)
    if not newest:
        return
    end = newest[0][0]
    while entries := client.xrange(STREAM, min="-", max=end, count=_PAGE):
        yield EventPage(entries)  # type: ignore[arg-type]


def _after(entry_id: str) -> str:
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"


def _event(fields: Mapping[str, str]) -> dict[str, Any]:
    """One event's columns; ValueError with the reason (no content) where it is none."""
    if missing := [name for name in _REQUIRED if not fields.get(name)]:
        raise ValueError(f"missing:{missing[0]}")
    if fields["event_type"] not in EVENT_TYPES:
        raise ValueError("unknown:event_type")
    return {
        "event_id": fields["event_id"],
        "pseudonym": fields["pseudonym"],
        "event_type": fields["event_type"],
        "event_timestamp": _parse("event_timestamp", fields["event_timestamp"], _moment),
        "dwell_seconds": _parse("dwell_seconds", fields.get("dwell_seconds"), float),
        "position": _parse("position", fields.get("position"), int),
        **{name: fields.get(name) or None for name in _TEXTS},
    }


def _parse(name: str, text: str | None, convert: Callable[[str], Any]) -> Any:
    if not text:
        return None
    try:
        return convert(text)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"unparsable:{name}") from None


def _moment(text: str) -> datetime:
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1_000_000, UTC)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def _table(events: list[dict[str, Any]]) -> pa.Table:
    """Events as rows: queries masked once more, now with what the vault knows of their authors."""
    queries = [event["query"] for event in events]
    authors = sorted({event["pseudonym"] for event in events if event["query"]})
    revealed = Vault().reveal_many(authors) if authors else {}
    masked = shared_masker().mask(queries, [revealed.get(event["pseudonym"]) for event in events])
    ids = pa.array([event["event_id"] for event in events], pa.string())
    keys = source_keys(SOURCE, "interactions", [ids]).to_pylist()
    rows = [
        {**event, "query": query, "source": SOURCE, "source_key": key}
        for event, query, key in zip(events, masked, keys, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)
