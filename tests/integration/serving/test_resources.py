"""What a worker's connections do when Redis lets them down."""

import time

import pytest
import redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from serving.resources import _redis
from serving.settings import serving_settings

pytestmark = pytest.mark.anyio


async def test_a_connection_that_redis_closed_fails_nobody(redis_client: "redis.Redis") -> None:
    async with _redis(serving_settings()) as client:
        for queue in ("ping", "set"):
            number = await client.client_id()
            # Between two turns of the event loop, so that the pool cannot have noticed.
            assert redis_client.client_kill_filter(_id=str(number)) == 1
            pipeline = client.pipeline(transaction=False)
            if queue == "ping":
                assert await client.ping()
            else:
                pipeline.set("sv:test:retried", "1", ex=5)
                assert await pipeline.execute() == [True]
            assert await client.client_id() != number


async def test_what_took_too_long_is_not_sent_again(redis_client: "redis.Redis") -> None:
    settings = serving_settings()
    async with _redis(settings) as client:
        await client.ping()
        redis_client.client_pause(int(3_000 * settings.serving_redis_timeout_seconds))
        started = time.monotonic()
        with pytest.raises(RedisTimeoutError):
            await client.ping()
        assert time.monotonic() - started < 1.9 * settings.serving_redis_timeout_seconds
        redis_client.client_unpause()


async def test_a_redis_that_is_gone_is_reported_at_once() -> None:
    async with _redis(serving_settings()) as client:
        client.connection_pool.connection_kwargs |= {"port": 1}
        started = time.monotonic()
        with pytest.raises(redis.ConnectionError):
            await client.ping()
        assert time.monotonic() - started < 0.4
