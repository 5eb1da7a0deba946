"""How old the features online are is told by the API's metrics, and by nothing about a person."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import yaml
from pydantic import SecretStr

from feature_repo.definitions import product_popularity, subject_profile
from feature_repo.views import ONLINE
from privacy.coverage import places
from privacy.registry import PLATFORM_CONTRACTS, Registry
from privacy.settings import PROJECT_ROOT, PlatformSettings
from recommenders.features import apply_definitions
from recommenders.freshness import VIEWS
from recommenders.materialisation import materialise
from serving.feature_metrics import rendered_features
from tests.integration.features.conftest import NEWEST, POPULARITY_SCHEMA, write

Record = Callable[..., None]
KEY = "sv:features:subject_profile"
MATERIALISATION = "selvedge_feature_materialisation_age_seconds"
EVENT = "selvedge_feature_event_age_seconds"


@pytest.fixture(autouse=True)
def _applied(small_lake: None, consent: Record) -> None:
    apply_definitions()
    consent("subject-a", "personalisation")


def _ages(metric: str) -> dict[str, float]:
    line = rf'^{metric}{{feature_view="(\w+)"}} (\S+)$'
    found = re.findall(line, rendered_features().decode(), re.MULTILINE)
    return {view: float(age) for view, age in found}


def test_a_materialisation_makes_a_view_fresh_and_no_other() -> None:
    materialise(subject_profile)
    ages = _ages(MATERIALISATION)
    assert set(ages) == {view.name for view in VIEWS}
    assert 0 <= ages.pop("subject_profile") < 60
    assert set(ages.values()) == {float("inf")}


def test_the_newest_events_age_is_counted_from_the_rows_that_were_taken() -> None:
    materialise(subject_profile)
    ((view, age),) = _ages(EVENT).items()
    assert view == "subject_profile"
    assert abs(age - (datetime.now(UTC) - NEWEST).total_seconds()) < 60


def test_an_age_grows_until_the_next_materialisation(redis_client: "redis.Redis") -> None:
    materialise(subject_profile)
    before = datetime.now(UTC) - timedelta(days=2)
    redis_client.hset(KEY, "materialised", str(before.timestamp()))
    assert 2 * 86_400 <= _ages(MATERIALISATION)["subject_profile"] < 2 * 86_400 + 60
    materialise(subject_profile)
    assert _ages(MATERIALISATION)["subject_profile"] < 60


def test_a_materialisation_of_no_rows_leaves_no_older_time() -> None:
    materialise(product_popularity)
    write("product_popularity", POPULARITY_SCHEMA, [])
    materialise(product_popularity)
    assert "product_popularity" not in _ages(EVENT)
    assert _ages(MATERIALISATION)["product_popularity"] < 60


def test_what_is_kept_is_two_times_that_end_with_the_values(redis_client: "redis.Redis") -> None:
    materialise(subject_profile)
    held: Any = redis_client.hgetall(KEY)
    assert set(held) == {b"materialised", b"newest"}
    lifetime: Any = redis_client.ttl(KEY)
    assert 0 < lifetime <= timedelta(days=ONLINE.days).total_seconds()


def test_the_registry_knows_the_keys() -> None:
    materialise(subject_profile)
    known = dict(places(Registry(PLATFORM_CONTRACTS)))
    assert known["Redis keys sv:features:*"] is True


def test_without_redis_nothing_is_shown(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialise(subject_profile)
    with monkeypatch.context() as closed:
        closed.setattr(settings, "redis_url", SecretStr("redis://127.0.0.1:1/0"))
        assert rendered_features() == b""
    assert _ages(MATERIALISATION)


def test_alerts_about_features_ask_for_metrics_that_exist() -> None:
    materialise(subject_profile)
    rules = yaml.safe_load((PROJECT_ROOT / "serving" / "monitoring" / "alerts.yml").read_text())
    (group,) = (group for group in rules["groups"] if group["name"] == "features")
    shown = rendered_features().decode()
    assert group["rules"]
    for rule in group["rules"]:
        names = re.findall(r"selvedge_\w+", rule["expr"])
        assert names
        assert all(f"\n# TYPE {name} gauge\n" in shown for name in names)
        assert rule["annotations"]["summary"]
