"""When each feature view was last materialised and how new its newest row is: kept in Redis, about nobody, for who serves.

A hash ``sv:features:<view>`` with two Unix times in seconds. It ends with the values themselves: without a materialisation for
as long as they are good (`recommenders.online_ttl`), nothing is left to be fresh.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from feast import FeatureView

from feature_repo.views import product_attributes, product_popularity, subject_profile
from privacy.stores.redis import redis_client
from recommenders.consented_online_store import contract_of
from recommenders.online_ttl import online_ttl

__all__ = ["VIEWS", "Freshness", "freshness", "note_materialised"]

VIEWS = (subject_profile, product_popularity, product_attributes)
_KEYS = "sv:features:"
_MATERIALISED, _NEWEST = b"materialised", b"newest"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh a view is online.

    Attributes
    ----------
    materialised: when the last materialisation ended (UTC).
    newest: the newest event time among the rows it took (UTC); None where it took none.
    """

    materialised: datetime
    newest: datetime | None


def note_materialised(view: FeatureView, newest: datetime | None) -> None:
    """Keep that `view` was materialised just now, with rows of events up to `newest`."""
    key, lifetime = _KEYS + view.name, online_ttl(contract_of(view))
    times: dict[bytes, float] = {_MATERIALISED: datetime.now(UTC).timestamp()}
    if newest is not None:
        times[_NEWEST] = newest.timestamp()
    with redis_client() as client, client.pipeline(transaction=True) as pipeline:
        pipeline.delete(key)
        pipeline.hset(key, mapping=times)
        pipeline.expire(key, lifetime)
        pipeline.execute()


def freshness(client: "redis.Redis", views: Iterable[str]) -> dict[str, Freshness | None]:
    """How fresh each of `views` is; None for one that was not materialised while its values would be good.

    One round trip. Raises redis.RedisError where Redis does not answer.
    """
    asked = list(views)
    with client.pipeline(transaction=False) as pipeline:
        for view in asked:
            pipeline.hgetall(_KEYS + view)
        answers: list[Any] = pipeline.execute()
    return {view: _decoded(times) for view, times in zip(asked, answers, strict=True)}


def _decoded(times: dict[bytes, bytes]) -> Freshness | None:
    if _MATERIALISED not in times:
        return None
    newest = times.get(_NEWEST)
    return Freshness(_time(times[_MATERIALISED]), _time(newest) if newest else None)


def _time(seconds: bytes) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
