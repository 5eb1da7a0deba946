"""The feature store against itself: training rows against a join of another kind, values online against values offline.

Servers of its own in a temporary folder, and a simulated lake: snapshots at odd intervals, some at an interaction's very instant,
products and subjects without any, empty lists and unknown values.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from consent import ledger
from feature_repo.definitions import subject_profile as profile_view
from orchestration.bench import Figure, Goal
from orchestration.defs.profiles import (
    interaction_matrix,
    product_popularity,
    products,
    subject_profile,
)
from orchestration.servers.postgres import migrate, start_postgres
from orchestration.servers.process import stop
from orchestration.servers.redis import start_redis
from privacy import lake
from recommenders.features import apply_definitions
from recommenders.lake_offline_store import prepare_engine
from recommenders.materialisation import materialise
from recommenders.parity import compare
from recommenders.training_audit import audit, recomputed
from recommenders.training_set import TRAINING_SET, retrieve_training_set
from tests.adversarial.whole_platform import own_home

__all__ = ["figures"]

_SEED = 41
_WEEKS, _WEEK_US = 12, 7 * 86_400 * 1_000_000
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_ALL, _NONE = Goal(">=", 100), Goal("<=", 0)
_WITHHOLDING = 20  # one subject of so many agrees to nothing


def figures(quick: bool) -> list[Figure]:
    """Measure; `quick` takes 2,000 rows and 500 samples instead of 100,000 and 10,000."""
    rows, samples, rounds = (2_000, 500, 1) if quick else (100_000, 10_000, 3)
    with _feature_store(subjects=samples * 11 // 10, interactions=rows):
        return [*_training_set(rounds), *_online(samples)]


@contextmanager
def _feature_store(subjects: int, interactions: int) -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory(prefix="selvedge-bench-") as folder,
        own_home(Path(folder)) as settings,
    ):
        try:
            start_postgres(settings)
            start_redis(settings)
            migrate()
            apply_definitions()
            _fill(subjects, interactions)
            prepare_engine()
            yield
        finally:
            stop(settings, "redis")
            stop(settings, "postgres")


def _training_set(rounds: int) -> list[Figure]:
    """Feast's retrieval and the reference in turns, then every row of the one against the other."""
    entities = pl.DataFrame(lake.open_table("interaction_matrix").to_pyarrow_table())
    feast, reference = [], []
    retrieved: pa.Table = None
    for _ in range(rounds):
        retrieved, seconds = _timed(retrieve_training_set)
        feast.append(seconds)
        _, seconds = _timed(lambda: recomputed(entities))
        reference.append(seconds)
    lake.replace(TRAINING_SET, retrieved)
    found = audit(most=None)
    name = f"training set of {found.rows + found.dropped:,} entity rows by as-of join"
    return [
        Figure(
            f"{name}, rows equal to a reference implementation",
            100 * found.equal / max(found.sampled, 1),
            "%",
            goal=_ALL,
        ),
        Figure(f"{name}, rows dropped", found.dropped, "rows", goal=_NONE),
        Figure(
            f"{name}, rows with a feature from after their interaction",
            found.newer,
            "rows",
            goal=_NONE,
        ),
        Figure(
            f"{name}, against the reference's time",
            statistics.median(feast),
            "s",
            baseline=statistics.median(reference),
        ),
    ]


