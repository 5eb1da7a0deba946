"""LightFM beside popularity on a held-out week: three simulated shops, and Rent the Runway where its file is there.

Figures are NDCG@20, recall@20 and coverage of the model; the baseline is recency-weighted popularity asked the same
questions in the same run. Raw customer numbers stand for pseudonyms here, in memory only.
"""

import os
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl

from orchestration.bench import Figure, Goal
from orchestration.sources.connector import Source, open_source
from orchestration.sources.simulator import simulate
from privacy.settings import PROJECT_ROOT
from recommenders.catalogue import Catalogue
from recommenders.experiment import Report, run_experiment
from recommenders.signals import signals

SEEDS = (7, 8, 9)
UNTIL = date(2026, 11, 1)
EVENT_COLUMNS = ["subject_id", "product_id", "event_type", "size", "event_timestamp"]


def run(quick: bool) -> list[Figure]:
    """Measure; `quick` takes one small shop only."""
    figures: list[Figure] = []
    for seed in SEEDS[:1] if quick else SEEDS:
        figures += _figures(f"shop, seed {seed}", _simulated(seed, 1_000 if quick else 5_000), 1.0)
    return figures if quick else figures + _rent_the_runway()


def _experiment(source: Source) -> Report:
    events = (
        _table(source, "interactions").select(EVENT_COLUMNS).rename({"subject_id": "pseudonym"})
    )
    products = _table(source, "products")
    return run_experiment(events, Catalogue.from_products(products), signals().weights)


def _table(source: Source, name: str) -> pl.DataFrame:
    frames: Iterator[pl.DataFrame] = (
        pl.DataFrame(pl.from_arrow(batch.rows)) for batch in source.read(name)
    )
    return pl.concat(list(frames))


def _simulated(seed: int, customers: int) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), customers=customers, seed=seed, until=UNTIL)
        return _experiment(open_source("simulator", Path(folder)))


def _rent_the_runway() -> list[Figure]:
    folder = Path(os.environ.get("SELVEDGE_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        why = "the data set is not here; set SELVEDGE_DATA to its folder"
        return [Figure("Rent the Runway: NDCG@20", None, "share", why=why)]
    # Printed whatever it shows: rentals are rare and spread, so nothing is promised here.
    return _figures("Rent the Runway", _experiment(open_source("renttherunway", folder)), None)


def _figures(title: str, report: Report, least_ratio: float | None) -> list[Figure]:
    model, baseline = report.metrics_of("lightfm"), report.metrics_of("popularity")
    goal = Goal(">=", least_ratio, of="ratio") if least_ratio else None
    return [
        Figure(f"{title}: NDCG@20", model.ndcg, "share", baseline.ndcg, goal),
        Figure(f"{title}: recall@20", model.recall, "share", baseline.recall, goal),
        Figure(f"{title}: coverage", model.coverage, "share", baseline.coverage),
    ]
