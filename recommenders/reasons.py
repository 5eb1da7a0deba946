"""Why an item is shown, in words a shopper understands and that are true of the ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from recommenders.catalogue import Catalogue
from recommenders.profile import SubjectProfile

__all__ = ["Reason", "ReasonGiver"]

# Cosine of two item vectors from which one counts as similar to the other.
SIMILAR_FROM = 0.5
# A category or brand counts as liked from this share of a subject's interest.
LIKED_FROM = 0.2
_TOP = 50


class Reason(StrEnum):
    """Reasons in the order in which they are preferred; the value is what a page shows."""

    SIMILAR_TO_CONTEXT = "similar to this item"
    VIEWED = "you looked at this recently"
    SIMILAR_TO_PURCHASES = "similar to items you bought"
    SIMILAR_TO_RECENT = "similar to items you looked at"
    LIKED_CATEGORY = "from a category you like"
    LIKED_BRAND = "from a brand you like"
    FOR_YOU = "picked for you"
    TRENDING = "trending this week"
    POPULAR = "popular now"
    IN_RANGE = "from our range"


@dataclass(frozen=True)
class ReasonGiver:
    """Explains rows of a catalogue.

    Attributes
    ----------
    unit_items: float32 (items, components), item vectors of length 1.
    trending, popularity: float32 (items,).
    """

    catalogue: Catalogue = field(repr=False)
    unit_items: NDArray[np.float32] = field(repr=False)
    trending: NDArray[np.float32] = field(repr=False)
    popularity: NDArray[np.float32] = field(repr=False)
    _crowd: dict[int, Reason] = field(init=False, repr=False)
    _attributes: dict[str, list[str | None]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        crowd: dict[int, Reason] = {}
        for scores, reason in ((self.popularity, Reason.POPULAR), (self.trending, Reason.TRENDING)):
            best = np.argsort(-scores, kind="stable")[:_TOP]
            crowd |= {int(row): reason for row in best if scores[row] > 0}
        object.__setattr__(self, "_crowd", crowd)
        items = self.catalogue.items
        attributes = {name: items[name].to_list() for name in ("category", "brand")}
        object.__setattr__(self, "_attributes", attributes)

    def for_everybody(self, rows: NDArray[np.intp]) -> list[Reason]:
        """Reasons that say nothing of a person."""
        return [self._crowd.get(int(row), Reason.IN_RANGE) for row in rows]

    def for_subject(
        self, rows: NDArray[np.intp], purchased: Sequence[str], profile: SubjectProfile
    ) -> list[Reason]:
        """The first reason of `Reason`'s order that holds for each row."""
        recent = [name for name in profile.recent_products if name not in set(purchased)]
        bought_rows, recent_rows = self.catalogue.index(purchased), self.catalogue.index(recent)
        viewed = set(recent_rows.tolist())
        near_bought = self.near(rows, bought_rows)
        near_recent = self.near(rows, recent_rows)
        reasons = []
        for position, row in enumerate(rows.tolist()):
            if row in viewed:
                reasons.append(Reason.VIEWED)
            elif near_bought[position]:
                reasons.append(Reason.SIMILAR_TO_PURCHASES)
            elif near_recent[position]:
                reasons.append(Reason.SIMILAR_TO_RECENT)
            else:
                reasons.append(self._by_taste(row, profile))
        return reasons

    def near(self, rows: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of `rows` are similar to one of the rows `others`, shape (rows,)."""
        if not len(others):
            return np.zeros(len(rows), dtype=bool)
        cosines = self.unit_items[rows] @ self.unit_items[others].T
        return np.asarray(cosines.max(axis=1) >= SIMILAR_FROM)

    def _by_taste(self, row: int, profile: SubjectProfile) -> Reason:
        for group, reason in (
            ("category", Reason.LIKED_CATEGORY),
            ("brand", Reason.LIKED_BRAND),
        ):
            value = self._attributes[group][row]
            if value is not None and profile.shares.get(group, {}).get(value, 0) >= LIKED_FROM:
                return reason
        return Reason.FOR_YOU
