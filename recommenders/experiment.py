"""One offline experiment: every model trained before the held-out week and asked the same questions about it."""

from collections.abc import Mapping
from datetime import datetime
from time import perf_counter

import polars as pl
from pydantic import BaseModel, ConfigDict

from privacy.contracts import SMALLEST_GROUP
from recommenders.catalogue import Catalogue
from recommenders.evaluation import (
    HELD_OUT,
    Metrics,
    Questions,
    Scorer,
    compare,
    measure,
    questions_of_many,
)
from recommenders.interactions import Interactions, split_by_time
from recommenders.lightfm_model import LightFMParameters, LightFMRecommender
from recommenders.popularity import AllTimePopularity, Popularity
from recommenders.profile import profiles_of
from recommenders.trending import Trending
from recommenders.tuning import folded_in_scores, tune

__all__ = ["Report", "run_experiment"]


class Report(BaseModel):
    """What came out; plain data.

    Attributes
    ----------
    split_at, until: the held-out week (data clock).
    training_events, training_subjects: what models were trained on.
    everybody, known: metrics per model over all asked subjects, and over those with a history before the split.
        `lightfm_newcomer` treats each of them as new: no trained vector, only the profile (fold-in).
    discovery: over items of which the subject had left no trace (not even a page view) before the split.
    parameters: chosen on the week before the held-out one; `tried` shows the choice.
    seconds: wall time of training and tuning.
    """

    model_config = ConfigDict(frozen=True)

    split_at: datetime
    until: datetime
    training_events: int
    training_subjects: int
    everybody: list[Metrics]
    known: list[Metrics]
    discovery: list[Metrics]
    parameters: LightFMParameters
    tried: list[dict[str, float]]
    seconds: dict[str, float]

    @property
    def smallest_group(self) -> int:
        """Fewest subjects that a figure stands for."""
        return min(row.subjects for row in (*self.everybody, *self.known, *self.discovery))

    def metrics_of(self, model: str) -> Metrics:
        """Metrics of `model` over all asked subjects; raises KeyError for a model that did not take part."""
        return {metrics.model: metrics for metrics in self.everybody}[model]


def run_experiment(
    events: pl.DataFrame,
    catalogue: Catalogue,
    weights: Mapping[str, float],
    base: LightFMParameters | None = None,
) -> Report:
    """Split `events` (consented rows of `lake/interactions`), tune, train and measure.

    Raises InteractionsError or EvaluationError where the history is too short or too few subjects buy in the held-out week.
    """
    split = split_by_time(events, HELD_OUT)
    data = Interactions.from_events(split.before, catalogue, weights=weights, as_of=split.at)
    questions = questions_of_many(data, split)
    started = perf_counter()
    tuned = tune(split.before, catalogue, weights, base)
    tuning_seconds = perf_counter() - started
    started = perf_counter()
    lightfm = LightFMRecommender(tuned.parameters).fit(data)
    training_seconds = perf_counter() - started
    scorers = _scorers(data, lightfm, questions)
    return Report(
        split_at=split.at,
        until=split.until,
        training_events=data.events.height,
        training_subjects=len(data.subjects),
        everybody=_measured(scorers, questions),
        known=_measured(scorers, questions.subset(questions.known)),
        discovery=_measured(scorers, questions.never_touched(data)),
        parameters=tuned.parameters,
        tried=tuned.tried,
        seconds={"tuning": tuning_seconds, "training": training_seconds},
    )


def _scorers(
    data: Interactions, lightfm: LightFMRecommender, questions: Questions
) -> dict[str, Scorer]:
    baselines = {
        model.name: model.fit(data).scores
        for model in (Popularity(), AllTimePopularity(), Trending())
    }
    profiles = profiles_of(data, questions.pseudonyms)
    return {
        **baselines,
        "lightfm": lightfm.scores,
        "lightfm_newcomer": lambda names: folded_in_scores(lightfm.model, profiles, names),
    }


def _measured(scorers: Mapping[str, Scorer], questions: Questions) -> list[Metrics]:
    """Metrics of each model, gains counted from the first (popularity); none where fewer than ten subjects are asked."""
    if len(questions.pseudonyms) < SMALLEST_GROUP:
        return []
    figures = {name: measure(scorer, questions) for name, scorer in scorers.items()}
    reference = next(iter(figures.values()))
    return [
        compare(name, measured, None if measured is reference else reference)
        for name, measured in figures.items()
    ]
