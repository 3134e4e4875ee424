"""Tokens wake one worker each: none is kept by a worker that has no room."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from shared.names import WAKE
from worker.waker import Waker

LIMIT_S = 10


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.Redis]:
    client = redis.Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def waker(redis_url: str) -> AsyncIterator[Waker]:
    """Connected, and with a BLPOP under way."""
    waker = Waker(redis_url)
    running = asyncio.create_task(waker.run())
    async with asyncio.timeout(LIMIT_S):
        while waker._link.pipe is None:  # noqa: ASYNC110  it has no way to tell
            await asyncio.sleep(0.01)
    waker.poke()
    await waker.wait(for_token=True)
    yield waker
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_token_ends_the_wait(waker: Waker, client: redis.Redis) -> None:
    await client.lpush(WAKE, "1")  # type: ignore[misc]  # redis-py types it for both its clients
    async with asyncio.timeout(1):
        await waker.wait(for_token=True)
    assert await client.llen(WAKE) == 0  # type: ignore[misc]  # as above


@pytest.mark.parametrize("early", [True, False])
async def test_a_token_that_comes_to_a_full_worker_goes_to_another(
    waker: Waker, client: redis.Redis, *, early: bool
) -> None:
    """It was asked for before the worker was full, and would be missed until somebody looks again."""
    if early:
        await client.lpush(WAKE, "1")  # type: ignore[misc]  # as above
        async with asyncio.timeout(LIMIT_S):
            while not (waker._token and waker._token.done()):  # noqa: ASYNC110  it has no way to tell
                await asyncio.sleep(0.01)
    full = asyncio.create_task(waker.wait(for_token=False))
    if not early:
        await asyncio.sleep(0)
        await client.lpush(WAKE, "1")  # type: ignore[misc]  # as above
    assert await client.blpop([WAKE], 1) is not None, "another worker is woken"  # type: ignore[misc]  # as above
    waker.poke()
    await full
