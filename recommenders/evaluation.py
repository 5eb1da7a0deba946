"""Offline evaluation on a held-out week: recall@20, NDCG@20 and coverage, for every model on the same questions.

A question is a subject who bought something in the held-out week that they had not bought before. The candidates are all
products on sale at the split that the subject had not bought by then; nothing from after the split reaches a model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from privacy.contracts import SMALLEST_GROUP
from recommenders.interactions import Interactions, TimeSplit
from recommenders.recommender import top_rows

__all__ = [
    "CUTOFF",
    "HELD_OUT",
    "EvaluationError",
    "Metrics",
    "PerSubject",
    "Questions",
    "compare",
    "evaluate",
    "measure",
    "questions_of",
    "questions_of_many",
]

CUTOFF = 20
HELD_OUT = timedelta(days=7)
_BATCH = 1024
Scorer = Callable[[Sequence[str]], NDArray[np.float32]]


class EvaluationError(ValueError):
    """There is nothing to evaluate on; says what the held-out week lacks."""


@dataclass(frozen=True)
class Questions:
    """Who is asked, what would have been right, and what must not be recommended.

    Attributes
    ----------
    pseudonyms: the asked subjects.
    relevant: bool (subjects, items): bought in the held-out week, new to the subject, on sale at the split.
    excluded: bool (subjects, items): bought before the split.
    on_sale: bool (items,).
    known: bool (subjects,): had at least one interaction before the split.
    """

    pseudonyms: list[str] = field(repr=False)
    relevant: sparse.csr_matrix = field(repr=False)
    excluded: sparse.csr_matrix = field(repr=False)
    on_sale: NDArray[np.bool_] = field(repr=False)
    known: NDArray[np.bool_] = field(repr=False)

    def never_touched(self, training: Interactions) -> "Questions":
        """The same questions about items of which the subject left no trace before the split: pure discovery."""
        empty = sparse.csr_matrix((1, len(self.on_sale)), dtype=bool)
        touched = sparse.vstack([training.touched, empty], format="csr")
        rows = [training.rows.get(name, len(training.subjects)) for name in self.pseudonyms]
        excluded = sparse.csr_matrix(self.excluded + touched[rows])
        relevant = sparse.csr_matrix(self.relevant > self.relevant.multiply(excluded))
        stricter = Questions(self.pseudonyms, relevant, excluded, self.on_sale, self.known)
        return stricter.subset(np.asarray(relevant.sum(axis=1)).ravel() > 0)

    def subset(self, keep: NDArray[np.bool_]) -> "Questions":
        """The questions where `keep`, shape (subjects,), is true."""
        names = [name for name, kept in zip(self.pseudonyms, keep, strict=True) if kept]
        return Questions(
            names, self.relevant[keep], self.excluded[keep], self.on_sale, self.known[keep]
        )


def questions_of(training: Interactions, split: TimeSplit) -> Questions:
    """Questions about `split.after` for models trained on `training` (built from `split.before`).

    Raises EvaluationError where nobody bought anything new in the held-out week.
    """
    catalogue = training.catalogue
    bought = split.after.filter(
        (pl.col("event_type") == "purchase") & pl.col("product_id").is_in(catalogue.product_ids)
    )
    names = bought["pseudonym"].unique().sort().to_list()
    rows = {name: row for row, name in enumerate(names)}
    relevant = sparse.lil_matrix((len(names), len(catalogue)), dtype=bool)
    for pseudonym, product_id in bought.select("pseudonym", "product_id").unique().iter_rows():
        relevant[rows[pseudonym], catalogue.rows[product_id]] = True
    on_sale = catalogue.on_sale(split.at)
    excluded = _purchased_before(training, names)
    matrix = relevant.tocsr().multiply(on_sale).tocsr()
    matrix = sparse.csr_matrix(matrix > matrix.multiply(excluded))
    known = np.array([name in training.rows for name in names], dtype=bool)
    everybody = Questions(names, matrix, excluded, on_sale, known)
    asked = everybody.subset(np.asarray(matrix.sum(axis=1)).ravel() > 0)
    if not asked.pseudonyms:
        raise EvaluationError(
            f"Nobody bought a product new to them between {split.at:%Y-%m-%d} and {split.until:%Y-%m-%d}: ingest a "
            "longer or busier history."
        )
    return asked


def questions_of_many(training: Interactions, split: TimeSplit) -> Questions:
    """The same, for figures that are kept; raises EvaluationError where they would stand for fewer than ten subjects."""
    asked = questions_of(training, split)
    if len(asked.pseudonyms) < SMALLEST_GROUP:
        raise EvaluationError(
            f"Fewer than {SMALLEST_GROUP} subjects bought a product new to them between {split.at:%Y-%m-%d} and "
            f"{split.until:%Y-%m-%d}, so a figure would tell about each: ingest a longer or busier history."
        )
    return asked


def _purchased_before(training: Interactions, names: list[str]) -> sparse.csr_matrix:
    empty = sparse.csr_matrix((1, len(training.catalogue)), dtype=bool)
    padded = sparse.vstack([training.purchased, empty], format="csr")
    rows = [training.rows.get(name, len(training.subjects)) for name in names]
    return sparse.csr_matrix(padded[rows])


@dataclass(frozen=True)
class PerSubject:
    """Per-subject figures, aligned to the questions; `seen` marks items recommended to anybody."""

    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    seen: NDArray[np.bool_]
    candidates: int


class Metrics(BaseModel):
    """Means over the asked subjects.

    `ndcg_gain` and its 95 % interval (paired bootstrap over subjects) say how much NDCG@20 lies above the reference model's.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    subjects: int
    recall: float
    ndcg: float
    coverage: float
    ndcg_gain: float | None = None
    ndcg_gain_low: float | None = None
    ndcg_gain_high: float | None = None