def _online(samples: int) -> list[Figure]:
    """Who withholds and is absent counts as equal; who withholds and is online does not."""
    materialise(profile_view)
    found = compare(profile_view, most=samples)
    right = found.equal + found.withheld
    name = f"offline against online value, {found.entities:,} samples"
    told = f"{name}, equal ({found.values:,} values compared, {found.withheld:,} subjects rightly absent)"
    return [Figure(told, 100 * right / max(found.entities, 1), "%", goal=_ALL)]


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def _fill(subjects: int, interactions: int) -> None:
    """A lake of `interactions` by subjects who agree to training, and of snapshots of everybody, some of whom agree to nothing."""
    chance = np.random.default_rng(_SEED)
    names = [chance.bytes(16).hex() for _ in range(subjects)]
    catalogue = [f"P{number:05}" for number in range(max(interactions // 50, 20))]
    agreeing = [name for number, name in enumerate(names) if number % _WITHHOLDING]
    ledger.append(_agreements(agreeing))
    snapshots = _profiles(chance, names[: len(names) * 9 // 10 or 1], catalogue)
    snapshots += _profiles(chance, names[len(names) * 9 // 10 :], catalogue, weeks=1)
    _write("subject_profile", subject_profile.SCHEMA, snapshots)
    _write("product_popularity", product_popularity.SCHEMA, _popularity(chance, catalogue))
    _write("products", products.SCHEMA, _products(chance, catalogue))
    instants: dict[str, list[datetime]] = {}
    for row in snapshots:
        instants.setdefault(row["pseudonym"], []).append(row["event_timestamp"])
    matrix = _interactions(chance, agreeing, catalogue, instants, interactions)
    _write("interaction_matrix", interaction_matrix.SCHEMA, matrix)


def _write(table: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    lake.replace(table, pa.Table.from_pylist(rows, schema))


def _agreements(names: list[str]) -> pa.Table:
    rows = [
        {
            "pseudonym": name,
            "purpose": purpose,
            "decision": "opt_in",
            "stated_at": datetime.now(UTC) - timedelta(days=1),
            "mechanism": "simulated",
            "policy_version": "1",
            "source": "benchmark",
            "source_key": f"{name}|{purpose}",
        }
        for name in names
        for purpose in ("personalisation", "model_training")
    ]
    return pa.Table.from_pylist(rows)


def _moments(chance: np.random.Generator, weeks: int) -> list[datetime]:
    """One snapshot in about each of the last weeks, at any microsecond of it."""
    ages = [
        week * _WEEK_US + int(chance.integers(_WEEK_US))
        for week in range(weeks)
        if week == 0 or chance.random() < 0.8
    ]
    return [_NOW - timedelta(microseconds=age) for age in ages]


def _profiles(
    chance: np.random.Generator, names: list[str], catalogue: list[str], weeks: int = _WEEKS
) -> list[dict[str, Any]]:
    return [
        {
            "pseudonym": name,
            "event_timestamp": at,
            "created": _NOW,
            "interactions_30d": int(chance.integers(200)),
            "purchases_90d": int(chance.integers(20)),
            "views_7d": int(chance.integers(80)),
            "days_since_last_event": chance.random() * 7,
            "mean_price": _perhaps(chance, chance.random() * 300),
            "mean_sustainability": _perhaps(chance, chance.random() * 5),
            **_tops(chance, "categories", "category", 8),
            **_tops(chance, "brands", "brand", 8),
            **_tops(chance, "sizes", "size", 4),
            "recent_products": [
                catalogue[n] for n in chance.integers(len(catalogue), size=chance.integers(21))
            ],
        }
        for name in names
        for at in _moments(chance, weeks)
    ]


def _tops(
    chance: np.random.Generator, plural: str, singular: str, most: int
) -> dict[str, list[Any]]:
    count = int(chance.integers(most + 1))
    values = chance.choice(20, count, replace=False)
    scores = np.sort(chance.exponential(size=count))[::-1]
    return {
        f"top_{plural}": [f"{singular}-{value}" for value in values],
        f"top_{singular}_scores": scores.tolist(),
    }


def _perhaps(chance: np.random.Generator, value: float) -> float | None:
    return value if chance.random() < 0.9 else None


def _popularity(chance: np.random.Generator, catalogue: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "product_id": name,
            "event_timestamp": at,
            "created": _NOW,
            "subjects": 10 + int(chance.integers(500)),
            "views_7d": 10 + int(chance.integers(900)),
            "carts_7d": None if chance.random() < 0.5 else 10 + int(chance.integers(90)),
            "purchases_7d": None,
            "purchases_30d": 10 + int(chance.integers(90)),
            "popularity": chance.exponential(),
            "trend": chance.exponential(),
        }
        for name in catalogue[: len(catalogue) * 9 // 10]
        for at in _moments(chance, _WEEKS)
    ]


def _products(chance: np.random.Generator, catalogue: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "product_id": name,
            "name": name,
            "brand": f"brand-{chance.integers(20)}",
            "category": f"category-{chance.integers(20)}",
            "sustainability_rating": _perhaps(chance, chance.random() * 5),
            "price": _perhaps(chance, chance.random() * 300),
            "currency": "EUR",
            "sizes": ["S", "M"],
            "in_stock_sizes": None,
            "season_tags": [],
            "description": None,
            "released_at": None,
            "event_timestamp": _NOW - timedelta(days=float(chance.random()) * 400),
            "created": _NOW,
        }
        for name in catalogue
    ]


def _interactions(
    chance: np.random.Generator,
    names: list[str],
    catalogue: list[str],
    instants: Mapping[str, list[datetime]],
    count: int,
) -> list[dict[str, Any]]:
    """Distinct pairs of subject and product; one time of twenty is the instant of one of the subject's own snapshots."""
    pairs = chance.choice(len(names) * len(catalogue), count, replace=False)
    rows = []
    for pair in pairs.tolist():
        name = names[pair // len(catalogue)]
        at = _NOW - timedelta(microseconds=int(chance.integers(_WEEKS * _WEEK_US)))
        if chance.random() < 0.05:
            at = instants[name][int(chance.integers(len(instants[name])))]
        rows.append(
            {
                "pseudonym": name,
                "product_id": catalogue[pair % len(catalogue)],
                "weight": chance.exponential(),
                "interactions": 1 + int(chance.integers(9)),
                **dict.fromkeys(("first_event", "last_event", "event_timestamp"), at),
            }
        )
    return rows
