import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from recommenders.artifacts import ArtifactError
from recommenders.catalogue import Catalogue
from recommenders.factor_model import FactorModel
from recommenders.interactions import Interactions
from recommenders.item_index import ItemIndex
from recommenders.lightfm_model import LightFMParameters, LightFMRecommender
from recommenders.popularity import Popularity
from recommenders.profile import SubjectProfile
from recommenders.ranking import Ranker, Ranking, RankingRequest, Touchpoint
from recommenders.reasons import Reason
from recommenders.trending import Trending


@pytest.fixture(scope="module")
def ranker(interactions: Interactions) -> Ranker:
    model = LightFMRecommender(LightFMParameters(components=16, epochs=8)).fit(interactions).model
    return Ranker(
        model=model,
        index=ItemIndex.build(model.item_vectors),
        popularity=Popularity().fit(interactions).item_scores,
        trending=Trending().fit(interactions).item_scores,
        catalogue=interactions.catalogue,
        version="20260301T000000_000000Z",
        fallback_version="20260301T000000_000001Z",
        published=datetime(2026, 3, 1, tzinfo=UTC),
    )


def names(ranking: Ranking) -> list[str]:
    return [item.product_id for item in ranking.items]


@pytest.mark.parametrize("touchpoint", Touchpoint)
@pytest.mark.parametrize("known", [True, False])
def test_every_touchpoint_answers_with_and_without_a_subject(
    ranker: Ranker, interactions: Interactions, touchpoint: Touchpoint, known: bool
) -> None:
    ranking = ranker.recommend(
        RankingRequest(
            touchpoint,
            pseudonym=interactions.subjects[0] if known else None,
            context_item="P00007",
            limit=12,
        )
    )
    assert len(set(names(ranking))) == 12
    assert "P00007" not in names(ranking)
    assert ranking.personalised is known
    assert len(ranking.ranking_id) == 32
    assert ranking.model.startswith("lightfm/" if known else "popularity/")


def test_without_a_pseudonym_the_profile_is_not_used(ranker: Ranker) -> None:
    profile = SubjectProfile({"category": {"category-2": 1.0}}, ["P00002"])
    anonymous = ranker.recommend(RankingRequest(Touchpoint.HOMEPAGE))
    nameless = ranker.recommend(RankingRequest(Touchpoint.HOMEPAGE, profile=profile))
    assert names(anonymous) == names(nameless)
    assert not nameless.personalised
    assert {item.reason for item in nameless.items} <= {
        Reason.TRENDING,
        Reason.POPULAR,
        Reason.IN_RANGE,
    }


def test_a_subject_of_whom_nothing_is_known_is_ranked_like_everybody(ranker: Ranker) -> None:
    unknown = ranker.recommend(RankingRequest(Touchpoint.HOMEPAGE, pseudonym="f" * 32))
    assert not unknown.personalised
    assert names(unknown) == names(ranker.recommend(RankingRequest(Touchpoint.HOMEPAGE)))


def test_a_newcomer_is_ranked_by_their_profile(ranker: Ranker) -> None:
    profile = SubjectProfile({"category": {"category-2": 1.0}}, ["P00002", "P00008"])
    ranking = ranker.recommend(
        RankingRequest(Touchpoint.HOMEPAGE, pseudonym="f" * 32, profile=profile, limit=10)
    )
    assert ranking.personalised
    assert sum(int(name[1:]) % 6 == 2 for name in names(ranking)) >= 6


def test_bought_excluded_and_out_of_stock_items_stay_away(
    ranker: Ranker, interactions: Interactions
) -> None:
    subject = interactions.subjects[3]
    first = ranker.recommend(RankingRequest(Touchpoint.SEARCH, pseudonym=subject, limit=100))
    bought = {interactions.catalogue.product_ids[i] for i in interactions.purchased[3].indices}
    stock = dict(zip(ranker.catalogue.product_ids, ranker.catalogue.in_stock(), strict=True))
    assert bought
    assert not bought & set(names(first))
    assert all(stock[name] for name in names(first))
    held = names(first)[:3]
    second = ranker.recommend(
        RankingRequest(Touchpoint.SEARCH, pseudonym=subject, limit=100, exclude=held)
    )
    assert names(second)[:10] == names(first)[3:13]


