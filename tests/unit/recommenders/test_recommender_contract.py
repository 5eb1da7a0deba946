"""What every recommender must do, held to each of them."""

from collections.abc import Callable

import numpy as np
import pytest

from recommenders.interactions import Interactions
from recommenders.lightfm_model import LightFMParameters, LightFMRecommender
from recommenders.popularity import AllTimePopularity, Popularity
from recommenders.recommender import NotFittedError, Recommender, UnknownItemError
from recommenders.trending import Trending

FACTORIES: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "popularity_all_time": AllTimePopularity,
    "trending": Trending,
    "lightfm": lambda: LightFMRecommender(LightFMParameters(components=16, epochs=6)),
}


@pytest.fixture(scope="module", params=FACTORIES)
def recommender(request: pytest.FixtureRequest, interactions: Interactions) -> Recommender:
    return FACTORIES[request.param]().fit(interactions)


@pytest.mark.parametrize("name", FACTORIES)
def test_asking_before_fit_says_to_fit(name: str) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        FACTORIES[name]().recommend(["a" * 32])


@pytest.mark.parametrize("name", FACTORIES)
def test_its_name_is_the_one_it_is_known_by(name: str) -> None:
    assert FACTORIES[name]().name == name


def test_fit_returns_the_recommender(interactions: Interactions) -> None:
    popularity = Popularity()
    assert popularity.fit(interactions) is popularity


def test_scores_cover_the_catalogue(recommender: Recommender, interactions: Interactions) -> None:
    scores = recommender.scores(interactions.subjects[:3])
    assert scores.shape == (3, len(interactions.catalogue))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_recommendations_are_distinct_and_best_first(
    recommender: Recommender, interactions: Interactions
) -> None:
    ranked = recommender.recommend(interactions.subjects[:5], limit=10)
    assert ranked.product_ids.shape == ranked.scores.shape == (5, 10)
    assert all(len(set(row)) == 10 for row in ranked.product_ids)
    assert (np.diff(ranked.scores, axis=1) <= 0).all()


def test_nothing_already_bought_is_recommended(
    recommender: Recommender, interactions: Interactions
) -> None:
    ranked = recommender.recommend(interactions.subjects, limit=20)
    for row, names in enumerate(ranked.product_ids):
        bought = interactions.purchased[row].indices
        assert not {interactions.catalogue.product_ids[item] for item in bought} & set(names)


def test_an_unknown_subject_gets_a_full_list(recommender: Recommender) -> None:
    ranked = recommender.recommend(["f" * 32], limit=20)
    assert (ranked.product_ids != None).all()  # noqa: E711 (element-wise)


def test_a_limit_beyond_the_catalogue_is_cut(
    recommender: Recommender, interactions: Interactions
) -> None:
    assert recommender.recommend(["f" * 32], limit=10_000).product_ids.shape == (
        1,
        len(interactions.catalogue),
    )


def test_similar_items_leave_the_item_out(recommender: Recommender) -> None:
    ranked = recommender.similar_items(["P00003", "P00004"], limit=5)
    assert ranked.product_ids.shape == (2, 5)
    assert "P00003" not in ranked.product_ids[0]
    assert "P00004" not in ranked.product_ids[1]


def test_similar_items_share_the_cluster(recommender: Recommender) -> None:
    ranked = recommender.similar_items(["P00003"], limit=5)
    assert sum(int(name[1:]) % 6 == 3 for name in ranked.product_ids[0]) >= 4


def test_an_unknown_item_is_named(recommender: Recommender) -> None:
    with pytest.raises(UnknownItemError, match="'nothing'"):
        recommender.similar_items(["nothing"])


@pytest.mark.parametrize("name", FACTORIES)
def test_fitting_twice_gives_the_same_scores(name: str, interactions: Interactions) -> None:
    first, second = (FACTORIES[name]().fit(interactions) for _ in range(2))
    subjects = interactions.subjects[:4]
    np.testing.assert_array_equal(first.scores(subjects), second.scores(subjects))
