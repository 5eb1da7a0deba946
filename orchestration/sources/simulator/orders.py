"""What follows a purchase in the simulated shop: orders, their lines, and returns."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.sources.simulator.catalogue import Catalogue
from orchestration.sources.simulator.people import People, Times, opaque_ids
from orchestration.sources.simulator.sessions import Purchases
from orchestration.sources.simulator.taste import Ints

__all__ = ["FITS", "Sales", "make_sales"]

FITS = ("small", "fit", "large")
_TIMES = pa.timestamp("us", tz="UTC")
_REASONS = ("too small", "changed my mind", "too large", "not as pictured", "arrived late")


@dataclass(frozen=True, slots=True)
class Sales:
    """Orders and returns as the shop's raw tables, and how each of m bought items fitted.

    Attributes
    ----------
    fit: (m,) index into `FITS`, the buyer's experience.
    """

    orders: pa.Table
    lines: pa.Table
    returns: pa.Table
    fit: Ints


def make_sales(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    bought: Purchases,
    *,
    first_order: int,
    stop: np.datetime64,
) -> Sales:
    """Orders numbered from `first_order`, a row of `bought` being one line."""
    _, first_line, order = np.unique(bought.visit, return_index=True, return_inverse=True)
    numbers = np.array(
        [f"SO-{first_order + index}" for index in range(len(first_line))], dtype=object
    )
    line_ids = np.array(
        [
            f"{numbers[index]}-{line}"
            for index, line in zip(order, _line_numbers(order), strict=True)
        ],
        dtype=object,
    )
    fit = rng.choice(3, len(order), p=[0.13, 0.74, 0.13])
    lines = pa.table(
        {
            "line_no": pa.array(line_ids, pa.string()),
            "order_no": pa.array(numbers[order], pa.string()),
            "customer_no": pa.array(people.subject_ids[bought.who], pa.string()),
            "sku": pa.array(catalogue.ids[bought.item], pa.string()),
            "size": pa.array(bought.size, pa.string()),
            "quantity": pa.array(np.where(rng.random(len(order)) < 0.03, 2, 1), pa.int32()),
            "unit_price": pa.array(catalogue.prices[bought.item].astype(float).round(2)),
            "ordered": pa.array(bought.at, _TIMES),
        }
    )
    orders = _orders(rng, people, bought, first_line, numbers, stop)
    return Sales(orders, lines, _returns(rng, lines, fit, bought, stop), fit)


def _line_numbers(order: Ints) -> Ints:
    """1, 2, … within each order; lines of one order need not be neighbours."""
    by_order = np.argsort(order, kind="stable")
    grouped = order[by_order]
    starts = np.flatnonzero(np.append(True, grouped[1:] != grouped[:-1])) if len(order) else order
    within = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    numbers = np.empty_like(order)
    numbers[by_order] = within + 1
    return numbers


def _orders(
    rng: np.random.Generator,
    people: People,
    bought: Purchases,
    first_line: Ints,
    numbers: NDArray[np.object_],
    stop: np.datetime64,
) -> pa.Table:
    who, at = bought.who[first_line], bought.at[first_line]
    days = (stop - at) / np.timedelta64(1, "D")
    status = np.select([days < 1, days < 4], ["placed", "shipped"], default="delivered")
    status = np.where(rng.random(len(who)) < 0.015, "cancelled", status)
    countries = np.array([identity.country for identity in people.identities], dtype=object)
    return pa.table(
        {
            "order_no": pa.array(numbers, pa.string()),
            "customer_no": pa.array(people.subject_ids[who], pa.string()),
            "ordered": pa.array(at, _TIMES),
            "status": pa.array(status, pa.string()),
            "country": pa.array(countries[who], pa.string()),
        }
    )


def _returns(
    rng: np.random.Generator, lines: pa.Table, fit: Ints, bought: Purchases, stop: np.datetime64
) -> pa.Table:
    """Every second item that does not fit and every twelfth that does comes back within three weeks."""
    chance = np.where(fit == 1, 0.08, 0.5)
    at: Times = bought.at + (rng.uniform(3, 21, len(fit)) * 86_400e6).astype("timedelta64[us]")
    back = np.flatnonzero((rng.random(len(fit)) < chance) & (at < stop))
    other = rng.choice([1, 3, 4], len(back), p=[0.7, 0.2, 0.1])
    reason = np.where(fit[back] == 1, other, fit[back])
    kept = lines.select(["order_no", "line_no", "customer_no", "sku", "quantity"]).take(back)
    return (
        kept.append_column(
            "reason", pa.array(np.array(_REASONS, dtype=object)[reason], pa.string())
        )
        .append_column("returned", pa.array(at[back], _TIMES))
        .add_column(0, "return_no", opaque_ids(rng, len(back), 8))
    )
