"""When the simulated customers come, from where, and the form of what they do there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestration.sources.simulator.people import People, Times
from orchestration.sources.simulator.taste import Ints

__all__ = [
    "BROWSED",
    "EMAIL",
    "HOME",
    "PRODUCT_PAGE",
    "SEARCH",
    "TOUCHPOINTS",
    "Actions",
    "VisitPlan",
    "plan_visits",
]

TOUCHPOINTS = ("homepage", "search", "product_page", "email")
HOME, SEARCH, PRODUCT_PAGE, EMAIL = range(4)
BROWSED = 6
"""Most items that a visit looks at on its own account."""


@dataclass(frozen=True, slots=True)
class VisitPlan:
    """Visits, v of them, before anything happens in them."""

    who: Ints
    start: Times
    week: Ints
    touchpoint: Ints
    browsing: Ints


@dataclass(frozen=True, slots=True)
class Actions:
    """Events of one kind as columns; `visit` and `item` index into the plan and the catalogue (-1: no item)."""

    action: str
    visit: Ints
    item: Ints
    second: NDArray[np.float64]
    dwell: NDArray[np.float64] | None = None
    position: Ints | None = None
    listed: NDArray[np.bool_] | None = None


def plan_visits(
    rng: np.random.Generator,
    people: People,
    weeks: int,
    stop: np.datetime64,
    mail_allowed: NDArray[np.bool_],
) -> VisitPlan:
    """Visits of `people` in the `weeks` weeks before `stop`; `mail_allowed`, (n,), says who comes by e-mail."""
    window = weeks * 7 * 86_400.0
    present = np.minimum((stop - people.signed_up) / np.timedelta64(1, "s"), window)
    counts = np.minimum(rng.poisson(people.activity * present / window), 80)
    who = np.repeat(np.arange(len(counts)), counts)
    ago = (
        rng.random(len(who)) * np.maximum(present[who] - 4_000, 0) + 3_600
    )  # a visit lasts below an hour
    start = stop - (ago * 1e6).astype("timedelta64[us]")
    start = _at_a_waking_hour(rng, start, people.signed_up[who], stop)
    week = np.clip(weeks - 1 - ((stop - start) // np.timedelta64(7, "D")), 0, weeks - 1)
    touchpoint = rng.choice(4, len(who), p=[0.38, 0.32, 0.20, 0.10])
    touchpoint = np.where((touchpoint == EMAIL) & ~mail_allowed[who], HOME, touchpoint)
    browsing = np.minimum(1 + rng.poisson(1.7, len(who)), BROWSED)
    return VisitPlan(who, start, week.astype(np.int64), touchpoint, browsing)


def _at_a_waking_hour(
    rng: np.random.Generator, start: Times, earliest: Times, stop: np.datetime64
) -> Times:
    """Move visits to hours at which people shop, where that stays between sign-up and the end."""
    hours = np.arange(24)
    weight = (
        np.exp(-(((hours - 20.0) / 3.0) ** 2)) + 0.5 * np.exp(-(((hours - 13.0) / 3.5) ** 2)) + 0.03
    )
    day = start.astype("datetime64[D]").astype("datetime64[us]")
    second = (
        rng.choice(24, len(start), p=weight / weight.sum()) * 3_600 + rng.random(len(start)) * 3_600
    )
    moved = day + (second * 1e6).astype("timedelta64[us]")
    fits = (moved > earliest) & (moved < stop - np.timedelta64(1, "h"))
    return np.where(fits, moved, start)
