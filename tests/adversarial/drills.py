"""Drills: what brings erased subjects back elsewhere, done at random and one after another, and who could be served afterwards."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestration.ingest.run import ingest
from orchestration.servers.ranker import start_ranker
from orchestration.sources.connector import open_source
from orchestration.sources.model import TABLES
from privacy import registry
from privacy.restore import after_restore, refuse_restored
from privacy.stores import handler_for
from privacy.stores.redis import redis_client
from privacy.vault import CUSTOMER_NUMBER, Vault
from tests.adversarial.canaries import Canary
from tests.adversarial.whole_platform import Platform

__all__ = ["STREAM", "Drills", "ingest_everything", "replay"]

STREAM = "sv:events"
_LAKE = ("lake/sessions", "lake/subject_profile", "features/subject_profile")


def replay(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> None:
    """Write `entries` into the stream again, as if it were read from its beginning."""
    with redis_client() as client:
        for _, fields in entries:
            client.xadd(STREAM, dict(fields))


def ingest_everything(platform: Platform) -> int:
    """Ingest every table of the shop's files again, which hold everybody; returns the rows that tombstones dropped."""
    source = open_source("simulator", platform.settings.shop_home)
    return sum(ingest(table, source).tombstoned for table in TABLES)


class Drills:
    """Replays, backfills and restores on a platform that people leave meanwhile."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform = platform
        self.left: list[Canary] = []
        self.done: Counter[str] = Counter()
        self._backup = folder / "backup"
        with redis_client() as client:
            self._entries: Any = client.xrange(STREAM)
        platform.back_up(self._backup)

    def leave(self, canaries: Sequence[Canary]) -> None:
        """Erase these canaries."""
        self.platform.erase(canaries)
        self.left += canaries

    def drill(self, chosen: random.Random) -> None:
        """One drill, whichever `chosen` gives."""
        drills: Sequence[Callable[[], None]] = (self.replay, self.backfill, self.restore)
        one = chosen.choice(drills)
        one()
        self.done[one.__name__] += 1

    def replay(self) -> None:
        """The stream again from its beginning, and an ingest of it."""
        replay(self._entries)
        ingest("interactions", open_source("simulator", self.platform.settings.shop_home))

    def backfill(self) -> None:
        """Every source again, and what is made of them for serving."""
        ingest_everything(self.platform)
        self.platform.materialise(_LAKE)

    def restore(self) -> None:
        """The first backup again, and what the runbook asks for after one."""
        self.platform.restore(self._backup)
        report = after_restore()
        assert not report.incomplete, "what came back was erased again"
        refuse_restored()
        shutil.rmtree(self._backup)
        self.platform.back_up(self._backup)

    def served(self) -> int:
        """How many who left a store or the API still knows."""
        names = self.platform.pseudonyms(self.left)
        known = {
            name
            for contract in registry.load().holding_subjects
            for name in handler_for(contract).find(contract, names)
        }
        numbers = [canary.customer_number for canary in self.left]
        again = Vault().resolve(CUSTOMER_NUMBER, numbers, create=False)
        start_ranker(self.platform.settings)
        return len(known) + sum(name is not None for name in again)
