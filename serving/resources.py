"""What the routes of one worker share: Redis, the vault's connections, the live ranker.

A connection that Redis closed while it lay in the pool (a restart, an idle timeout) is made again, and what was sent on it is
sent once more. Redis may have carried that out before it went, so whatever the routes send must bear repeating:

    reads (HMGET, HGETALL, LRANGE, SMISMEMBER, XLEN, PING)   change nothing
    DEL, SADD, EXPIRE, LTRIM, XTRIM                          end in the same state
    XADD of events                                           stored twice, the lake keeps one: its rows are keyed by the event's id
    LPUSH of a session's items                               read as one: `serving.sessions` takes the newest of each item

A time-out is not repeated: its command may still be waiting in a server that is slow already.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from psycopg_pool import ConnectionPool
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from privacy.database import Role, redis_url, role_url
from privacy.settings import platform_settings
from privacy.vault import Vault
from serving.live_ranker import LiveRanker
from serving.settings import ServingSettings, serving_settings
from serving.stream_watch import watched_stream

__all__ = ["Resources", "open_resources"]

VAULT_CONNECTIONS = 4
VAULT_TIMEOUT_SECONDS = 3.0
# A profile reads columns of the whole lake: more at once would take the processors from the rankings.
PROFILES_AT_ONCE = 2
_REDIS_RETRIES, _REDIS_BACKOFF_SECONDS = 1, 0.01


@dataclass(frozen=True, slots=True)
class Resources:
    """Shared by all requests of a worker; opened and closed with it."""

    settings: ServingSettings
    redis: Redis
    vault: Vault
    live_ranker: LiveRanker
    profiles: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PROFILES_AT_ONCE))


def _redis(settings: ServingSettings) -> Redis:
    # A blocking pool waits for a free connection; the default one fails when all are in use.
    pool = BlockingConnectionPool.from_url(
        redis_url(),
        max_connections=settings.serving_redis_connections,
        timeout=settings.serving_redis_timeout_seconds,
        socket_timeout=settings.serving_redis_timeout_seconds,
        socket_connect_timeout=settings.serving_redis_timeout_seconds,
        retry=Retry(
            ConstantBackoff(_REDIS_BACKOFF_SECONDS), _REDIS_RETRIES, (RedisConnectionError,)
        ),
    )
    return Redis.from_pool(pool)


def _vault_pool() -> ConnectionPool:
    return ConnectionPool(
        role_url(Role.PRIVACY, "postgresql").render_as_string(hide_password=False),
        min_size=0,
        max_size=VAULT_CONNECTIONS,
        timeout=VAULT_TIMEOUT_SECONDS,
        open=False,
        name="vault",
    )


@asynccontextmanager
async def open_resources() -> AsyncIterator[Resources]:
    """Open what a worker needs; raises DatabaseUnavailableError where no server is configured."""
    settings = serving_settings()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(_redis(settings))
        vault_pool = _vault_pool()
        await asyncio.to_thread(vault_pool.open)
        stack.push_async_callback(asyncio.to_thread, vault_pool.close)
        live_ranker = LiveRanker(platform_settings().models_dir)
        await stack.enter_async_context(live_ranker.watched(settings.serving_live_check_seconds))
        await stack.enter_async_context(
            watched_stream(redis, settings.serving_event_stream_check_seconds)
        )
        yield Resources(settings, redis, Vault(connection=vault_pool.connection), live_ranker)
