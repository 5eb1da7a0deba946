from collections.abc import Callable, Collection
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import redis
from feast import FeatureView

import recommenders.consented_online_store as gate
from feature_repo.definitions import product_attributes, product_popularity, subject_profile
from orchestration.defs.features.online import no_count_of_few_people
from privacy import lake
from privacy.contracts import AssetContract
from recommenders.features import (
    OnlineProfile,
    apply_definitions,
    decode_profile,
    delete_online,
    feature_store,
    online_keys,
    product_features,
    queue_profile,
)
from recommenders.materialisation import materialise
from recommenders.online_profile import keep_online
from recommenders.permission import permitted
from tests.integration.features.conftest import NEWEST, POPULARITY_SCHEMA, write

Record = Callable[..., None]


@pytest.fixture(autouse=True)
def _applied(small_lake: None) -> None:
    apply_definitions()


def _read(client: "redis.Redis", pseudonym: str) -> OnlineProfile | None:
    pipeline = client.pipeline(transaction=False)
    pipeline.hmget(f"sv:consent:{{{pseudonym}}}", ["mask", "objections"])
    queue_profile(pipeline, pseudonym)
    return decode_profile(pipeline.execute()[1])


def _online(client: "redis.Redis") -> set[str]:
    return {name for name in "abc" if _read(client, f"subject-{name}")}


def _profiles() -> pd.DataFrame:
    rows: pd.DataFrame = lake.open_table("subject_profile").to_pandas()
    return rows


def test_only_subjects_who_agree_and_do_not_object_come_online(
    consent: Record, objection: Record, redis_client: "redis.Redis"
) -> None:
    consent("subject-a", "personalisation")
    consent("subject-b", "personalisation")
    consent("subject-c", "model_training")
    objection("subject-b", "features/subject_profile")
    counts = materialise(subject_profile)
    assert (counts.rows, counts.online, counts.withheld) == (3, 1, 2)
    assert _online(redis_client) == {"a"}


def test_an_objection_to_the_whole_online_store_counts_for_its_views(
    consent: Record, objection: Record, redis_client: "redis.Redis"
) -> None:
    consent("subject-a", "personalisation")
    objection("subject-a", "platform/online_features")
    materialise(subject_profile)
    assert _online(redis_client) == set()


def test_the_newest_snapshot_is_the_one_online(
    consent: Record, redis_client: "redis.Redis"
) -> None:
    consent("subject-a", "personalisation")
    materialise(subject_profile)
    profile = _read(redis_client, "subject-a")
    assert profile is not None
    assert profile.interactions_30d == 0


def test_values_go_when_consent_goes(consent: Record, redis_client: "redis.Redis") -> None:
    consent("subject-a", "personalisation")
    consent("subject-b", "personalisation")
    materialise(subject_profile)
    consent("subject-a", "personalisation", "opt_out")
    assert materialise(subject_profile).removed == 1
    assert _online(redis_client) == {"b"}


def test_values_go_when_the_lake_no_longer_holds_the_subject(
    consent: Record, redis_client: "redis.Redis"
) -> None:
    consent("subject-a", "personalisation")
    consent("subject-b", "personalisation")
    materialise(subject_profile)
    lake.erase("subject_profile", "pseudonym", ["subject-a"])
    materialise(subject_profile)
    assert _online(redis_client) == {"b"}


def test_consent_withdrawn_while_rows_are_written_takes_them_back(
    consent: Record, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    consent("subject-a", "personalisation")

    def then_withdrawn(pseudonyms: Collection[str], contract: AssetContract) -> set[str]:
        allowed = permitted(pseudonyms, contract)
        consent("subject-a", "personalisation", "opt_out")
        return allowed

    monkeypatch.setattr(gate, "permitted", then_withdrawn)
    rows = _profiles().query("interactions_30d == 0")
    feature_store().write_to_online_store("subject_profile", rows)
    assert _online(redis_client) == set()


def test_a_push_passes_the_same_gate(consent: Record, redis_client: "redis.Redis") -> None:
    consent("subject-b", "personalisation")
    feature_store().push("subject_profile_push", _profiles().query("interactions_30d == 0"))
    assert _online(redis_client) == {"b"}


def test_feasts_own_materialisation_passes_the_same_gate(
    consent: Record, redis_client: "redis.Redis"
) -> None:
    consent("subject-b", "personalisation")
    feature_store().materialize(
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2025, 1, 1, tzinfo=UTC),
        feature_views=["subject_profile"],
    )
    assert _online(redis_client) == {"b"}


def test_a_view_without_contract_is_not_written() -> None:
    view = FeatureView(name="nameless", entities=[], source=subject_profile.batch_source)
    with pytest.raises(gate.MissingContractError, match="nameless"):
        gate.contract_of(view)


def test_values_of_the_same_instant_are_replaced(
    consent: Record, redis_client: "redis.Redis"
) -> None:
    consent("subject-a", "personalisation")
    materialise(subject_profile)
    rows = _profiles().query("pseudonym == 'subject-a' and interactions_30d == 0")
    feature_store().write_to_online_store("subject_profile", rows.assign(views_7d=99))
    profile = _read(redis_client, "subject-a")
    assert profile is not None
    assert profile.views_7d == 99


