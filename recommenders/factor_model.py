"""A factorised model as plain arrays: scoring, folding in newcomers, similar items. Nothing here trains."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommenders.catalogue import Catalogue
from recommenders.profile import SubjectProfile
from recommenders.recommender import Ranked, UnknownItemError, ranked

__all__ = ["FactorModel", "unit_rows"]

_SUBJECTS = pl.Schema(
    {"pseudonym": pl.String(), "purchased": pl.List(pl.String), "recent": pl.List(pl.String)}
)


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of `vectors` (n, components) scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


@dataclass(frozen=True)
class FactorModel:
    """Subjects and items in one vector space; score = subject vector · item vector + item bias.

    Attributes
    ----------
    catalogue: the products, in the order of the item arrays.
    item_vectors: float32 (items, components).
    item_biases: float32 (items,), the chosen share of recent popularity included.
    fallback: float32 (items,), scores for a subject of whom nothing is known: recent popularity, as it is served to them.
    feature_names: subject features (`category=dress`) by row of `feature_vectors`.
    feature_vectors: float32 (features, components).
    subjects: one row per trained subject: `pseudonym`, `purchased` and `recent` (lists of product ids).
    subject_vectors: float32 (subjects, components), aligned to `subjects`.
    recent_weight: how much the mean vector of a trained subject's latest items adds to their vector.
    fold_in_weight: the same for a subject without a trained vector.
    smallest_group: fewest subjects that shaped any of the item vectors' parts; None where nobody did.
    """

    catalogue: Catalogue
    item_vectors: NDArray[np.float32] = field(repr=False)
    item_biases: NDArray[np.float32] = field(repr=False)
    fallback: NDArray[np.float32] = field(repr=False)
    feature_names: list[str] = field(repr=False)
    feature_vectors: NDArray[np.float32] = field(repr=False)
    subjects: pl.DataFrame = field(repr=False)
    subject_vectors: NDArray[np.float32] = field(repr=False)
    recent_weight: float
    fold_in_weight: float
    smallest_group: int | None = None
    subject_rows: dict[str, int] = field(init=False, repr=False)
    feature_rows: dict[str, int] = field(init=False, repr=False)
    _unit_items: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = {name: row for row, name in enumerate(self.subjects["pseudonym"].to_list())}
        object.__setattr__(self, "subject_rows", rows)
        object.__setattr__(
            self, "feature_rows", {name: row for row, name in enumerate(self.feature_names)}
        )
        object.__setattr__(self, "_unit_items", unit_rows(self.item_vectors))

    @classmethod
    def of_nobody(cls, catalogue: Catalogue) -> "FactorModel":
        """A model that knows no subject and likes every item alike, for when nobody agrees to training."""
        return cls(
            catalogue=catalogue,
            item_vectors=np.zeros((len(catalogue), 1), dtype=np.float32),
            item_biases=np.zeros(len(catalogue), dtype=np.float32),
            fallback=np.zeros(len(catalogue), dtype=np.float32),
            feature_names=[],
            feature_vectors=np.zeros((0, 1), dtype=np.float32),
            subjects=pl.DataFrame(schema=_SUBJECTS),
            subject_vectors=np.zeros((0, 1), dtype=np.float32),
            recent_weight=0.0,
            fold_in_weight=0.0,
        )

    def keeping(self, pseudonyms: Collection[str]) -> "FactorModel":
        """The same model with the rows of `pseudonyms` alone; items and features stay as trained."""
        kept = self.subjects["pseudonym"].is_in(list(pseudonyms))
        return replace(
            self,
            subjects=self.subjects.filter(kept),
            subject_vectors=self.subject_vectors[kept.to_numpy()],
        )

    @property
    def unit_items(self) -> NDArray[np.float32]:
        """Item vectors scaled to length 1, float32 (items, components)."""
        return self._unit_items

    def purchased(self, pseudonym: str) -> list[str]:
        """Products that a trained subject bought before training; empty for others."""
        return self._listed(pseudonym, "purchased")

    def recent(self, pseudonym: str) -> list[str]:
        """A trained subject's latest products of interest, newest first; empty for others."""
        return self._listed(pseudonym, "recent")

    def _listed(self, pseudonym: str, column: str) -> list[str]:
        row = self.subject_rows.get(pseudonym)
        return [] if row is None else list(self.subjects[column][row])

    def fold_in(self, profile: SubjectProfile) -> NDArray[np.float32]:
        """Vector (components,) of a subject who was not in training, from features and latest items alone."""
        vector = np.zeros(self.item_vectors.shape[1], dtype=np.float32)
        for token, share in profile.tokens().items():
            row = self.feature_rows.get(token)
            if row is not None:
                vector += np.float32(share) * self.feature_vectors[row]
        return self._with_recent(vector, profile.recent_products, self.fold_in_weight)

    def subject_vector(
        self, pseudonym: str | None, profile: SubjectProfile | None = None
    ) -> NDArray[np.float32] | None:
        """Vector (components,) of a subject: trained if there is one, else folded in; None where nothing is known.

        A profile's latest items are newer than the ones known from training, and take their place.
        """
        if not self.feature_names and not self.subject_rows:
            return None
        row = self.subject_rows.get(pseudonym) if pseudonym is not None else None
        if row is not None and pseudonym is not None:
            recent = profile.recent_products if profile else ()
            return self._with_recent(
                self.subject_vectors[row], recent or self.recent(pseudonym), self.recent_weight
            )
        return None if profile is None or profile.is_empty else self.fold_in(profile)

    def _with_recent(
        self, vector: NDArray[np.float32], product_ids: Sequence[str], weight: float
    ) -> NDArray[np.float32]:
        rows = self.catalogue.index(product_ids)
        if not len(rows) or not weight:
            return vector
        return np.asarray(vector + weight * self.item_vectors[rows].mean(axis=0), dtype=np.float32)

    def scores_of(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (n, items) from subject vectors of shape (n, components)."""
        return np.asarray(vectors @ self.item_vectors.T + self.item_biases, dtype=np.float32)

    def scores(self, pseudonyms: Sequence[str]) -> NDArray[np.float32]:
        """Shape (subjects, items); subjects that were not in training get the fallback."""
        return self.scores_or_fallback([self.subject_vector(pseudonym) for pseudonym in pseudonyms])

    def scores_or_fallback(
        self, vectors: Sequence[NDArray[np.float32] | None]
    ) -> NDArray[np.float32]:
        """Shape (n, items): `scores_of` each vector, the fallback where it is None."""
        known = np.array([vector is not None for vector in vectors], dtype=bool)
        scores = np.tile(self.fallback, (len(vectors), 1))
        if known.any():
            scores[known] = self.scores_of(np.stack([v for v in vectors if v is not None]))
        return scores

    def recommend(self, pseudonyms: Sequence[str], limit: int = 20) -> Ranked:
        """The best items that each subject has not bought yet."""
        scores = self.scores(pseudonyms)
        for query, pseudonym in enumerate(pseudonyms):
            scores[query, self.catalogue.index(self.purchased(pseudonym))] = -np.inf
        return ranked(scores, self.catalogue, limit)

    def similar_items(self, product_ids: Sequence[str], limit: int = 20) -> Ranked:
        """Items by cosine to each of `product_ids`, itself left out; raises UnknownItemError."""
        unknown = [name for name in product_ids if name not in self.catalogue.rows]
        if unknown:
            raise UnknownItemError(
                f"Product {unknown[0]!r} is not among the {len(self.catalogue)} products of the model."
            )
        rows = self.catalogue.index(product_ids)
        scores = self.unit_items[rows] @ self.unit_items.T
        scores[np.arange(len(rows)), rows] = -np.inf
        return ranked(scores, self.catalogue, limit)
