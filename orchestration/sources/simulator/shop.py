"""Simulating a whole shop: a fixed catalogue, then customers chunk by chunk, each written before the next is made."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.sources.batch import SimulationError
from orchestration.sources.simulator.agreements import PURPOSES, agreed_at_start, consent_table
from orchestration.sources.simulator.catalogue import Catalogue, make_catalogue
from orchestration.sources.simulator.dirt import Dirt, soil
from orchestration.sources.simulator.files import MANIFEST, RawFiles, fresh_folder, read_manifest
from orchestration.sources.simulator.orders import make_sales
from orchestration.sources.simulator.people import People, make_people
from orchestration.sources.simulator.sessions import (
    BUYS_FROM_CART,
    POSITION_BIAS,
    Uplift,
    make_visits,
)
from orchestration.sources.simulator.voices import feedback_table, quiz_table
from privacy.contracts import Purpose

__all__ = ["SimulationSummary", "existing_simulation", "simulate"]

LAYOUT = 1
"""Raised when the same parameters make other files than before."""
CHUNK = 5_000
"""Customers made at once: about 250,000 events and 150 MB of memory."""
FEWEST, MOST = 100, 1_000_000
UPLIFT_DAYS = 28
FIRST_ORDER = 100_001
_CATALOGUE_STREAM, _PEOPLE_STREAM = 0, 1


@dataclass(frozen=True, slots=True)
class SimulationSummary:
    """What was simulated, as kept in the folder's manifest.

    Attributes
    ----------
    until: the history ends when this day begins (UTC), so that no event lies in the future.
    rows: rows written per canonical table, dirty ones included.
    dirt: planted rows per "table reason" that the quarantine must find.
    """

    customers: int
    seed: int
    until: date
    weeks: int
    products: int
    uplift: float
    rows: dict[str, int]
    dirt: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Plan:
    customers: int
    seed: int
    until: date
    weeks: int
    products: int
    sessions: float
    uplift: float

    @property
    def end(self) -> datetime:
        return datetime.combine(self.until, time.min, UTC)

    @property
    def stop(self) -> np.datetime64:
        return np.datetime64(self.end.replace(tzinfo=None), "us")

    @property
    def planted(self) -> Uplift:
        return Uplift(self.uplift, self.stop - np.timedelta64(UPLIFT_DAYS, "D"))


def simulate(
    out: Path,
    *,
    customers: int = 5_000,
    seed: int = 7,
    until: date | None = None,
    weeks: int = 26,
    products: int = 600,
    sessions: float = 6.6,
    uplift: float = 0.0,
) -> SimulationSummary:
    """Write the raw data of a simulated shop to `out`, replacing an earlier simulation there.

    Parameters
    ----------
    customers: 100 to 1,000,000; memory does not grow with it.
    seed: the same seed, `until` and parameters give the same bytes on one machine. Two simulations share customer
        numbers and ids: reset a platform that ingested one before it ingests another.
    until: the day at whose beginning (UTC) the history ends; default today.
    weeks: length of the history.
    products: items in the catalogue.
    sessions: expected visits of a customer who was there all the time; 6.6 makes about 50 events.
    uplift: relative increase of purchases from the cart, planted for the treated half of the customers in the last
        28 days; at most what makes the chance 1.

    Raises `SimulationError` for parameters out of range and for a folder that holds anything but a simulation.
    """
    plan = _Plan(
        customers, seed, until or datetime.now(UTC).date(), weeks, products, sessions, uplift
    )
    _require_possible(plan)
    dirt: Dirt = Counter()
    with fresh_folder(out) as folder:
        with RawFiles(folder) as files:
            catalogue = make_catalogue(
                np.random.default_rng([seed, _CATALOGUE_STREAM]),
                products=products,
                weeks=weeks,
                end=plan.end,
            )
            _write_catalogue(files, catalogue)
            orders = FIRST_ORDER
            for first in range(0, customers, CHUNK):
                orders += _write_chunk(files, plan, catalogue, first, orders, dirt)
        summary = _summary(plan, files.rows, dirt)
        _write_manifest(folder, plan, summary)
    return summary


def existing_simulation(out: Path) -> SimulationSummary | None:
    """The complete simulation in `out`, for callers that want to reuse it; None where there is none."""
    manifest = read_manifest(out)
    if manifest is None or manifest["layout"] != LAYOUT:
        return None
    kept = manifest["summary"]
    return SimulationSummary(**(kept | {"until": date.fromisoformat(kept["until"])}))


def _require_possible(plan: _Plan) -> None:
    most_uplift = 1 / BUYS_FROM_CART - 1
    for name, value, least, most in (
        ("customers", plan.customers, FEWEST, MOST),
        ("weeks", plan.weeks, 2, 104),
        ("products", plan.products, 50, 5_000),
        ("sessions", plan.sessions, 0.1, 50),
        ("uplift", plan.uplift, -1.0, most_uplift),
    ):
        if not least <= value <= most:
            raise SimulationError(f"{name} is {value}; it must lie between {least} and {most:.4g}")


def _write_catalogue(files: RawFiles, catalogue: Catalogue) -> None:
    files.append("products.csv", catalogue.products)
    files.append("inventory.csv", catalogue.inventory)
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(catalogue.vectors.ravel()), catalogue.vectors.shape[1]
    )
    truth = pa.table({"product_id": pa.array(catalogue.ids, pa.string()), "vector": vectors})
    files.put("truth/items.parquet", truth)


def _write_chunk(
    files: RawFiles, plan: _Plan, catalogue: Catalogue, first: int, first_order: int, dirt: Dirt
) -> int:
    """Write one chunk of customers and all that they did; returns how many orders they made."""
    number = first // CHUNK
    rng = np.random.default_rng([plan.seed, _PEOPLE_STREAM, number])
    people = make_people(
        rng,
        catalogue,
        first=first,
        count=min(CHUNK, plan.customers - first),
        weeks=plan.weeks,
        end=plan.end,
        sessions=plan.sessions,
    )
    answered, agreed = agreed_at_start(rng, people)
    visits = make_visits(
        rng,
        catalogue,
        people,
        weeks=plan.weeks,
        end=plan.end,
        mail_allowed=agreed[:, list(PURPOSES).index(Purpose.MARKETING_EMAIL)],
        uplift=plan.planted,
    )
    bought = visits.purchases
    sales = make_sales(rng, catalogue, people, bought, first_order=first_order, stop=plan.stop)
    tables = {
        "customers": people.table,
        "orders": sales.orders,
        "order_lines": sales.lines,
        "returns": sales.returns,
        "quiz_answers": quiz_table(rng, people, plan.stop),
        "feedback": feedback_table(rng, catalogue, people, bought, sales.fit, plan.stop),
        "consents": consent_table(rng, people, answered, agreed, plan.stop),
    }
    for name, rows in tables.items():
        files.append(f"{name}.csv", soil(rng, name, rows, dirt))
    events = soil(rng, "interactions", visits.events, dirt)
    files.put(f"interactions/part-{number:05d}.parquet", events)
    files.put(f"truth/subjects/part-{number:05d}.parquet", _truth(people))
    return int(sales.orders.num_rows)


def _truth(people: People) -> pa.Table:
    """What no shop can know: `vector` · an item's `vector` is the preference; `treated` gets the uplift."""
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(people.vectors.ravel()), people.vectors.shape[1]
    )
    return pa.table(
        {
            "subject_id": pa.array(people.subject_ids, pa.string()),
            "vector": vectors,
            "treated": pa.array(people.treated),
        }
    )


def _summary(plan: _Plan, written: dict[str, int], dirt: Dirt) -> SimulationSummary:
    rows: Counter[str] = Counter()
    for name, count in written.items():
        if not name.startswith("truth/"):
            rows[name.partition("/")[0].removesuffix(".csv")] += count
    return SimulationSummary(
        customers=plan.customers,
        seed=plan.seed,
        until=plan.until,
        weeks=plan.weeks,
        products=plan.products,
        uplift=plan.uplift,
        rows=dict(rows),
        dirt={f"{table} {reason}": count for (table, reason), count in sorted(dirt.items())},
    )


def _write_manifest(folder: Path, plan: _Plan, summary: SimulationSummary) -> None:
    manifest = {
        "layout": LAYOUT,
        "summary": asdict(summary) | {"until": summary.until.isoformat()},
        "truth": {
            "uplift": plan.uplift,
            "uplift_from": (plan.end - timedelta(days=UPLIFT_DAYS)).isoformat(),
            "buys_from_cart": BUYS_FROM_CART,
            "position_bias": [round(float(bias), 4) for bias in POSITION_BIAS],
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
