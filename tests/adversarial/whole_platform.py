"""A whole platform of its own for the battery: canaries in a small shop, every asset, a trained model, the API, Dagster's storage."""

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from dagster import AssetKey, DagsterInstance

from orchestration.contracted import contracts_of
from orchestration.servers.dagster import instance
from orchestration.servers.postgres import migrate, start_postgres
from orchestration.servers.process import read_record, stop
from orchestration.servers.ranker import start_ranker
from orchestration.servers.redis import start_redis
from orchestration.settings import orchestration_settings
from orchestration.sources.simulator import simulate
from privacy import database, registry, requests
from privacy.requests import PrivacyRequest, RequestStatus
from privacy.settings import PlatformSettings, platform_settings
from privacy.vault import CUSTOMER_NUMBER, Vault
from recommenders.features import feature_store
from serving import auth
from serving.auth import Scope, api_keys
from serving.settings import serving_settings
from tests.adversarial.canaries import Canary, new_canaries, plant

__all__ = ["Platform", "events_of", "own_home"]

_SEED, _CUSTOMERS = 23, 150
_CACHED = (
    platform_settings,
    database._role_secret,
    orchestration_settings,
    serving_settings,
    auth.api_keys,
    auth._digests,
    feature_store,
)


@contextmanager
def own_home(root: Path) -> Iterator[PlatformSettings]:
    """The settings of a platform below `root` while the block runs, and those of before after it."""
    before = dict(os.environ)
    os.environ |= {
        "SELVEDGE_ENVIRONMENT": "test",
        "SELVEDGE_HOME": str(root / "home"),
        "SELVEDGE_SHOP_HOME": str(root / "shop"),
        # An attacker who is not slowed down finds more.
        "SELVEDGE_PRIVACY_REQUESTS_PER_REQUESTER": "100000",
        "SELVEDGE_PRIVACY_REQUESTS_PER_ADDRESS": "100000",
    }
    _forget()
    try:
        yield platform_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget()


def _forget() -> None:
    for cached in _CACHED:
        cached.cache_clear()


