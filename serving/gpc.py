"""Global Privacy Control: a browser's objection to personalisation, honoured in each answer and recorded once for a subject."""

import time

import psycopg
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from consent.intake.statements import object_by_gpc
from consent.masks import GPC_FIELD, mask_key
from serving.logs import described, log
from serving.resources import Resources

__all__ = ["record_objection"]

_NOBODY_FOR_SECONDS = 300.0
_MOST = 10_000
# References to who is no subject (an unknown number, an erased person): nothing is kept of them but this, in memory.
_nobody: dict[str, float] = {}


async def record_objection(resources: Resources, pseudonym: str) -> None:
    """See that the ledger holds the objection of `pseudonym`; where a server does not answer, the next request tries again.

    The caller answers without personalisation whatever becomes of this.
    """
    if _nobody.get(pseudonym, 0.0) > time.monotonic():
        return
    try:
        (recorded,) = await resources.redis.hmget(mask_key(pseudonym), [GPC_FIELD])  # type: ignore[misc]
        if recorded:
            return
        if not await run_in_threadpool(object_by_gpc, pseudonym):
            _remember(pseudonym)
    except (RedisError, psycopg.OperationalError) as error:
        log.error("objection cannot be recorded; it was honoured", **described(error))


def _remember(pseudonym: str) -> None:
    while len(_nobody) >= _MOST:
        del _nobody[next(iter(_nobody))]
    _nobody[pseudonym] = time.monotonic() + _NOBODY_FOR_SECONDS
