"""Visits to the simulated shop: listings with position bias, product pages, and the funnel to a purchase.

A visit looks at items drawn without replacement from the softmax of taste plus the week's appeal (Gumbel top-k, Yellott
1977). A listing is made by the shop: on the homepage and in e-mails it is what is popular that week, in search it
comes near the taste of the visit. A person examines position k with the chance k^-0.8 (the position-based model,
Craswell et al. 2008), and clicks an examined item by its preference.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.sources.simulator.catalogue import Catalogue
from orchestration.sources.simulator.events import event_table, size_labels
from orchestration.sources.simulator.people import People, Times
from orchestration.sources.simulator.taste import Floats, Ints
from orchestration.sources.simulator.visits import (
    BROWSED,
    PRODUCT_PAGE,
    SEARCH,
    Actions,
    VisitPlan,
    plan_visits,
)

__all__ = ["POSITION_BIAS", "Purchases", "Uplift", "Visits", "make_visits"]

LISTED = 6
POSITION_BIAS = np.power(np.arange(1, LISTED + 1), -0.8)
BUYS_FROM_CART = 0.42
"""Chance that an item in the cart is bought in the same visit, without uplift."""
_BLOCK = 4_096
_LISTS_PER_WEEK = 24


@dataclass(frozen=True, slots=True)
class Uplift:
    """A planted effect: treated people buy what is in their cart `relative` more often from `start` on (UTC)."""

    relative: float
    start: np.datetime64


@dataclass(frozen=True, slots=True)
class Purchases:
    """Bought items, m of them, as columns; rows of one visit are one order."""

    who: Ints
    item: Ints
    visit: Ints
    size: NDArray[np.object_]
    liking: Floats
    at: Times


@dataclass(frozen=True, slots=True)
class Visits:
    """The events of some customers in `events.EVENT_SCHEMA`, and what they bought."""

    events: pa.Table
    purchases: Purchases


def make_visits(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    *,
    weeks: int,
    end: datetime,
    mail_allowed: NDArray[np.bool_],
    uplift: Uplift,
) -> Visits:
    """All visits of `people` in the `weeks` weeks before `end`; `mail_allowed`, (n,), says who comes by e-mail."""
    plan = plan_visits(
        rng, people, weeks, np.datetime64(end.replace(tzinfo=None), "us"), mail_allowed
    )
    taste = people.vectors @ catalogue.vectors.T
    liking = (taste - taste.mean(axis=1, keepdims=True)) / taste.std(axis=1, keepdims=True)
    seen, shown = _seen(rng, catalogue, plan, taste)
    actions = _listing(rng, plan, shown, liking)
    clicked = actions[-1]
    views = _views(rng, plan, seen, clicked, liking)
    actions += [views, *_funnel(rng, people, plan, views, liking, uplift)]
    if searches := _searches(plan):
        actions.append(searches)
    return Visits(
        events=event_table(rng, catalogue, people, plan, actions, seen[:, 0]),
        purchases=_purchases(catalogue, people, plan, actions, liking),
    )


def _seen(
    rng: np.random.Generator, catalogue: Catalogue, plan: VisitPlan, taste: Floats
) -> tuple[Ints, Ints]:
    """Items browsed by taste, (v, BROWSED), best first, and items listed by the shop, (v, LISTED)."""
    visits = len(plan.who)
    top = np.empty((visits, BROWSED + LISTED), dtype=np.int64)
    for first in range(0, visits, _BLOCK):
        rows = slice(first, first + _BLOCK)
        keys = taste[plan.who[rows]] + catalogue.weekly[plan.week[rows]]
        noise = rng.standard_exponential(keys.shape, dtype=np.float32)
        keys -= np.log(np.maximum(noise, 1e-30))  # + Gumbel noise
        best = np.argpartition(-keys, BROWSED + LISTED, axis=1)[:, : BROWSED + LISTED]
        order = np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1)
        top[rows] = np.take_along_axis(best, order, axis=1)
    popular = _popular_lists(rng, catalogue)
    shown = popular[plan.week, rng.integers(_LISTS_PER_WEEK, size=visits)]
    near = (plan.touchpoint == SEARCH) | (plan.touchpoint == PRODUCT_PAGE)
    return top[:, :BROWSED], np.where(near[:, None], top[:, BROWSED:], shown)


def _popular_lists(rng: np.random.Generator, catalogue: Catalogue) -> Ints:
    """What the shop lists as popular, (weeks, lists, LISTED)."""
    weeks, items = catalogue.weekly.shape
    appeal = 1.5 * catalogue.vectors[:, -1] + catalogue.weekly
    keys = appeal[:, None, :] + rng.gumbel(size=(weeks, _LISTS_PER_WEEK, items))
    return np.argsort(-keys, axis=2)[:, :, :LISTED]


def _listing(
    rng: np.random.Generator, plan: VisitPlan, shown: Ints, liking: Floats
) -> list[Actions]:
    """Impressions of a listing, and the clicks on it; some visits go straight to a product page."""
    with_list = np.flatnonzero(rng.random(len(plan.who)) < 0.6)
    visit = np.repeat(with_list, LISTED)
    item = shown[with_list].ravel()
    place = np.tile(np.arange(LISTED), len(with_list))
    second = np.asarray(2.0 + 0.001 * place, dtype=np.float64)
    clicks = 1 / (1 + np.exp(2.2 - 1.4 * liking[plan.who[visit], item]))
    chosen = np.flatnonzero(rng.random(len(visit)) < POSITION_BIAS[place] * clicks)
    listed = np.ones(len(visit), dtype=bool)
    impressions = Actions("impression", visit, item, second, None, place + 1, listed)
    clicked = Actions(
        "click",
        visit[chosen],
        item[chosen],
        10.0 + 40.0 * place[chosen] + rng.random(len(chosen)),
        None,
        place[chosen] + 1,
        listed[chosen],
    )
    return [impressions, clicked]


def _views(
    rng: np.random.Generator, plan: VisitPlan, seen: Ints, clicked: Actions, liking: Floats
) -> Actions:
    """Product pages: those clicked in a listing, then those browsed."""
    browsed = np.arange(BROWSED)[None, :] < plan.browsing[:, None]
    visit, rank = np.nonzero(browsed)
    item = seen[visit, rank]
    all_visits = np.concatenate([clicked.visit, visit])
    all_items = np.concatenate([clicked.item, item])
    second = np.concatenate(
        [clicked.second + 1.0, 300.0 + 90.0 * rank + 30 * rng.random(len(rank))]
    )
    like = np.clip(liking[plan.who[all_visits], all_items], -2, 3)
    dwell = np.clip(rng.lognormal(2.6 + 0.25 * like, 0.7), 1.0, 900.0)
    return Actions("page_view", all_visits, all_items, second, np.round(dwell, 1))


def _funnel(
    rng: np.random.Generator,
    people: People,
    plan: VisitPlan,
    views: Actions,
    liking: Floats,
    uplift: Uplift,
) -> list[Actions]:
    """Wishlist, cart, removal and purchase of viewed items."""
    like = liking[plan.who[views.visit], views.item]
    wished = np.flatnonzero(rng.random(len(like)) < 0.045)
    carted = np.flatnonzero(rng.random(len(like)) < 1 / (1 + np.exp(3.6 - 1.05 * like)))
    visit, item = views.visit[carted], views.item[carted]
    treated = people.treated[plan.who[visit]] & (plan.start[visit] >= uplift.start)
    buys = BUYS_FROM_CART * np.where(treated, 1.0 + uplift.relative, 1.0)
    bought = rng.random(len(carted)) < buys
    removed = ~bought & (rng.random(len(carted)) < 0.18)
    later = views.second[carted] + 20.0
    return [
        Actions("wishlist", views.visit[wished], views.item[wished], views.second[wished] + 15.0),
        Actions("add_to_cart", visit, item, later),
        Actions("remove_from_cart", visit[removed], item[removed], later[removed] + 25.0),
        Actions("purchase", visit[bought], item[bought], np.full(int(bought.sum()), 1_500.0)),
    ]


def _searches(plan: VisitPlan) -> Actions | None:
    visit = np.flatnonzero(plan.touchpoint == SEARCH)
    if not len(visit):
        return None
    return Actions("search", visit, np.full(len(visit), -1), np.full(len(visit), 1.0))


def _purchases(
    catalogue: Catalogue, people: People, plan: VisitPlan, actions: list[Actions], liking: Floats
) -> Purchases:
    """What was bought, at the time at which its purchase events say so."""
    bought = next(action for action in actions if action.action == "purchase")
    who = plan.who[bought.visit]
    return Purchases(
        who=who,
        item=bought.item,
        visit=bought.visit,
        size=size_labels(catalogue, people, who, bought.item),
        liking=liking[who, bought.item],
        at=plan.start[bought.visit] + np.timedelta64(1_500, "s"),
    )
