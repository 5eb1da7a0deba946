"""Gauges of how fresh the features online are, read from Redis when metrics are asked for, never for a ranking."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import redis

from privacy.database import DatabaseUnavailableError, redis_url
from recommenders.freshness import VIEWS, Freshness, freshness
from serving.logs import described, log
from serving.settings import serving_settings

__all__ = ["rendered_features"]

_MATERIALISATION = "selvedge_feature_materialisation_age_seconds"
_EVENT = "selvedge_feature_event_age_seconds"


def rendered_features() -> bytes:
    """Ages of each feature view's last materialisation and of its newest event, in Prometheus's text format.

    A view that was not materialised while its values would be good has an infinite age. The age of the newest event is years
    where a historic source ended. Empty where Redis does not answer: an alert asks for the absence.
    """
    try:
        views = _read()
    except (redis.RedisError, DatabaseUnavailableError) as error:
        log.error("the freshness of features cannot be read", **described(error))
        return b""
    ages = {view: _age(known.materialised if known else None) for view, known in views.items()}
    events = {view: _age(known.newest) for view, known in views.items() if known and known.newest}
    lines = [
        *_gauge(_MATERIALISATION, "Seconds since a feature view was last materialised", ages),
        *_gauge(_EVENT, "Seconds since the newest event that a feature view knows", events),
    ]
    return "\n".join([*lines, ""]).encode()


def _read() -> Mapping[str, Freshness | None]:
    timeout = serving_settings().serving_redis_timeout_seconds
    with redis.Redis.from_url(
        redis_url(), socket_timeout=timeout, socket_connect_timeout=timeout
    ) as client:
        return freshness(client, [view.name for view in VIEWS])


def _age(moment: datetime | None) -> float:
    return math.inf if moment is None else (datetime.now(UTC) - moment).total_seconds()


def _gauge(name: str, description: str, ages: Mapping[str, float]) -> list[str]:
    if not ages:
        return []
    values = {view: "+Inf" if math.isinf(age) else f"{age:.3f}" for view, age in ages.items()}
    return [
        f"# HELP {name} {description}",
        f"# TYPE {name} gauge",
        *(f'{name}{{feature_view="{view}"}} {value}' for view, value in values.items()),
    ]
