"""The ranker that answers: loaded into the process, and exchanged when what is published changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from recommenders.artifacts import fingerprint
from recommenders.ranking import Ranker
from serving.logs import described, log
from serving.metrics import LIVE_MODEL, MODEL_LOADS

__all__ = ["LiveRanker"]

State = Literal["ok", "missing", "unreadable"]


class LiveRanker:
    """Follows `models/live.json` and the artefacts it names (a subject's erasure changes those).

    A model that cannot be loaded leaves the one before in place, and is tried again at the next look.

    Attributes
    ----------
    current: what answers now; None while no model could be loaded.
    state: ok; missing (nothing is published) or unreadable (what is published could not be loaded, and nothing was before).
    """

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._loaded: str | None = None
        self._reported: str | None = None
        self.current: Ranker | None = None
        self.state: State = "missing"

    async def check(self) -> bool:
        """Load what is published if it changed; returns whether another model answers now."""
        try:
            published = await asyncio.to_thread(fingerprint, self._models_dir)
            if published == self._loaded:
                return False
            ranker = await asyncio.to_thread(Ranker.load, self._models_dir) if published else None
        except Exception as error:  # whatever is wrong with a model, the API goes on answering
            self._report(error)
            return False
        self._exchange(published, ranker)
        return True

    def _exchange(self, published: str | None, ranker: Ranker | None) -> None:
        self._loaded, self._reported, self.current = published, None, ranker
        self.state = "ok" if ranker else "missing"
        if ranker:
            MODEL_LOADS.labels("loaded").inc()
            LIVE_MODEL.set(ranker.published.timestamp())
            log.info("model is live", version=ranker.version)
        else:
            log.warning("no model is published any more")

    def _report(self, error: Exception) -> None:
        """Log a failure once, however often it repeats."""
        MODEL_LOADS.labels("failed").inc()
        self.state = "ok" if self.current else "unreadable"
        facts = described(error)
        if self._reported != repr(facts):
            self._reported = repr(facts)
            log.error("live model cannot be loaded", **facts)

    @asynccontextmanager
    async def watched(self, seconds: float) -> AsyncIterator[None]:
        """Load what is published, then look for changes every `seconds` until the block ends."""
        await self.check()
        task = asyncio.create_task(self._watch(seconds))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.check()