def test_the_fast_read_equals_feasts_answer(consent: Record, redis_client: "redis.Redis") -> None:
    consent("subject-a", "personalisation")
    materialise(subject_profile)
    names = [feature.name for feature in subject_profile.features]
    answer = (
        feature_store()
        .get_online_features(
            features=[f"subject_profile:{name}" for name in names],
            entity_rows=[{"pseudonym": "subject-a"}],
        )
        .to_dict()
    )
    expected = {
        name: tuple(values[0]) if isinstance(values[0], list) else values[0]
        for name, values in answer.items()
        if name in names
    }
    fast = _read(redis_client, "subject-a")
    assert fast is not None
    found = asdict(fast)
    newest = found.pop("event_timestamp")
    assert found == expected
    assert newest == datetime(2024, 6, 30, 12, tzinfo=UTC)


def test_keys_are_those_of_feasts_store(consent: Record, redis_client: "redis.Redis") -> None:
    consent("subject-a", "personalisation")
    materialise(subject_profile)
    assert redis_client.keys(b"*subject-a*") == online_keys(["subject-a"])
    lifetime: Any = redis_client.ttl(online_keys(["subject-a"])[0])
    assert 0 < lifetime <= timedelta(days=35).total_seconds()


def test_deleting_a_subject_leaves_the_others(consent: Record, redis_client: "redis.Redis") -> None:
    consent("subject-a", "personalisation")
    consent("subject-b", "personalisation")
    materialise(subject_profile)
    assert delete_online(["subject-a", "nobody"]) == 1
    assert delete_online([]) == 0
    assert _online(redis_client) == {"b"}


def test_a_project_whose_name_ends_alike_is_left_alone(redis_client: "redis.Redis") -> None:
    own = online_keys(["subject-a"])[0]
    other = own.removesuffix(b"selvedge") + b"not-selvedge"
    redis_client.mset({own: "value", other: "value"})
    assert keep_online([]) == (0, 1)
    assert redis_client.exists(other)


def test_product_features_hold_every_product_once() -> None:
    products = product_features().set_index("product_id")
    assert list(products.sort_index().index) == ["p1", "p2", "p3"]
    assert products["popularity"].dropna().to_dict() == {"p1": 1.5, "p2": 1.5}
    assert products["purchases_30d"].dropna().to_dict() == {"p1": 20, "p2": 20}
    assert products["carts_7d"].isna().all()
    assert products["price"].isna()["p2"]
    assert list(products["in_stock_sizes"].isna().sort_index()) == [False, True, True]


def test_the_ranker_service_answers_for_a_subject_and_a_product(consent: Record) -> None:
    consent("subject-a", "personalisation")
    for view in (subject_profile, product_popularity, product_attributes):
        materialise(view)
    answer = (
        feature_store()
        .get_online_features(
            features=feature_store().get_feature_service("ranker_v1"),
            entity_rows=[{"pseudonym": "subject-a", "product_id": "p1"}],
        )
        .to_dict()
    )
    assert answer["category_affinity"] == [0.75]
    assert answer["price_affinity"] == [0.5]
    assert answer["brand"] == ["Wren"]


def _counts(product: str) -> dict[str, list[object]]:
    names = [f"product_popularity:{name}" for name in ("carts_7d", "purchases_30d")]
    rows = [{"product_id": product}]
    found: dict[str, list[object]] = feature_store().get_online_features(names, rows).to_dict()
    return {name: found[name] for name in ("carts_7d", "purchases_30d")}


def _popular(*products: str, carts: int | None) -> None:
    row = {"event_timestamp": NEWEST, "created": NEWEST, "subjects": 40, "purchases_30d": 20}
    rows = [row | {"product_id": name, "carts_7d": carts} for name in products]
    write("product_popularity", POPULARITY_SCHEMA, rows)


def test_a_count_that_is_unknown_is_unknown_online() -> None:
    _popular("p1", "p2", carts=None)
    materialise(product_popularity)
    assert _counts("p1") == {"carts_7d": [None], "purchases_30d": [20]}
    assert no_count_of_few_people().passed  # type: ignore[union-attr]


def test_a_count_of_few_people_that_came_online_fails_the_check() -> None:
    _popular("p1", "p2", carts=9)
    materialise(product_popularity)
    result = no_count_of_few_people()
    assert not result.passed  # type: ignore[union-attr]
    assert {name: entry.value for name, entry in result.metadata.items()}["carts_7d"] == 2  # type: ignore[union-attr]


def test_a_product_that_lost_its_row_goes_offline_and_keeps_its_other_views() -> None:
    _popular("p1", "p2", carts=None)
    materialise(product_popularity)
    materialise(product_attributes)
    _popular("p2", carts=None)
    assert materialise(product_popularity).removed == 1
    assert _counts("p1") == {"carts_7d": [None], "purchases_30d": [None]}
    assert _counts("p2") == {"carts_7d": [None], "purchases_30d": [20]}
    found = feature_store().get_online_features(
        ["product_attributes:brand"], [{"product_id": "p1"}]
    )
    assert found.to_dict()["brand"] == ["Wren"]
