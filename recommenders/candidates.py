"""Candidate sources: each proposes a few hundred rows of the catalogue; the ranker scores their union."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recommenders.item_index import ItemIndex
from recommenders.recommender import top_rows

__all__ = [
    "CandidateContext",
    "CandidateSource",
    "PersonalCandidates",
    "SimilarCandidates",
    "TopCandidates",
    "union",
]

_NO_ROWS = np.empty(0, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class CandidateContext:
    """What a source may know of a request.

    Attributes
    ----------
    personal_scores: float32 (items,), None for a ranking that is not personal.
    anchor_rows: rows to which similar items are wanted: the context item, the subject's latest items.
    """

    personal_scores: NDArray[np.float32] | None = None
    anchor_rows: NDArray[np.intp] = field(default_factory=lambda: _NO_ROWS)


class CandidateSource(Protocol):
    """Something that proposes items."""

    name: str

    def candidates(self, context: CandidateContext, limit: int) -> NDArray[np.intp]:
        """At most `limit` rows of the catalogue, best first."""
        ...


@dataclass(frozen=True)
class PersonalCandidates:
    """The items with the subject's best personal scores."""

    name: str = "personal"

    def candidates(self, context: CandidateContext, limit: int) -> NDArray[np.intp]:
        """The best personal scores; nothing for a ranking that is not personal."""
        if context.personal_scores is None:
            return _NO_ROWS
        return np.asarray(top_rows(context.personal_scores[None, :], limit)[0], dtype=np.intp)


@dataclass(frozen=True)
class SimilarCandidates:
    """Nearest items to the context item and to the subject's latest items, from the index."""

    index: ItemIndex = field(repr=False)
    name: str = "similar"

    def candidates(self, context: CandidateContext, limit: int) -> NDArray[np.intp]:
        """Neighbours of every anchor, interleaved by closeness rank."""
        if not len(context.anchor_rows):
            return _NO_ROWS
        each = -(-limit // len(context.anchor_rows)) + 1
        rows, _ = self.index.nearest(self.index.vectors(context.anchor_rows), each)
        found = rows.T.ravel()
        return np.asarray(found[found >= 0][:limit], dtype=np.intp)


@dataclass(frozen=True)
class TopCandidates:
    """The best items of a score that is the same for everybody."""

    name: str
    order: NDArray[np.intp] = field(repr=False)

    @classmethod
    def of(cls, name: str, scores: NDArray[np.float32]) -> "TopCandidates":
        """Rank item `scores` of shape (items,) once."""
        return cls(name, np.argsort(-scores, kind="stable"))

    def candidates(self, context: CandidateContext, limit: int) -> NDArray[np.intp]:
        """The first `limit`, whatever the context."""
        return self.order[:limit]


def union(
    sources: tuple[CandidateSource, ...], context: CandidateContext, limit: int
) -> NDArray[np.intp]:
    """Distinct rows that any of `sources` proposes, ascending; each may propose `limit`."""
    return np.unique(np.concatenate([source.candidates(context, limit) for source in sources]))
