"""What fewer than ten people shaped is in no vector that others may see, and no figure stands for them."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from privacy.contracts import SMALLEST_GROUP
from recommenders.catalogue import Catalogue
from recommenders.evaluation import EvaluationError, questions_of, questions_of_many
from recommenders.experiment import run_experiment
from recommenders.factor_model import FactorModel
from recommenders.interactions import Interactions, split_by_time
from recommenders.lightfm_model import LightFMParameters, LightFMRecommender
from tests.unit.recommenders.conftest import UNTIL, WEIGHTS, make_events, make_products

RARE, TWIN = "P00005", "P99999"


def _trained(people: int) -> FactorModel:
    """A model in which `people` subjects showed interest in `RARE`, and nobody in its twin of the same features."""
    products = make_products(60)
    twin = products.filter(pl.col("product_id") == RARE).with_columns(product_id=pl.lit(TWIN))
    events = make_events(120, 60, 20, seed=4).filter(pl.col("product_id") != RARE)
    fans = events.unique("pseudonym", maintain_order=True).head(people)
    bought = fans.with_columns(product_id=pl.lit(RARE), event_type=pl.lit("purchase"))
    items = Catalogue.from_products(pl.concat([products, twin]))
    data = Interactions.from_events(pl.concat([events, bought]), items, weights=WEIGHTS)
    return LightFMRecommender(LightFMParameters(components=8, epochs=3)).fit(data).model


def _apart(model: FactorModel) -> bool:
    rare, twin = (model.item_vectors[model.catalogue.rows[name]] for name in (RARE, TWIN))
    return not np.allclose(rare, twin)


def test_an_item_of_nine_people_is_known_by_its_other_features_alone() -> None:
    model = _trained(SMALLEST_GROUP - 1)
    assert not _apart(model)
    assert model.smallest_group is not None
    assert model.smallest_group >= SMALLEST_GROUP


def test_an_item_of_ten_people_has_a_vector_of_its_own() -> None:
    model = _trained(SMALLEST_GROUP)
    assert _apart(model)
    assert model.smallest_group == SMALLEST_GROUP


def test_no_figure_is_measured_on_nine_buyers(catalogue: Catalogue) -> None:
    events = make_events(60, 120, 10, seed=5)
    week = pl.col("event_timestamp") > UNTIL - timedelta(days=7)
    early = events.filter(~week)
    buyers = early.unique("pseudonym", maintain_order=True).head(SMALLEST_GROUP - 1)
    late = buyers.with_columns(
        product_id=pl.lit("P00119"), event_type=pl.lit("purchase"), event_timestamp=pl.lit(UNTIL)
    ).cast({"event_timestamp": pl.Datetime("us", "UTC")})
    events = pl.concat([early.filter(pl.col("product_id") != "P00119"), late])
    split = split_by_time(events, timedelta(days=6))
    data = Interactions.from_events(split.before, catalogue, weights=WEIGHTS, as_of=split.at)
    asked = len(questions_of(data, split).pseudonyms)
    assert 0 < asked < SMALLEST_GROUP
    with pytest.raises(EvaluationError, match="Fewer than 10 subjects"):
        questions_of_many(data, split)
    with pytest.raises(EvaluationError, match="Fewer than 10 subjects"):
        run_experiment(events, catalogue, WEIGHTS)
