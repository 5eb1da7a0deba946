"""What every recommender can do, and how scores become ranked lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recommenders.catalogue import Catalogue
from recommenders.interactions import Interactions

__all__ = ["NotFittedError", "Ranked", "Recommender", "UnknownItemError", "ranked", "top_rows"]


class NotFittedError(RuntimeError):
    """A recommender was asked before `fit` or `load`."""


class UnknownItemError(LookupError):
    """A product is not in the catalogue that the model was trained on."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Best items per query, best first.

    Attributes
    ----------
    product_ids: object array of shape (queries, limit); None pads a list that has fewer items.
    scores: float32 of the same shape; -inf where padded.
    """

    product_ids: NDArray[np.object_]
    scores: NDArray[np.float32]


class Recommender(Protocol):
    """A model that ranks the catalogue for subjects and for items."""

    name: str

    def fit(self, data: Interactions) -> Self:
        """Learn from `data` alone; returns self."""
        ...

    def scores(self, pseudonyms: Sequence[str]) -> NDArray[np.float32]:
        """Shape (subjects, items): higher is better; unknown subjects get the score of a newcomer."""
        ...

    def recommend(self, pseudonyms: Sequence[str], limit: int = 20) -> Ranked:
        """The best items that each subject has not bought yet."""
        ...

    def similar_items(self, product_ids: Sequence[str], limit: int = 20) -> Ranked:
        """The items most like each of `product_ids`, itself left out; raises UnknownItemError."""
        ...


def top_rows(scores: NDArray[np.float32], limit: int) -> NDArray[np.intp]:
    """Columns of the `limit` best scores of each row, best first; ties go to the lower column.

    `scores` has shape (queries, items); the result (queries, min(limit, items)).
    """
    limit = min(limit, scores.shape[1])
    if limit * 8 < scores.shape[1]:
        # Everything at least as good as the limit-th best, so that ties at the edge stay deterministic.
        edge = -np.partition(-scores, limit - 1, axis=1)[:, limit - 1 : limit]
        result = np.empty((scores.shape[0], limit), dtype=np.intp)
        for row, (values, least) in enumerate(zip(scores, edge, strict=True)):
            candidates = np.flatnonzero(values >= least)
            order = np.argsort(-values[candidates], kind="stable")[:limit]
            result[row] = candidates[order]
        return result
    return np.argsort(-scores, axis=1, kind="stable")[:, :limit]


def ranked(scores: NDArray[np.float32], catalogue: Catalogue, limit: int) -> Ranked:
    """Ranked lists from `scores` of shape (queries, items); -inf marks items that must not appear."""
    rows = top_rows(scores, limit)
    best = np.take_along_axis(scores, rows, axis=1)
    names = np.array(catalogue.product_ids, dtype=object)[rows]
    names[~np.isfinite(best)] = None
    return Ranked(names, best)
