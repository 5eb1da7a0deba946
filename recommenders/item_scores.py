"""Recommenders that give each item one score for everybody: the base of popularity and trending."""

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from recommenders.catalogue import Catalogue
from recommenders.interactions import Interactions
from recommenders.recommender import NotFittedError, Ranked, UnknownItemError, ranked

__all__ = ["ItemScoreRecommender"]


class ItemScoreRecommender:
    """One score per item; subclasses say how it is computed from interactions."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._scores: NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self._data: Interactions | None = None

    def item_scores_of(self, data: Interactions) -> NDArray[np.float64]:
        """Shape (items,): the score of each item as of `data.as_of`."""
        raise NotImplementedError(f"{type(self).__name__} must say how items are scored.")

    def fit(self, data: Interactions) -> Self:
        """Score the catalogue from `data`; remembers who bought what, to leave it out of recommendations."""
        self._data = data
        return self.with_scores(data.catalogue, self.item_scores_of(data))

    def with_scores(self, catalogue: Catalogue, scores: NDArray[np.float64]) -> Self:
        """Use `scores` of shape (items,) that were computed elsewhere, in the catalogue's order."""
        if scores.shape != (len(catalogue),):
            raise ValueError(
                f"{self.name} needs one score for each of {len(catalogue)} items, but got shape {scores.shape}."
            )
        self._catalogue, self._scores = catalogue, scores.astype(np.float32)
        return self

    @property
    def catalogue(self) -> Catalogue:
        """The ranked products; raises NotFittedError before `fit`."""
        if self._catalogue is None:
            raise NotFittedError(f"The {self.name} recommender knows no items yet: call fit first.")
        return self._catalogue

    @property
    def item_scores(self) -> NDArray[np.float32]:
        """Shape (items,), in the catalogue's order."""
        if self._catalogue is None:
            raise NotFittedError(f"The {self.name} recommender has no scores yet: call fit first.")
        return self._scores

    def scores(self, pseudonyms: Sequence[str]) -> NDArray[np.float32]:
        """Shape (subjects, items): the same row for everybody."""
        return np.tile(self.item_scores, (len(pseudonyms), 1))

    def recommend(self, pseudonyms: Sequence[str], limit: int = 20) -> Ranked:
        """The best items that each subject has not bought yet."""
        scores = self.scores(pseudonyms)
        if self._data is not None:
            known = self._data.rows
            for query, pseudonym in enumerate(pseudonyms):
                if pseudonym in known:
                    scores[query, self._data.purchased[known[pseudonym]].indices] = -np.inf
        return ranked(scores, self.catalogue, limit)

    def similar_items(self, product_ids: Sequence[str], limit: int = 20) -> Ranked:
        """The best-scored items of the same category; raises UnknownItemError."""
        categories = self.catalogue.items["category"].fill_null("").to_numpy()
        scores = np.tile(self.item_scores, (len(product_ids), 1))
        for query, product_id in enumerate(product_ids):
            row = self.catalogue.rows.get(product_id)
            if row is None:
                raise UnknownItemError(
                    f"Product {product_id!r} is not among the {len(self.catalogue)} products of the {self.name} model."
                )
            scores[query, categories != categories[row]] = -np.inf
            scores[query, row] = -np.inf
        return ranked(scores, self.catalogue, limit)