def measure(scorer: Scorer, questions: Questions, cutoff: int = CUTOFF) -> PerSubject:
    """Ask `scorer` (pseudonyms to scores (n, items)) every question, in batches.

    Recall is hits / relevant items; NDCG has binary gains and log2 discounts (Järvelin and Kekäläinen 2002), normalised by
    the best list of `cutoff` items.
    """
    discounts = 1 / np.log2(np.arange(cutoff) + 2)
    recall, ndcg = [], []
    seen = np.zeros(len(questions.on_sale), dtype=bool)
    for start in range(0, len(questions.pseudonyms), _BATCH):
        part = slice(start, start + _BATCH)
        scores = scorer(questions.pseudonyms[part]).copy()
        scores[:, ~questions.on_sale] = -np.inf
        scores[questions.excluded[part].toarray()] = -np.inf
        top = top_rows(scores, cutoff)
        relevant = questions.relevant[part].toarray()
        hits = np.take_along_axis(relevant, top, axis=1) & np.isfinite(
            np.take_along_axis(scores, top, axis=1)
        )
        wanted = relevant.sum(axis=1)
        ideal = np.cumsum(discounts)[np.minimum(wanted, cutoff) - 1]
        recall.append(hits.sum(axis=1) / wanted)
        ndcg.append(hits @ discounts[: hits.shape[1]] / ideal)
        seen[np.unique(top)] = True
    return PerSubject(
        np.concatenate(recall), np.concatenate(ndcg), seen, int(questions.on_sale.sum())
    )


def evaluate(
    name: str, scorer: Scorer, questions: Questions, reference: PerSubject | None = None
) -> Metrics:
    """Means of `measure`, and the gain over `reference` where one is given."""
    return compare(name, measure(scorer, questions), reference)


def compare(name: str, figures: PerSubject, reference: PerSubject | None = None) -> Metrics:
    """Summarise `figures` as Metrics; see there for the gain over `reference`."""
    gain = _gain(figures.ndcg - reference.ndcg) if reference is not None else (None, None, None)
    return Metrics(
        model=name,
        subjects=len(figures.recall),
        recall=float(figures.recall.mean()),
        ndcg=float(figures.ndcg.mean()),
        coverage=float(figures.seen.sum() / max(figures.candidates, 1)),
        ndcg_gain=gain[0],
        ndcg_gain_low=gain[1],
        ndcg_gain_high=gain[2],
    )


def _gain(differences: NDArray[np.float64], samples: int = 1000) -> tuple[float, float, float]:
    """Mean difference and its 95 % percentile bootstrap interval."""
    random = np.random.default_rng(0)
    means = [
        differences[random.integers(0, len(differences), len(differences))].mean()
        for _ in range(samples)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)
