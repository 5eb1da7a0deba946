"""Whatever breaks while somebody is erased: the request says so, no certificate is issued, and once it can be done it is."""

import multiprocessing
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest

from consent import ledger
from consent.ledger import ConsentRecord, Decision
from orchestration.servers.process import stop
from orchestration.servers.ranker import start_ranker
from orchestration.servers.redis import start_redis
from privacy import certificates, lake, requests, signing
from privacy.certificates import CertificateUnavailableError
from privacy.contracts import Purpose
from privacy.requests import PrivacyRequest, RequestKind, RequestStatus
from recommenders.features import feature_store
from tests.adversarial import killed_worker
from tests.adversarial.canaries import Canary
from tests.adversarial.killed_worker import ISSUED, Step
from tests.adversarial.reading import as_administrator
from tests.adversarial.traces import traces
from tests.adversarial.whole_platform import Platform


def is_certified(request_id: UUID) -> bool:
    try:
        certificates.check(certificates.get(request_id), signing.public_key_pem())
    except CertificateUnavailableError:
        return False
    return True


def test_a_worker_killed_at_every_step_leaves_nothing_undone(platform: Platform) -> None:
    [canary] = platform.take()
    known = {request.request_id for request in requests.listed(open_only=False)}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(killed_worker.PRELOADED)
    killed: list[Step] = []
    while (step := _killed_at(context, platform.pseudonym(canary), frozenset(killed))) is not None:
        killed.append(step)
        [open_one] = [r for r in requests.listed(open_only=True) if r.request_id not in known]
        assert open_one.status in (RequestStatus.RECEIVED, RequestStatus.IN_PROGRESS)
        assert not is_certified(open_one.request_id)

    [done] = [r for r in requests.listed(open_only=False) if r.request_id not in known]
    assert (done.status, done.unfinished) == (RequestStatus.COMPLETED, ())
    assert is_certified(done.request_id)
    assert {(each.asset_key, each.step) for each in done.steps()} | {ISSUED} == set(killed)
    assert all(each.attempts > 1 for each in done.steps()), "each was cut short once"
    assert traces(platform, [canary]) == []


def _killed_at(
    context: multiprocessing.context.ForkServerContext, pseudonym: str, survived: frozenset[Step]
) -> Step | None:
    """The step at which a new worker was killed; None where it came to the end."""
    mine, its = context.Pipe(duplex=False)
    worker = context.Process(target=killed_worker.work, args=(pseudonym, survived, its))
    worker.start()
    its.close()
    worker.join()
    if worker.exitcode == 0:
        return None
    assert worker.exitcode == -signal.SIGKILL, "the worker failed: see its output"
    step: Step = mine.recv()
    return step


@contextmanager
def _redis_stopped(platform: Platform) -> Iterator[None]:
    stop(platform.settings, "redis")
    try:
        yield
    finally:
        start_redis(platform.settings)
        # It may have come back on another port, which the API and Feast learn when they start.
        feature_store.cache_clear()
        stop(platform.settings, "ranker")
        start_ranker(platform.settings)


@contextmanager
def _table_denied(_: Platform) -> Iterator[None]:
    """A table of the shop belongs to nobody whom the platform may become."""
    with as_administrator() as connection:
        [before] = connection.execute(
            "select tableowner from pg_tables where schemaname = 'shop' and tablename = 'feedback'"
        ).fetchone() or [None]
        connection.execute("create role battery_stranger")
        connection.execute("grant create on schema shop to battery_stranger")
        connection.execute("alter table shop.feedback owner to battery_stranger")
        connection.execute("revoke all on shop.feedback from public, selvedge_privacy")
    try:
        yield
    finally:
        with as_administrator() as connection:
            connection.execute(f"alter table shop.feedback owner to {before}")
            connection.execute("revoke create on schema shop from battery_stranger")
            connection.execute("drop role battery_stranger")


@contextmanager
def _lake_folder_broken(platform: Platform) -> Iterator[None]:
    """The log of a Delta table is there and says nothing: the superuser of a test reads whatever permissions say."""
    log = platform.settings.lake_dir / "interactions" / "_delta_log"
    kept = log.with_name("kept")
    log.rename(kept)
    log.mkdir()
    (log / f"{0:020}.json").write_text("{broken")
    try:
        yield
    finally:
        shutil.rmtree(log)
        kept.rename(log)


OUTAGES: dict[str, tuple[Callable[[Platform], AbstractContextManager[None]], str]] = {
    "Redis is stopped": (_redis_stopped, "platform/redis"),
    "a Postgres table is denied": (_table_denied, "shop/feedback"),
    "a table of the lake is broken": (_lake_folder_broken, "lake/interactions"),
}


@pytest.fixture(scope="module")
def leaving(platform: Platform) -> tuple[Canary, UUID]:
    """A canary whose erasure was asked for while everything ran."""
    [canary] = platform.take()
    request, _ = requests.submit(RequestKind.ERASURE, platform.pseudonym(canary), "test")
    return canary, request.request_id


@pytest.mark.parametrize("name", OUTAGES)
def test_one_store_down_is_never_complete(
    platform: Platform, leaving: tuple[Canary, UUID], name: str
) -> None:
    canary, request_id = leaving
    broken, named = OUTAGES[name]
    with broken(platform):
        tried = requests.process(request_id)
        assert tried.status is RequestStatus.INCOMPLETE
        assert any(reason.startswith(named) for reason in tried.unfinished), tried.unfinished
        assert not any(platform.pseudonym(canary) in reason for reason in tried.unfinished)
        assert not is_certified(request_id)


def test_with_every_store_back_it_is_complete(
    platform: Platform, leaving: tuple[Canary, UUID]
) -> None:
    canary, request_id = leaving
    done = requests.process(request_id)
    assert (done.status, done.unfinished) == (RequestStatus.COMPLETED, ())
    assert is_certified(request_id)
    assert traces(platform, [canary]) == []


def test_an_erasure_while_a_materialisation_runs_leaves_nothing_in_what_it_writes(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Erased to the end, certificate and all, after the rows were read and before they are written."""
    [canary] = platform.take()
    write = lake.replace
    erased: list[PrivacyRequest] = []

    def replace(path: str | Path, rows: pa.Table) -> int:
        if not erased:
            erased.extend(platform.erase([canary]))
        return write(path, rows)

    with monkeypatch.context() as patched:
        patched.setattr(lake, "replace", replace)
        platform.materialise(["lake/sessions", "lake/interaction_matrix"])
    assert erased
    assert traces(platform, [canary]) == []


def test_who_withdraws_while_the_training_data_are_written_is_not_in_them(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    [canary] = platform.take()
    name, write = platform.pseudonym(canary), lake.replace
    assert lake.holds("interaction_matrix", "pseudonym", [name])

    def replace(path: str | Path, rows: pa.Table) -> int:
        version = write(path, rows)
        assert lake.holds(path, "pseudonym", [name])
        ledger.append([_withdrawal(name)])
        return version

    with monkeypatch.context() as patched:
        patched.setattr(lake, "replace", replace)
        platform.materialise(["lake/interaction_matrix"])
    assert not lake.holds("interaction_matrix", "pseudonym", [name])


def _withdrawal(pseudonym: str) -> ConsentRecord:
    purpose, now, key = Purpose.MODEL_TRAINING, datetime.now(UTC), secrets.token_hex(16)
    return ConsentRecord(
        pseudonym, purpose, Decision.OPT_OUT, now, "privacy_centre", "3.0", "battery", key
    )