class Platform:
    """Servers, stores and canaries; `take` hands each canary out once."""

    STORES = ("postgres", "redis", "lake", "models")

    def __init__(self, settings: PlatformSettings, canaries: int) -> None:
        self.settings = settings
        self.canaries = new_canaries(canaries)
        self._left = list(self.canaries)
        self._names: dict[Canary, str] = {}
        self._dagster: DagsterInstance | None = None

    def build(self) -> None:
        """Start the servers, ingest the shop, materialise everything, send events; some of them stay in the stream."""
        simulate(
            self.settings.shop_home,
            customers=_CUSTOMERS,
            seed=_SEED,
            until=datetime.now(UTC).date(),
        )
        plant(self.settings.shop_home, self.canaries)
        self.start()
        self.materialise()
        self._names = dict(zip(self.canaries, self._resolved(), strict=True))
        start_ranker(self.settings)
        self.send_events(self.canaries)
        self.materialise(["lake/interactions"])
        self.send_events(self.canaries)

    def start(self) -> None:
        """Postgres and Redis, migrated; Feast is opened anew, for they may have come back on other ports."""
        start_postgres(self.settings)
        start_redis(self.settings)
        feature_store.cache_clear()
        migrate()

    def stop(self) -> None:
        """Stop whatever runs."""
        if self._dagster is not None:
            self._dagster.dispose()
            self._dagster = None
        for name in ("ranker", "redis", "postgres"):
            stop(self.settings, name)

    def take(self, count: int = 1) -> list[Canary]:
        """Canaries that no test has had yet."""
        assert len(self._left) >= count, "plant more canaries: tests have used them up"
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def pseudonym(self, canary: Canary) -> str:
        """The pseudonym that the canary was ingested under."""
        return self._names[canary]

    def pseudonyms(self, canaries: Sequence[Canary]) -> list[str]:
        """The pseudonym of each."""
        return [self._names[canary] for canary in canaries]

    def _resolved(self) -> list[str]:
        numbers = [canary.customer_number for canary in self.canaries]
        found = Vault().resolve(CUSTOMER_NUMBER, numbers, create=False)
        assert all(found), "every canary was ingested"
        return [str(name) for name in found]

    @property
    def dagster(self) -> DagsterInstance:
        """Dagster's instance, with its storage in Postgres."""
        if self._dagster is None:
            self._dagster = instance(self.settings)
        return self._dagster

    def materialise(self, assets: Sequence[str] | None = None) -> None:
        """Materialise the named assets, or all, as a run that Dagster stores."""
        assert self.try_to_materialise(assets, raise_on_error=True)

    def try_to_materialise(
        self, assets: Sequence[str] | None = None, *, raise_on_error: bool = False
    ) -> bool:
        """The same, where it may fail; whether the run succeeded."""
        from orchestration.definitions import defs

        registry.publish(contracts_of(defs))
        chosen = [AssetKey(key.split("/")) for key in assets] if assets else None
        job = defs.resolve_job_def("everything")
        done = job.execute_in_process(
            instance=self.dagster, asset_selection=chosen, raise_on_error=raise_on_error
        )
        return bool(done.success)

    def run(self, job: str) -> bool:
        """Run one of Dagster's jobs; whether it succeeded."""
        from orchestration.definitions import defs

        found = defs.resolve_job_def(job)
        return bool(found.execute_in_process(instance=self.dagster, raise_on_error=False).success)

    @property
    def serves(self) -> bool:
        """Whether the API runs."""
        record = read_record(self.settings, "ranker")
        return record is not None and record.alive

    def api(self, scope: Scope) -> httpx.Client:
        """A client of the running API with the key of `scope`."""
        record = read_record(self.settings, "ranker")
        assert record is not None
        headers = {"Authorization": f"Bearer {api_keys()[scope]}"}
        return httpx.Client(base_url=record.address, headers=headers, timeout=120)

    def reference(self, client: httpx.Client, canary: Canary) -> str:
        """A subject reference, asked of the API with the raw customer number."""
        answer = client.post("/v1/subjects/reference", json={"subject_id": canary.customer_number})
        answer.raise_for_status()
        return str(answer.json()["subject_ref"])

    def send_events(self, canaries: Sequence[Canary]) -> None:
        """Send a click and a search of each through the API, which personalises for them."""
        with self.api(Scope.STOREFRONT) as client:
            for canary in canaries:
                headers = {"Selvedge-Subject": self.reference(client, canary)}
                batch = events_of(canary)
                answer = client.post("/v1/events", json=batch, headers=headers)
                assert answer.status_code == 202, answer.text
                assert answer.json()["accepted"] == len(batch["events"])
                assert self.is_personalised(client, headers), "the model knows every canary"

    @staticmethod
    def is_personalised(client: httpx.Client, headers: Mapping[str, str]) -> bool:
        """Whether the storefront gets a ranking of their own for who is in `headers`; it always gets one."""
        answer = client.get("/v1/recommendations", headers=headers)
        assert answer.status_code == 200
        assert answer.json()["items"]
        return bool(answer.json()["personalised"])

    def erase(self, canaries: Sequence[Canary]) -> list[PrivacyRequest]:
        """Erase them to the end; each request must be complete."""
        made = requests.submit_erasures(self.pseudonyms(canaries), "test")
        requests.process_open(limit=1_000)
        done = [requests.get(request.request_id) for request in made]
        for request in done:
            assert (request.unfinished, request.status) == ((), RequestStatus.COMPLETED)
        return done

    def back_up(self, folder: Path) -> None:
        """Copy every store while nothing writes, as the runbook says."""
        self.stop()
        folder.mkdir()
        for name in self.STORES:
            subprocess.run(["cp", "-a", self.settings.home / name, folder / name], check=True)
        self.start()

    def restore(self, folder: Path) -> None:
        """Put a backup in the place of what is there."""
        self.stop()
        for name in self.STORES:
            subprocess.run(["rm", "-rf", self.settings.home / name], check=True)
            subprocess.run(["cp", "-a", folder / name, self.settings.home / name], check=True)
        self.start()


def events_of(canary: Canary) -> dict[str, Any]:
    """A click and a search of theirs, now, as the storefront sends them."""
    now = datetime.now(UTC).isoformat()
    search = {"event_type": "search", "query": f"{canary.api_query} for {canary.email}"}
    events = [{"event_type": "click", "product_id": "SEL-00001"}, search]
    return {
        "session": canary.visit,
        "events": [
            event | {"event_id": secrets.token_urlsafe(16), "event_timestamp": now}
            for event in events
        ],
    }