def test_search_ranks_what_matched_and_nothing_else(ranker: Ranker) -> None:
    matched = ["P00006", "P00001", "P00011", "unknown"]
    ranking = ranker.recommend(RankingRequest(Touchpoint.SEARCH, among=matched))
    assert set(names(ranking)) == {"P00006", "P00001", "P00011"}


def test_a_page_is_not_filled_by_one_brand(ranker: Ranker, interactions: Interactions) -> None:
    brands = dict(ranker.catalogue.items.select("product_id", "brand").iter_rows())
    for subject in interactions.subjects[:20]:
        ranking = ranker.recommend(RankingRequest(Touchpoint.EMAIL, pseudonym=subject, limit=10))
        shown = [brands[name] for name in names(ranking)]
        assert max(shown.count(brand) for brand in shown) <= 2


def test_a_product_page_shows_items_like_the_one_looked_at(ranker: Ranker) -> None:
    ranking = ranker.recommend(
        RankingRequest(Touchpoint.PRODUCT_PAGE, context_item="P00008", limit=6)
    )
    assert sum(int(name[1:]) % 6 == 2 for name in names(ranking)) >= 5
    assert Reason.SIMILAR_TO_CONTEXT in {item.reason for item in ranking.items}


def test_an_unknown_context_item_is_ignored(ranker: Ranker) -> None:
    ranking = ranker.recommend(RankingRequest(Touchpoint.PRODUCT_PAGE, context_item="gone"))
    assert len(ranking.items) == 20


def test_reasons_are_true_of_the_subject(ranker: Ranker) -> None:
    profile = SubjectProfile({"category": {"category-2": 1.0}}, ["P00002"])
    request = RankingRequest(Touchpoint.SEARCH, pseudonym="f" * 32, profile=profile, limit=100)
    reasons = {item.product_id: item.reason for item in ranker.recommend(request).items}
    assert reasons["P00002"] is Reason.VIEWED
    assert Reason.SIMILAR_TO_PURCHASES not in reasons.values()
    categories = dict(ranker.catalogue.items.select("product_id", "category").iter_rows())
    liked = [name for name, reason in reasons.items() if reason is Reason.LIKED_CATEGORY]
    assert all(categories[name] == "category-2" for name in liked)


def test_an_unusual_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 200"):
        RankingRequest(Touchpoint.HOMEPAGE, limit=0)


def test_models_of_different_catalogues_are_refused(ranker: Ranker, shop: Any) -> None:
    with pytest.raises(ArtifactError, match="different catalogues"):
        replace(ranker, catalogue=Catalogue.from_products(shop.products(10)))


def test_a_model_of_nobody_still_fills_every_page(ranker: Ranker) -> None:
    model = FactorModel.of_nobody(ranker.catalogue)
    bare = replace(ranker, model=model, index=ItemIndex.build(model.item_vectors))
    for touchpoint in Touchpoint:
        request = RankingRequest(touchpoint, pseudonym="f" * 32, context_item="P00001")
        ranking = bare.recommend(request)
        assert len(ranking.items) == 20
        assert not ranking.personalised
        assert Reason.SIMILAR_TO_CONTEXT not in {item.reason for item in ranking.items}


def test_a_ranking_takes_milliseconds(ranker: Ranker, interactions: Interactions) -> None:
    requests = [
        RankingRequest(Touchpoint.HOMEPAGE, pseudonym=name) for name in interactions.subjects[:50]
    ]
    measured = []
    for request in requests:
        started = time.perf_counter()
        ranker.recommend(request)
        measured.append(time.perf_counter() - started)
    assert np.median(measured) < 0.005
