"""Which worker's catalogue fronts get, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from shared.bus import Bus
from shared.catalogue import Catalogue, KeyPolicy, ModelEntry, key_digest
from shared.names import CATALOGUE, CATALOGUE_NEWS
from worker.catalogue import CataloguePublisher, Offer, Standing, make_offer
from worker.config.loading import parse
from worker.secrets import Secrets, SecretsError

KEY = "kf83-and-not-a-sample"
SECRETS = Secrets(bytes(32))


def offer(
    generation: int, *, model: str = "m", revision: int = 1, secrets: Secrets = SECRETS, **config: object
) -> Offer:
    data = {"keys": [{"name": "team", "key": KEY, "models": ["gpt-*"]}], **config}
    loaded = parse(yaml.safe_dump(data), {}, path=Path("f"), generation=generation)
    return make_offer(loaded, secrets, [ModelEntry(model)], [ModelEntry("w-*")], revision)


class Worker:
    """A publisher with a bus of its own, as each worker has."""

    def __init__(self, url: str) -> None:
        self.bus = Bus(url)
        self.standings: list[Standing] = []
        self.publisher = CataloguePublisher(self.bus, self.standings.append)

    async def tick(self, offered: Offer) -> Standing:
        self.publisher.offer(offered)
        return await self.publisher.tick()

    async def stored(self) -> Mapping[bytes, bytes]:
        fields: list[bytes] = await self.bus.command("HGETALL", CATALOGUE)
        return dict(zip(fields[::2], fields[1::2], strict=True))

    async def catalogue(self) -> Catalogue:
        return Catalogue.decode((await self.stored())[b"body"])

    async def nobody_backs_it(self) -> None:
        """As if 11 s had passed without any living worker."""
        seen_ms = int((await self.stored())[b"seen_ms"])
        await self.bus.command("HSET", CATALOGUE, "seen_ms", seen_ms - 11_000)


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    for worker in workers:
        await worker.bus.start()
        await worker.bus.up.wait()
    yield
    for worker in workers:
        await worker.bus.close()


@pytest.fixture
async def one(redis_url: str) -> AsyncIterator[Worker]:
    worker = Worker(redis_url)
    async with running(worker):
        yield worker


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[Worker]:
    worker = Worker(redis_url)
    async with running(worker):
        yield worker


async def test_fronts_get_models_policies_and_keys_without_a_secret(one: Worker) -> None:
    await one.tick(offer(7, server={"cors_origins": ["*"]}, queue={"max_depth": 5}, front={"keep_alive_s": 3}))
    catalogue = await one.catalogue()
    assert catalogue.models == (ModelEntry("m"),)
    assert [entry.id for entry in catalogue.patterns] == ["w-*"]
    assert catalogue.keys == (KeyPolicy(key_digest(SECRETS.hmac_key, KEY), "team", ("gpt-*",)),)
    assert (catalogue.generation, catalogue.queue.max_depth, catalogue.front.keep_alive_s) == (7, 5, 3)
    assert (catalogue.sealing_key, catalogue.sealing_key_id) == (SECRETS.sealing_key, SECRETS.key_id)
    assert catalogue.cors_origins == ("*",)
    stored = b"".join((await one.stored()).values())
    assert KEY.encode() not in stored
    assert SECRETS.derive("fingerprint") not in stored
    assert SECRETS.derive("sealing") not in stored


async def test_the_newer_file_replaces_and_the_older_is_told_once(one: Worker, two: Worker) -> None:
    assert await one.tick(offer(1, model="old")) is Standing.CURRENT
    assert await two.tick(offer(2, model="new", queue={"max_depth": 2})) is Standing.CURRENT
    assert await one.tick(offer(1, model="old")) is Standing.OUTDATED
    assert await one.tick(offer(1, model="old")) is Standing.OUTDATED
    assert (await one.catalogue()).models[0].id == "new"
    assert one.standings == [Standing.CURRENT, Standing.OUTDATED]
    assert two.standings == [Standing.CURRENT]


async def test_equally_old_but_different_files_are_told(one: Worker, two: Worker) -> None:
    await one.tick(offer(1))
    assert await two.tick(offer(1, queue={"max_depth": 2})) is Standing.CONFLICTING


async def test_equal_files_of_different_age_are_no_conflict(one: Worker, two: Worker) -> None:
    await one.tick(offer(1))
    version = one.publisher.version
    assert await two.tick(offer(2)) is Standing.CURRENT
    assert await one.tick(offer(1)) is Standing.CURRENT
    assert (await one.stored())[b"version"] == str(version).encode()


async def test_an_older_file_takes_over_once_nobody_backs_the_newer(one: Worker, two: Worker) -> None:
    await one.tick(offer(2, model="new", queue={"max_depth": 2}))
    await two.nobody_backs_it()
    assert await two.tick(offer(1, model="old")) is Standing.CURRENT
    assert (await two.catalogue()).models[0].id == "old"


async def test_a_sign_of_life_keeps_it(one: Worker, two: Worker) -> None:
    newer, older = offer(2, queue={"max_depth": 2}), offer(1)
    await one.tick(newer)
    await one.nobody_backs_it()
    await one.tick(newer)
    assert await two.tick(older) is Standing.OUTDATED


async def test_models_follow_the_latest_discovery_and_never_an_older_one(one: Worker, two: Worker) -> None:
    await one.tick(offer(1, model="first", revision=1))
    await two.tick(offer(1, model="second", revision=2))
    assert await one.tick(offer(1, model="first", revision=1)) is Standing.CURRENT
    assert (await one.catalogue()).models[0].id == "second"


async def test_each_change_raises_the_version_and_is_news(redis_url: str, one: Worker) -> None:
    listener = Bus(redis_url)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    listener.subscribe(CATALOGUE_NEWS, heard.put_nowait)
    await listener.start()
    await listener.subscribed.wait()
    versions = []
    for revision in (1, 1, 2):
        await one.tick(offer(1, revision=revision))
        versions.append(one.publisher.version)
    assert versions[0] == versions[1] < versions[2]
    assert [int(await heard.get()) for _ in range(2)] == [versions[0], versions[2]]
    assert heard.empty()
    await listener.close()


async def test_it_is_back_with_a_higher_version_after_redis_lost_all(one: Worker) -> None:
    await one.tick(offer(1))
    version = one.publisher.version
    await one.bus.command("FLUSHALL")
    await one.tick(offer(1))
    assert int((await one.stored())[b"version"]) > version


async def test_a_worker_with_another_secret_does_not_start(one: Worker, two: Worker) -> None:
    await one.tick(offer(1))
    two.publisher.offer(offer(2, secrets=Secrets(bytes([1] * 32))))
    with pytest.raises(SecretsError, match="same PENSTOCK_SECRET_KEY"):
        await two.publisher.publish_now()
    assert (await one.catalogue()).sealing_key_id == SECRETS.key_id


def test_a_fingerprint_covers_what_fronts_do_not_see() -> None:
    provider = {"name": "o", "type": "openai", "credentials": [{"api_key": "one"}]}
    other = {**provider, "credentials": [{"api_key": "two"}]}
    first, second = offer(1, providers=[provider]), offer(1, providers=[other])
    assert first.catalogue == second.catalogue
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == offer(9, providers=[provider]).fingerprint
    assert first.fingerprint != offer(1, providers=[provider], secrets=Secrets(bytes([1] * 32))).fingerprint


def test_a_key_may_use_what_it_maps_to() -> None:
    key = {"name": "team", "key": KEY, "models": ["gpt-*"], "model_map": {"*": "o/*", "x": "m"}}
    (policy,) = offer(1, keys=[key]).catalogue.keys
    assert policy.models == ("gpt-*", "o/*", "m")
    assert [policy.mapped(name) for name in ("x", "gpt-4")] == ["m", "o/gpt-4"]


async def test_it_is_published_at_the_memory_limit(one: Worker) -> None:
    await one.bus.command("CONFIG", "SET", "maxmemory", "1")
    try:
        assert await one.tick(offer(1)) is Standing.CURRENT
    finally:
        await one.bus.command("CONFIG", "SET", "maxmemory", "0")
