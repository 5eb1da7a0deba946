"""Values that nobody wrote again within their contract's time are read by nobody, however new their event is."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from feast import FeatureView
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.definitions import product_attributes, product_popularity, subject_profile
from feature_repo.views import ONLINE
from privacy.stores.feast_online import FeastOnlineHandler, good_until_field
from recommenders.consented_online_store import ConsentedRedisOnlineStore, contract_of
from recommenders.features import apply_definitions, feature_store, online_keys
from recommenders.materialisation import materialise
from recommenders.online_profile import OnlineProfile, decode_profile, queue_profile

Record = Callable[..., None]
FEATURES = ["subject_profile:views_7d", "subject_profile:top_categories"]


@pytest.fixture(autouse=True)
def _online(small_lake: None, consent: Record) -> None:
    apply_definitions()
    consent("subject-a", "personalisation")
    for view in (subject_profile, product_popularity, product_attributes):
        materialise(view)


def _product_key(product: str) -> bytes:
    store = ConsentedRedisOnlineStore()
    (key,) = store._generate_redis_keys_for_entities(feature_store().config, [_entity(product)])
    return bytes(key)


def _entity(product: str) -> EntityKey:
    return EntityKey(join_keys=["product_id"], entity_values=[Value(string_val=product)])


def _ends(client: "redis.Redis", key: bytes, view: FeatureView, moment: datetime) -> None:
    limit = Value(unix_timestamp_val=int(moment.timestamp()))
    client.hset(key, good_until_field(view.name), limit.SerializeToString())  # type: ignore[arg-type]


def _expire(client: "redis.Redis", key: bytes, view: FeatureView) -> None:
    _ends(client, key, view, datetime.now(UTC) - timedelta(seconds=1))


def _read(client: "redis.Redis") -> OnlineProfile | None:
    pipeline = client.pipeline(transaction=False)
    queue_profile(pipeline, "subject-a")
    return decode_profile(pipeline.execute()[0])


def _answer(features: list[str], entity: dict[str, str]) -> dict[str, tuple[Any, int]]:
    response = feature_store().get_online_features(features, [entity])
    proto, values = response.proto, response.to_dict()
    names = list(proto.metadata.feature_names.val)
    status = {name: row.statuses[0] for name, row in zip(names, proto.results, strict=True)}
    return {name: (values[name][0], status[name]) for name in names if name not in entity}


def test_a_write_says_that_its_values_are_good_for_the_contracts_time(
    redis_client: "redis.Redis",
) -> None:
    raw: Any = redis_client.hget(online_keys(["subject-a"])[0], good_until_field("subject_profile"))  # type: ignore[arg-type]
    limit = datetime.fromtimestamp(Value.FromString(raw).unix_timestamp_val, UTC)
    left = limit - datetime.now(UTC)
    assert timedelta(days=ONLINE.days) - timedelta(minutes=1) < left <= timedelta(days=ONLINE.days)


def test_values_are_read_to_their_end_and_not_beyond(redis_client: "redis.Redis") -> None:
    key, entity = online_keys(["subject-a"])[0], {"pseudonym": "subject-a"}
    _ends(redis_client, key, subject_profile, datetime.now(UTC) + timedelta(minutes=1))
    assert _read(redis_client) is not None
    assert _answer(FEATURES, entity) == {
        "views_7d": (3, FieldStatus.PRESENT),
        "top_categories": (["dresses", "shirts"], FieldStatus.PRESENT),
    }
    _expire(redis_client, key, subject_profile)
    assert redis_client.hexists(key, "_ts:subject_profile"), "the values themselves are still there"
    assert _read(redis_client) is None
    assert _answer(FEATURES, entity) == {
        "views_7d": (None, FieldStatus.NOT_FOUND),
        "top_categories": (None, FieldStatus.NOT_FOUND),
    }


def test_values_without_an_end_are_not_read(redis_client: "redis.Redis") -> None:
    key = online_keys(["subject-a"])[0]
    assert redis_client.hdel(key, good_until_field("subject_profile")) == 1  # type: ignore[arg-type]
    assert _read(redis_client) is None
    assert set(_answer(FEATURES, {"pseudonym": "subject-a"}).values()) == {
        (None, FieldStatus.NOT_FOUND)
    }


def test_a_view_expires_beside_a_fresh_one_of_the_same_entity(redis_client: "redis.Redis") -> None:
    _expire(redis_client, _product_key("p1"), product_popularity)
    features = ["product_popularity:popularity", "product_attributes:brand"]
    assert _answer(features, {"product_id": "p1"}) == {
        "popularity": (None, FieldStatus.NOT_FOUND),
        "brand": ("Wren", FieldStatus.PRESENT),
    }
    assert _answer(features, {"product_id": "p2"})["popularity"] == (1.5, FieldStatus.PRESENT)


def test_the_next_materialisation_makes_values_fresh(redis_client: "redis.Redis") -> None:
    _expire(redis_client, online_keys(["subject-a"])[0], subject_profile)
    materialise(subject_profile)
    assert _read(redis_client) is not None


def test_direct_reads_of_the_store_leave_expired_values_out(redis_client: "redis.Redis") -> None:
    _expire(redis_client, _product_key("p1"), product_popularity)
    config, asked = feature_store().config, [_entity("p1"), _entity("p2")]

    async def later(store: ConsentedRedisOnlineStore) -> Any:
        try:
            return await store.online_read_async(config, product_popularity, asked, ["popularity"])
        finally:
            await (await store._get_client_async(config.online_store)).aclose()

    store = ConsentedRedisOnlineStore()
    for gone, fresh in (
        store.online_read(config, product_popularity, asked, ["popularity"]),
        asyncio.run(later(store)),
    ):
        assert gone == (None, None)
        assert fresh[1]["popularity"].double_val == 1.5


def test_several_views_are_still_read_in_one_round_trip(redis_client: "redis.Redis") -> None:
    features = ["product_popularity:popularity", "product_attributes:brand"]
    _answer(features, {"product_id": "p1"})
    before: Any = redis_client.info("stats")
    _answer(features, {"product_id": "p1"})
    after: Any = redis_client.info("stats")
    read = after["total_reads_processed"] - before["total_reads_processed"]
    assert read == 2  # the pipeline, and the second INFO itself


def test_what_is_erased_of_a_view_includes_its_end(redis_client: "redis.Redis") -> None:
    key = _product_key("p1")
    for view in (product_popularity, product_attributes):
        contract = contract_of(view).model_copy(update={"subject": "product_id"})
        assert FeastOnlineHandler().erase(contract, ["p1"]) == 1
        assert not redis_client.hexists(key, good_until_field(view.name))  # type: ignore[arg-type]
    assert not redis_client.exists(key)
