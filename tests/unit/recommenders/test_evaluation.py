from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recommenders.catalogue import Catalogue
from recommenders.evaluation import HELD_OUT, EvaluationError, measure, questions_of
from recommenders.experiment import run_experiment
from recommenders.interactions import Interactions, TimeSplit, split_by_time
from recommenders.lightfm_model import LightFMParameters

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
SMALL = LightFMParameters(components=16, epochs=8)


def row(pseudonym: str, product_id: str, kind: str, days: float) -> dict[str, object]:
    return {
        "pseudonym": pseudonym,
        "product_id": product_id,
        "event_type": kind,
        "size": None,
        "event_timestamp": UNTIL - timedelta(days=days),
    }


@pytest.fixture
def tiny() -> pl.DataFrame:
    return pl.DataFrame(
        [
            row("known", "P00000", "purchase", 30),
            row("known", "P00001", "page_view", 30),
            row("known", "P00000", "purchase", 2),  # bought before: no question
            row("known", "P00001", "purchase", 2),
            row("new", "P00002", "purchase", 1),
            row("looker", "P00003", "page_view", 1),  # bought nothing: no question
            row("known", "P00004", "page_view", 0),
        ],
        schema_overrides={"event_timestamp": pl.Datetime("us", "UTC"), "size": pl.String},
    )


def trained(shop: Any, events: pl.DataFrame) -> tuple[Interactions, TimeSplit]:
    split = split_by_time(events, HELD_OUT)
    catalogue = Catalogue.from_products(shop.products(30))
    data = Interactions.from_events(split.before, catalogue, weights=shop.weights, as_of=split.at)
    return data, split


def test_questions_are_new_purchases_of_the_held_out_week(shop: Any, tiny: pl.DataFrame) -> None:
    data, split = trained(shop, tiny)
    questions = questions_of(data, split)
    assert questions.pseudonyms == ["known", "new"]
    assert [set(questions.relevant[row].indices) for row in range(2)] == [{1}, {2}]
    assert set(questions.excluded[0].indices) == {0}
    assert questions.known.tolist() == [True, False]


def test_discovery_leaves_out_what_the_subject_had_looked_at(shop: Any, tiny: pl.DataFrame) -> None:
    data, split = trained(shop, tiny)
    questions = questions_of(data, split).never_touched(data)
    assert questions.pseudonyms == ["new"]


def test_recall_ndcg_and_coverage_of_a_known_list(shop: Any, tiny: pl.DataFrame) -> None:
    data, split = trained(shop, tiny)
    questions = questions_of(data, split)

    def scorer(names: Sequence[str]) -> NDArray[np.float32]:
        # Item 0 (bought by the first subject) and item 5 lead; item 1 follows; item 2 comes last.
        scores = np.zeros((len(names), 30), dtype=np.float32)
        scores[:, [0, 5, 1, 2]] = [9, 8, 7, -1]
        return scores

    figures = measure(scorer, questions, cutoff=2)
    assert figures.recall.tolist() == [1.0, 0.0]
    assert figures.ndcg == pytest.approx([1 / np.log2(3), 0.0])
    assert np.flatnonzero(figures.seen).tolist() == [0, 1, 5]


def test_a_held_out_week_without_purchases_is_refused(shop: Any, tiny: pl.DataFrame) -> None:
    quiet = tiny.filter(
        (pl.col("event_type") != "purchase")
        | (pl.col("event_timestamp") < UNTIL - timedelta(days=10))
    )
    data, split = trained(shop, quiet)
    with pytest.raises(EvaluationError, match="Nobody bought"):
        questions_of(data, split)


def test_nothing_of_the_held_out_week_reaches_a_model(shop: Any) -> None:
    """Replacing the held-out week's events by others changes no model's scores, only the questions."""
    catalogue = Catalogue.from_products(shop.products(60))
    events = shop.events(150, 60, 20, seed=5)
    split = split_by_time(events, HELD_OUT)
    shuffled = split.after.with_columns(
        product_id=pl.col("product_id").reverse(), event_type=pl.lit("purchase")
    )
    reports = [
        run_experiment(pl.concat([split.before, after]), catalogue, shop.weights, SMALL)
        for after in (split.after, shuffled)
    ]
    assert reports[0].parameters == reports[1].parameters
    assert reports[0].tried == reports[1].tried
    assert reports[0].training_events == reports[1].training_events == split.before.height


def test_lightfm_beats_popularity_on_clustered_tastes(shop: Any) -> None:
    catalogue = Catalogue.from_products(shop.products(180))
    report = run_experiment(shop.events(500, 180, 30, seed=5), catalogue, shop.weights, SMALL)
    lightfm, popularity = report.metrics_of("lightfm"), report.metrics_of("popularity")
    assert lightfm.ndcg > 1.5 * popularity.ndcg
    assert lightfm.recall > 1.5 * popularity.recall
    assert lightfm.coverage > popularity.coverage
    assert lightfm.ndcg_gain_low is not None
    assert lightfm.ndcg_gain_low > 0
    assert report.metrics_of("lightfm_newcomer").ndcg > popularity.ndcg
