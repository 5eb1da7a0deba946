"""The promises of privacy as figures: what is left of canaries, what is searched, who comes back, and how long an erasure takes.

Most are measured on the platform of the battery (`tests.adversarial`), built anew in a temporary folder with servers of its own.
A figure that cannot be measured here, or whose measurement failed, says so instead of a value.
"""

import asyncio
import importlib
import importlib.util
import json
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestration.bench import Figure, Goal
from tests.adversarial.canaries import Canary
from tests.adversarial.traces import needles
from tests.adversarial.whole_platform import Platform, own_home
from tests.benchmarks._erasure_at_scale import erasure_at_scale

__all__ = ["run"]

_NOBODY = Goal("<=", 0)
_SEED = 5
_LOAD = 300  # requests per second
_UNDER_LOAD = {
    f"withdrawal acknowledged to first non-personalised response, p99 under {_LOAD} requests per second": 100,
    f"online part of an erasure, p99 under {_LOAD} requests per second": 1_000,
}


def run(quick: bool) -> list[Figure]:
    """Measure; `quick` takes few subjects, three drills, five seconds of load and a small lake."""
    subjects, drills, loaded = (8, 3, 12) if quick else (100, 20, 120)
    with _platform(subjects + 2 * drills + loaded + 2) as platform:
        figures = _tried(_LEFT, "occurrences", _NOBODY, lambda: _left(platform, subjects))
        figures += _tried(_SERVED, "subjects", _NOBODY, lambda: [_served(platform, drills)])
        figures += _tried(
            "injected faults found by the verifiers", "faults", None, lambda: [_faults(platform)]
        )
        figures += _under_load(platform, loaded, quick)
    figures += _tried("whole erasure", "s", Goal("<=", 300), lambda: [_at_scale(quick)])
    return figures + _pseudonymising(quick)


_LEFT = "canary bytes found after erasure, all stores"
_SERVED = "subjects served after random drills of replay, backfill, restore"


@contextmanager
def _platform(canaries: int) -> Iterator[Platform]:
    with (
        tempfile.TemporaryDirectory(prefix="selvedge-bench-") as folder,
        own_home(Path(folder)) as settings,
    ):
        platform = Platform(settings, canaries)
        try:
            platform.build()
            yield platform
        finally:
            platform.stop()


def _tried(
    name: str, unit: str, goal: Goal | None, measure: Callable[[], list[Figure]]
) -> list[Figure]:
    """The figures of `measure`; where it fails, one without a value that says why."""
    try:
        return measure()
    except Exception as error:  # a benchmark prints what it could not measure, whatever the reason
        return [_unmeasured(name, unit, goal, f"{type(error).__name__}: {error}"[:300])]


def _unmeasured(name: str, unit: str, goal: Goal | None, why: str) -> Figure:
    return Figure(name, None, unit, goal=goal, why=why)


def _left(platform: Platform, count: int) -> list[Figure]:
    """What is found of `count` erased canaries by the battery's own reading, and how much the certificates say was searched."""
    from privacy import certificates

    canaries = platform.take(count)
    before = _occurrences(platform, canaries)
    assert before, "the canaries were there"
    done = platform.erase(canaries)
    searched = json.loads(certificates.get(done[0].request_id))["searched"].values()
    share = 100 * sum(each["searched"] for each in searched) / sum(each["existing"] for each in searched)  # fmt: skip
    return [
        Figure(
            f"{_LEFT}, {count} subjects ({before:,} before)",
            _occurrences(platform, canaries),
            "occurrences",
            goal=_NOBODY,
        ),
        Figure("stores searched ÷ stores found", share, "%", goal=Goal(">=", 100)),
    ]


def _occurrences(platform: Platform, canaries: Sequence[Canary]) -> int:
    """Occurrences of their identifiers, texts and pseudonyms in every file, row and key."""
    from privacy.file_search import counter
    from tests.adversarial.reading import everything

    raw = [text.encode() for canary in canaries for text in canary.identifiers.values()]
    count = counter([*needles(platform, canaries), *raw])
    return sum(count(piece) for _, piece in everything(platform))


