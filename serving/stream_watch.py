"""Keeps the event stream within its retention while nobody sends events, and shows how full it is."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from serving.event_stream import STREAM, queue_trim
from serving.logs import described, log
from serving.metrics import STREAM_ENTRIES, STREAM_OLDEST_SECONDS, STREAM_TRIMMED

__all__ = ["count_trimmed", "watch_stream", "watched_stream"]


def count_trimmed(entries: int) -> None:
    """Count entries that were removed because no ingest took them in within the retention; each such removal is logged."""
    if entries:
        STREAM_TRIMMED.inc(entries)
        log.error(
            "events reached the end of their retention before an ingest took them in: materialise lake/interactions",
            entries=entries,
        )


async def watch_stream(redis: Redis) -> None:
    """Trim the stream, and set the gauges of its length and its oldest entry; NaN where Redis does not answer."""
    pipeline = redis.pipeline(transaction=False)
    queue_trim(pipeline)
    pipeline.xlen(STREAM)
    pipeline.xrange(STREAM, count=1)
    try:
        trimmed, entries, oldest = await pipeline.execute()
    except RedisError as error:
        log.error("event stream cannot be watched", **described(error))
        STREAM_ENTRIES.set(math.nan)
        STREAM_OLDEST_SECONDS.set(math.nan)
        return
    count_trimmed(trimmed)
    STREAM_ENTRIES.set(entries)
    STREAM_OLDEST_SECONDS.set(_age(oldest[0][0]) if oldest else 0)


def _age(entry_id: bytes) -> float:
    """Seconds since the entry came in, which its id says in milliseconds of Unix time."""
    came_in = int(entry_id.partition(b"-")[0]) / 1000
    return max(0.0, datetime.now(UTC).timestamp() - came_in)


@asynccontextmanager
async def watched_stream(redis: Redis, seconds: float) -> AsyncIterator[None]:
    """Watch the stream at once and then every `seconds` until the block ends."""
    ended = asyncio.Event()
    task = asyncio.create_task(_watch(redis, seconds, ended))
    try:
        yield
    finally:
        # Not cancelled: redis-py may take a cancellation that meets it while it connects for a timeout.
        ended.set()
        await task


async def _watch(redis: Redis, seconds: float, ended: asyncio.Event) -> None:
    while not ended.is_set():
        await watch_stream(redis)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), seconds)
