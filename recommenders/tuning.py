"""Choosing how a trained model is weighed: popularity prior, latest items and fold-in, on a validation week.

The validation week is the last week of the training part, so that the held-out week stays untouched by every choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommenders.catalogue import Catalogue
from recommenders.evaluation import HELD_OUT, EvaluationError, Questions, measure, questions_of_many
from recommenders.factor_model import FactorModel
from recommenders.interactions import Interactions, InteractionsError, split_by_time
from recommenders.lightfm_model import LightFMParameters, LightFMRecommender, prior_of
from recommenders.profile import SubjectProfile, profiles_of

__all__ = ["Tuned", "folded_in_scores", "tune"]

POPULARITY_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 16.0)
RECENT_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
FOLD_IN_WEIGHTS = (0.5, 1.0, 2.0, 3.0, 4.0)


class Tuned(NamedTuple):
    """Chosen parameters and, per tried setting, NDCG@20 on the validation week (empty where there was none)."""

    parameters: LightFMParameters
    tried: list[dict[str, float]]


def tune(
    before: pl.DataFrame,
    catalogue: Catalogue,
    weights: Mapping[str, float],
    base: LightFMParameters | None = None,
) -> Tuned:
    """Choose the three weights on the last week of `before`; `base` unchanged where that week has no questions."""
    base = base or LightFMParameters()
    try:
        split = split_by_time(before, HELD_OUT)
        data = Interactions.from_events(split.before, catalogue, weights=weights, as_of=split.at)
        questions = questions_of_many(data, split)
    except (InteractionsError, EvaluationError):
        return Tuned(base, [])
    plain = base.model_copy(update={"popularity_weight": 0.0, "recent_weight": 0.0})
    model = LightFMRecommender(plain).fit(data).model
    prior = prior_of(data)
    tried = [
        {
            "popularity_weight": popularity,
            "recent_weight": recent,
            "ndcg": _ndcg(_weighed(model, prior, popularity, recent), questions),
        }
        for popularity, recent in product(POPULARITY_WEIGHTS, RECENT_WEIGHTS)
    ]
    chosen = _chosen(tried)
    weighed = _weighed(model, prior, chosen["popularity_weight"], chosen["recent_weight"])
    fold_in = _best_fold_in(weighed, profiles_of(data, questions.pseudonyms), questions)
    return Tuned(base.model_copy(update={**chosen, "fold_in_weight": fold_in}), tried)


def _chosen(tried: list[dict[str, float]]) -> dict[str, float]:
    """The popularity weight that does best on average, then the best weight of latest items beside it.

    One validation week is noisy; averaging keeps a lucky pair from being taken.
    """

    def average(popularity: float) -> float:
        return float(
            np.mean([row["ndcg"] for row in tried if row["popularity_weight"] == popularity])
        )

    popularity = max(POPULARITY_WEIGHTS, key=average)
    beside = [row for row in tried if row["popularity_weight"] == popularity]
    recent = max(beside, key=lambda row: row["ndcg"])["recent_weight"]
    return {"popularity_weight": popularity, "recent_weight": recent}


def _weighed(
    model: FactorModel, prior: NDArray[np.float32], popularity: float, recent: float
) -> FactorModel:
    biases = np.asarray(model.item_biases + popularity * prior, dtype=np.float32)
    return replace(model, item_biases=biases, recent_weight=recent)


def _ndcg(model: FactorModel, questions: Questions) -> float:
    return float(measure(model.scores, questions).ndcg.mean())


def _best_fold_in(
    model: FactorModel, profiles: Mapping[str, SubjectProfile], questions: Questions
) -> float:
    def ndcg(weight: float) -> float:
        folded = replace(model, fold_in_weight=weight)
        figures = measure(lambda names: folded_in_scores(folded, profiles, names), questions)
        return float(figures.ndcg.mean())

    return max(FOLD_IN_WEIGHTS, key=ndcg)


def folded_in_scores(
    model: FactorModel, profiles: Mapping[str, SubjectProfile], pseudonyms: Sequence[str]
) -> NDArray[np.float32]:
    """Shape (subjects, items): as if no subject had a trained vector, from their profiles alone."""
    found = [profiles.get(pseudonym) for pseudonym in pseudonyms]
    return model.scores_or_fallback([model.fold_in(each) if each else None for each in found])