def _served(platform: Platform, drills: int) -> Figure:
    """Erase two canaries before each drill, then replay, ingest again or restore; counts who of all of them can be served."""
    from tests.adversarial.drills import Drills

    chosen = random.Random(_SEED)
    with tempfile.TemporaryDirectory(prefix="selvedge-drills-") as folder:
        exercise = Drills(platform, Path(folder))
        for _ in range(drills):
            exercise.leave(platform.take(2))
            exercise.drill(chosen)
        served = exercise.served()
        told = ", ".join(f"{count} {name}" for name, count in sorted(exercise.done.items()))
    return Figure(f"{_SERVED} ({told})", served, "subjects", goal=_NOBODY)


def _faults(platform: Platform) -> Figure:
    from privacy import certificates
    from tests.adversarial.faults import faults_of, found
    from tests.adversarial.injections import Scene

    gone, stays = platform.take(2)
    platform.send_events([stays])
    [request] = platform.erase([gone])
    certificate = certificates.get(request.request_id)
    scene = Scene(platform.pseudonym(gone), platform.pseudonym(stays), certificate)
    faults = faults_of(scene)
    total = 0
    for inject in faults.values():
        with inject(scene) as certificate:
            total += found(scene, certificate) is not None
    goal = Goal(">=", len(faults))
    return Figure(f"injected faults found by the verifiers, of {len(faults)}", total, "faults", goal=goal)  # fmt: skip


def _under_load(platform: Platform, count: int, quick: bool) -> list[Figure]:
    module = _module("_withdrawal")
    missing = [
        _unmeasured(name, "ms", Goal("<=", most), "there is no load driver in tests/benchmarks")
        for name, most in _UNDER_LOAD.items()
    ]
    if module is None:
        return missing
    return _tried("under load", "ms", None, lambda: _measured_under_load(module, platform, count, quick))  # fmt: skip


def _measured_under_load(
    module: ModuleType, platform: Platform, count: int, quick: bool
) -> list[Figure]:
    from orchestration.servers.process import read_record
    from orchestration.servers.ranker import start_ranker

    record = read_record(platform.settings, "ranker")
    if record is None or not record.alive:
        record = start_ranker(platform.settings)
    names = platform.pseudonyms(platform.take(count))
    half, seconds = count // 2, 5.0 if quick else 60.0
    measured: Iterable[Any] = asyncio.run(
        module.measure(record.address, names[:half], names[half:], rate=_LOAD, seconds=seconds)
    )
    return list(measured)


def _at_scale(quick: bool) -> Figure:
    subjects, events = (50, 100_000) if quick else (1_000, 5_000_000)
    measured = erasure_at_scale(subjects, events)
    name = (
        f"whole erasure of {subjects:,} subjects, verified and certified, lake of {events:,} events"
    )
    goal = Goal("<=", 300)
    if measured["certified"] != subjects:
        why = f"{measured['certified']} of {subjects} were certified"
        return _unmeasured(name, "s", goal, why)
    return Figure(name, measured["whole_seconds"] + measured["online_seconds"], "s", goal=goal)


def _pseudonymising(quick: bool) -> list[Figure]:
    name, goal = "pseudonymise an event file", Goal("<=", 3.0, of="ratio")
    module = _module("_pseudonymising")
    if module is None:
        return [_unmeasured(name, "s", goal, "there is no such measurement in tests/benchmarks")]

    def measure() -> list[Figure]:
        with module.own_server():
            return list(module.figures(quick))

    return _tried(name, "s", goal, measure)


def _module(name: str) -> ModuleType | None:
    """A module of this folder, where it is there."""
    full = f"tests.benchmarks.{name}"
    return importlib.import_module(full) if importlib.util.find_spec(full) else None
