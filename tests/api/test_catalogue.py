"""The front's copy of the catalogue, against a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import redis.asyncio as redis

from api.catalogue import CatalogueCache
from shared.bus import Bus
from shared.catalogue import Catalogue
from shared.names import CATALOGUE, CATALOGUE_NEWS
from tests.servers import RedisServer


@asynccontextmanager
async def follow(
    url: str, *, kept_s: float = 120, may_be_open: bool = True, check_every_s: float = 0.5
) -> AsyncIterator[CatalogueCache]:
    bus = Bus(url)
    cache = CatalogueCache(bus, kept_s=kept_s, may_be_open=may_be_open, check_every_s=check_every_s)
    await bus.start()
    task = asyncio.create_task(cache.run())
    try:
        yield cache
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[redis.Redis]:
    client = redis.Redis.from_url(redis_url)
    await client.config_resetstat()
    yield client
    await client.aclose()


async def put(store: redis.Redis, version: int, body: bytes, *, announce: bool = True) -> None:
    await store.hset(CATALOGUE, mapping={"version": version, "body": body})  # type: ignore[misc]  # redis types both kinds of client as one
    if announce:
        await store.publish(CATALOGUE_NEWS, str(version))


async def become(cache: CatalogueCache, expected: Callable[[Catalogue | None], bool]) -> None:
    async with asyncio.timeout(10):
        while not expected(cache.current):  # noqa: ASYNC110  an outage that has lasted long enough announces nothing
            await asyncio.sleep(0.01)


def generation(number: int) -> Callable[[Catalogue | None], bool]:
    return lambda catalogue: catalogue is not None and catalogue.generation == number


async def test_there_is_none_before_the_first(store: redis.Redis, redis_url: str) -> None:
    async with follow(redis_url) as cache:
        assert cache.current is None
        await put(store, 1, Catalogue(1).encode())
        await become(cache, generation(1))


@pytest.mark.parametrize("announce", [True, False])
async def test_a_new_version_replaces_the_old_announced_or_not(
    store: redis.Redis, redis_url: str, *, announce: bool
) -> None:
    """What is announced waits for no other look."""
    await put(store, 1, Catalogue(1).encode())
    async with follow(redis_url, check_every_s=3600 if announce else 0.01) as cache:
        await become(cache, generation(1))
        await put(store, 2, Catalogue(2).encode(), announce=announce)
        await become(cache, generation(2))


async def test_one_that_cannot_be_read_leaves_the_last_in_place_until_it_is_too_old(
    store: redis.Redis, redis_url: str
) -> None:
    await put(store, 1, Catalogue(1).encode())
    async with follow(redis_url, kept_s=1.2) as cache:
        await become(cache, generation(1))
        await put(store, 2, b"\xc1 no catalogue")
        await become(cache, lambda catalogue: catalogue is None)
        await put(store, 3, Catalogue(3).encode())
        await become(cache, generation(3))


async def test_it_outlives_a_redis_that_lost_everything(store: redis.Redis, redis_url: str) -> None:
    await put(store, 5, Catalogue(5).encode())
    async with follow(redis_url) as cache:
        await become(cache, generation(5))
        await store.delete(CATALOGUE)
        await store.publish(CATALOGUE_NEWS, "0")
        await put(store, 6, Catalogue(6).encode())
        await become(cache, generation(6))


@pytest.mark.parametrize("damage", [{"version": 9}, None])
async def test_a_damaged_entry_is_waited_out(store: redis.Redis, redis_url: str, damage: dict[str, int] | None) -> None:
    if damage is None:
        await store.set(CATALOGUE, "no hash")
    else:
        await store.hset(CATALOGUE, mapping=damage)  # type: ignore[misc]  # as above
    async with follow(redis_url) as cache:
        async with asyncio.timeout(10):
            while not (await store.info("commandstats")).get("cmdstat_hget"):  # noqa: ASYNC110  Redis announces no reads
                await asyncio.sleep(0.01)
        assert cache.current is None
        await store.delete(CATALOGUE)
        await put(store, 10, Catalogue(10).encode())
        await become(cache, generation(10))


async def test_it_outlives_an_outage_for_a_while_and_no_longer(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url)
    await put(client, 1, Catalogue(1).encode())
    await client.aclose()
    async with follow(redis_server.url, kept_s=1.2) as cache:
        await become(cache, generation(1))
        redis_server.kill()
        assert cache.current is not None
        await become(cache, lambda catalogue: catalogue is None)


@pytest.mark.parametrize("may_be_open", [True, False])
async def test_a_front_that_others_reach_asks_for_keys_whatever_the_catalogue_says(
    store: redis.Redis, redis_url: str, *, may_be_open: bool
) -> None:
    """The file was checked against its own address; a front may have been told another."""
    await put(store, 1, Catalogue(1, auth_required=False).encode())
    async with follow(redis_url, may_be_open=may_be_open) as cache:
        await become(cache, generation(1))
        assert cache.current is not None
        assert cache.current.auth_required is not may_be_open
