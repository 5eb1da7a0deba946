"""What is online is compared with what is offline, value by value, and a single changed value shows."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from feast import FeatureView
from feast.infra.online_stores.helpers import _mmh3
from feast.protos.feast.types.Value_pb2 import DoubleList, StringList, Value
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.definitions import product_attributes, product_popularity, subject_profile
from orchestration.defs.features import parity
from privacy.database import Role, connect
from recommenders.features import apply_definitions, delete_online, online_keys
from recommenders.materialisation import materialise
from recommenders.parity import compare
from tests.integration.features.conftest import (
    NEWEST,
    PROFILE_SCHEMA,
    profile,
    write,
)

Record = Callable[..., None]
KEY = online_keys(["subject-a"])[0]
VIEWS = (subject_profile, product_popularity, product_attributes)
ODD = profile(
    "subject-b",
    0,
    mean_price=0.1 + 0.2,
    mean_sustainability=5e-324,
    days_since_last_event=1e300,
    interactions_30d=2**53 + 1,
    top_brands=None,
    top_brand_scores=[0.1, 2.0 / 3.0, 1e-17],
    recent_products=["é", "", "p" * 300],
    event_timestamp=NEWEST - timedelta(microseconds=1),
)


@pytest.fixture(autouse=True)
def _online(small_lake: None, consent: Record) -> None:
    apply_definitions()
    write(
        "subject_profile", PROFILE_SCHEMA, [profile("subject-a", 0), ODD, profile("subject-c", 0)]
    )
    consent("subject-a", "personalisation")
    consent("subject-b", "personalisation")
    for view in VIEWS:
        materialise(view)


def _change(client: "redis.Redis", field: str | bytes, value: Any) -> None:
    raw = field if isinstance(field, bytes) else _mmh3(f"subject_profile:{field}")
    assert client.hexists(KEY, raw)
    assert client.hset(KEY, raw, value.SerializeToString()) == 0


def test_every_value_is_the_same_and_who_withholds_is_absent() -> None:
    counts = compare(subject_profile)
    assert counts.holds
    assert not counts.differing
    assert (counts.entities, counts.equal, counts.withheld) == (3, 2, 1)
    assert counts.values == 2 * (len(subject_profile.features) + 1)


@pytest.mark.parametrize("view", [product_popularity, product_attributes], ids=lambda v: v.name)
def test_every_value_of_a_product_is_the_same(view: FeatureView) -> None:
    counts = compare(view)
    assert counts.holds
    assert counts.entities == counts.equal > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("views_7d", Value(int64_val=4)),
        ("mean_price", Value(double_val=40.00000000000001)),
        ("mean_price", Value(int64_val=40)),
        ("mean_price", Value()),
        ("mean_sustainability", Value(double_val=0.0)),
        ("top_categories", Value(string_list_val=StringList(val=["shirts", "dresses"]))),
        ("top_sizes", Value()),
        ("top_brand_scores", Value(double_list_val=DoubleList(val=[2.0, 0.0]))),
        (b"_ts:subject_profile", Timestamp(seconds=int(NEWEST.timestamp()), nanos=1_000)),
    ],
)
def test_one_changed_value_is_noticed(
    field: str | bytes, value: Any, redis_client: "redis.Redis"
) -> None:
    _change(redis_client, field, value)
    counts = compare(subject_profile)
    assert not counts.holds
    assert (counts.equal, counts.different) == (1, 1)
    name = "event_timestamp" if isinstance(field, bytes) else field
    assert dict(counts.differing) == {name: 1}


def test_a_subject_who_is_missing_is_noticed() -> None:
    delete_online(["subject-a"])
    counts = compare(subject_profile)
    assert not counts.holds
    assert (counts.equal, counts.missing) == (1, 1)


def test_a_subject_who_withholds_and_is_online_is_noticed(consent: Record) -> None:
    consent("subject-a", "personalisation", "opt_out")
    counts = compare(subject_profile)
    assert not counts.holds
    assert (counts.equal, counts.leaked, counts.withheld) == (1, 1, 1)


def test_a_row_older_than_its_subjects_correction_is_not_compared() -> None:
    with connect(Role.PRIVACY) as connection:
        connection.execute(
            "insert into requests.rectifications (pseudonym, asset_key, field, ciphertext, rectified_at) "
            "values ('subject-a', 'shop/customers', 'country', '\\x00', now())"
        )
    counts = compare(subject_profile)
    assert (counts.equal, counts.outdated, counts.withheld) == (1, 1, 1)


def test_a_sample_is_the_same_each_time() -> None:
    some = [compare(subject_profile, most=2, seed=seed) for seed in (1, 1, 2, 3, 4, 5)]
    assert all(counts.entities == 2 for counts in some)
    assert some[0] == some[1]
    assert {counts.withheld for counts in some} == {0, 1}


def test_the_checks_of_the_assets_tell_counts_alone(redis_client: "redis.Redis") -> None:
    checks = [
        parity.subject_profile_parity,
        parity.product_popularity_parity,
        parity.product_attributes_parity,
    ]
    assert all(check().passed for check in checks)  # type: ignore[union-attr]
    _change(redis_client, "views_7d", Value(int64_val=4))
    result: Any = checks[0]()
    assert not result.passed
    told = {name: entry.value for name, entry in result.metadata.items()}
    assert told.pop("differing") == {"views_7d": 1}
    assert all(isinstance(count, int) for count in told.values())
    assert told["different"] == 1
