"""The ranker that answers: loaded into the process, and exchanged when another model goes live."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from recommenders.ranking import Ranker
from serving.logs import described, log
from serving.metrics import LIVE_MODEL, MODEL_LOADS

__all__ = ["LiveRanker", "LoadedRanker"]

State = Literal["ok", "missing", "unreadable"]
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class LoadedRanker:
    """A ranker in memory and the model version that it holds."""

    ranker: Ranker
    version: str
    published: datetime


class LiveRanker:
    """Follows `models/live.json`; a model that cannot be loaded leaves the one before in place.

    Attributes
    ----------
    current: what answers now; None while no model could be loaded.
    state: ok; missing (nothing is published) or unreadable (what is published could not be loaded).
    """

    def __init__(self, models_dir: Path) -> None:
        self._pointer = models_dir / "live.json"
        self._models_dir = models_dir
        self._stamp: _Stamp | None = None
        self.current: LoadedRanker | None = None
        self.state: State = "missing"

    async def check(self) -> bool:
        """Load what is published if it changed; returns whether another model answers now."""
        stamp = self._published()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        if stamp is None:
            self.current, self.state = None, "missing"
            return True
        return await self._load()

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

    def _published(self) -> _Stamp | None:
        try:
            found = self._pointer.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    async def _load(self) -> bool:
        try:
            loaded = await asyncio.to_thread(_loaded, self._models_dir)
        except Exception as error:  # whatever is wrong with a model, the API goes on answering
            MODEL_LOADS.labels("failed").inc()
            log.error("live model cannot be loaded", **described(error))
            self.state = "unreadable" if self.current is None else self.state
            return False
        MODEL_LOADS.labels("loaded").inc()
        LIVE_MODEL.set(loaded.published.timestamp())
        log.info("model is live", version=loaded.version)
        self.current, self.state = loaded, "ok"
        return True
