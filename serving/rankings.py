"""Making a ranking: one online read, then the live ranker in process."""

import time
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from recommenders.ranking import Ranker, Ranking, RankingRequest, Touchpoint
from serving.logs import described, log
from serving.metrics import RANKING_SECONDS, RANKINGS
from serving.online import ANONYMOUS, OnlineSubject, read_subject

__all__ = ["make_ranking"]


async def make_ranking(
    redis: Redis,
    ranker: Ranker,
    *,
    pseudonym: str | None,
    touchpoint: Touchpoint,
    limit: int,
    context_item: str | None,
    among: Sequence[str] | None,
) -> Ranking:
    """Rank for `pseudonym`, or for an anonymous visitor (None); falls back to the latter where Redis does not answer."""
    subject = await _subject(redis, pseudonym)
    started = time.perf_counter()
    request = RankingRequest(
        touchpoint=touchpoint,
        pseudonym=subject.pseudonym,
        profile=subject.profile,
        context_item=context_item,
        among=among,
        limit=limit,
        exclude=subject.session.held,
    )
    ranking = ranker.recommend(request)
    RANKING_SECONDS.labels("ranking").observe(time.perf_counter() - started)
    RANKINGS.labels(touchpoint, str(ranking.personalised).lower()).inc()
    return ranking


async def _subject(redis: Redis, pseudonym: str | None) -> OnlineSubject:
    if pseudonym is None:
        return ANONYMOUS
    started = time.perf_counter()
    try:
        return await read_subject(redis, pseudonym)
    except RedisError as error:
        log.error("online read failed; ranking without a profile", **described(error))
        return ANONYMOUS
    finally:
        RANKING_SECONDS.labels("online_read").observe(time.perf_counter() - started)
