"""Model lists of a real HTTP upstream, shared by several workers over a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from shared.bus import Bus
from worker.config.schema import Config, CredentialConfig, ProviderConfig
from worker.discovery import Discovery, Failure
from worker.faults import Fault
from worker.providers.contract import Credential
from worker.upstream import Upstream


class Lister:
    """An upstream that lists `models`, or answers with `status`, and counts who asked."""

    def __init__(self) -> None:
        self.models = ["b", "a"]
        self.status = 200
        self.headers: dict[str, str] = {}
        self.refused = ""
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.asked.append(key)
        if self.status != 200 or key == self.refused:
            status = 401 if key == self.refused else self.status
            return web.json_response({"error": {"message": "no"}}, status=status, headers=self.headers)
        return web.json_response({"object": "list", "data": [{"id": model} for model in self.models]})

    async def answer_page(self, request: web.Request) -> web.Response:
        """As DashScope does, which pages its list."""
        page, size = int(request.query["page_no"]), int(request.query["page_size"])
        self.asked.append(str(page))
        rows = [{"model": model} for model in self.models[(page - 1) * size : page * size]]
        output = {"total": len(self.models), "page_no": page, "page_size": size, "models": rows}
        return web.json_response({"request_id": "r", "output": output})


class Worker:
    def __init__(self, redis_url: str) -> None:
        self.bus = Bus(redis_url)
        self.upstream = Upstream()
        self.failures: list[Failure] = []
        self.discovery = Discovery(self.bus, self.upstream.fetch, b"secret", on_failure=self.failures.append)

    async def start(self) -> None:
        await self.bus.start()
        await self.bus.up.wait()

    async def turn(self) -> None:
        """A tick, and the end of the looks that it began, and what they changed."""
        await self.discovery.tick()
        await asyncio.gather(*self.discovery._looks.values())
        await self.discovery.tick()

    async def close(self) -> None:
        await self.discovery.aclose()
        await self.upstream.aclose()
        await self.bus.close()


def offered(worker: Worker, provider: str = "up") -> tuple[str, ...]:
    return worker.discovery.models[provider]


@pytest.fixture
async def lister() -> AsyncIterator[Lister]:
    lister = Lister()
    application = web.Application()
    application.router.add_get("/v1/models", lister.answer)
    application.router.add_get("/api/v1/models", lister.answer_page)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    lister.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield lister
    await runner.cleanup()


@pytest.fixture
async def workers(redis_url: str) -> AsyncIterator[list[Worker]]:
    workers = [Worker(redis_url) for _ in range(3)]
    for worker in workers:
        await worker.start()
    yield workers
    for worker in workers:
        await worker.close()


def config(lister: Lister, *keys: str, **renewed: str) -> Config:
    """`keys` are names of accounts and their keys; `renewed` maps a name to another key."""
    credentials = [{"name": key, "api_key": renewed.get(key, key)} for key in keys or ("one",)]
    entry = {"name": "up", "type": "openai-compatible", "base_url": lister.url, "credentials": credentials}
    return Config.model_validate({"providers": [entry, {"name": "echo", "type": "echo"}]})


async def test_one_worker_asks_and_all_know(lister: Lister, workers: list[Worker]) -> None:
    for worker in workers:
        worker.discovery.use(config(lister))
    await asyncio.gather(*(worker.turn() for worker in workers))
    await asyncio.gather(*(worker.turn() for worker in workers))
    assert lister.asked == ["one"]
    assert [offered(worker) for worker in workers] == [("a", "b")] * 3
    assert len({worker.discovery.revision for worker in workers}) == 1
    assert all(worker.discovery.changed.is_set() for worker in workers)


async def test_types_without_a_list_offer_what_they_always_have(lister: Lister, workers: list[Worker]) -> None:
    workers[0].discovery.use(config(lister))
    assert offered(workers[0], "echo") == ("echo", "echo-tool", "echo-error")
    assert offered(workers[0]) == ()


async def test_a_list_of_several_pages_is_read_to_its_end(lister: Lister, workers: list[Worker]) -> None:
    lister.models = [f"model-{n:03}" for n in range(201)]
    entry = {
        "name": "up",
        "type": "dashscope",
        "base_url": lister.url.removesuffix("/v1"),
        "credentials": [{"name": "one", "api_key": "one"}],
    }
    workers[0].discovery.use(Config.model_validate({"providers": [entry]}))
    await workers[0].turn()
    assert lister.asked == ["1", "2", "3"]
    assert offered(workers[0]) == tuple(lister.models)


async def look_again(worker: Worker) -> None:
    """As if the interval had passed."""
    for lock in await worker.bus.command("KEYS", "{ps}:discovery:*"):
        await worker.bus.command("DEL", lock)
    worker.discovery._next_look_s.clear()


async def test_a_failing_upstream_keeps_its_list_and_is_reported(lister: Lister, workers: list[Worker]) -> None:
    worker = workers[0]
    worker.discovery.use(config(lister))
    await worker.turn()
    lister.status = 503
    await look_again(worker)
    await worker.turn()
    assert offered(worker) == ("a", "b")
    assert [(failure.provider, failure.fault) for failure in worker.failures] == [("up", Fault.OVERLOADED)]
    lister.status, lister.models = 200, ["c"]
    await look_again(worker)
    await worker.turn()
    assert offered(worker) == ("c",)


async def test_a_refused_account_leaves_it_to_the_next(lister: Lister, workers: list[Worker]) -> None:
    lister.refused = "one"
    workers[0].discovery.use(config(lister, "one", "two"))
    await workers[0].turn()
    assert lister.asked == ["one", "two"]
    assert offered(workers[0]) == ("a", "b")


async def test_a_failure_of_the_upstream_is_not_tried_on_every_account(lister: Lister, workers: list[Worker]) -> None:
    lister.status = 500
    workers[0].discovery.use(config(lister, "one", "two"))
    await workers[0].turn()
    assert lister.asked == ["one"]


async def waits_s(worker: Worker) -> float:
    """How long nobody looks."""
    (lock,) = await worker.bus.command("KEYS", "{ps}:discovery:up:*")
    left_ms: int = await worker.bus.command("PTTL", lock)
    return left_ms / 1000


async def test_an_upstream_that_fails_is_soon_asked_again_and_one_that_challenges_is_not(
    lister: Lister, workers: list[Worker]
) -> None:
    lister.status = 503
    workers[0].discovery.use(config(lister, "one", "two"))
    await workers[0].turn()
    assert await waits_s(workers[0]) < 60
    lister.status, lister.headers = 403, {"cf-mitigated": "challenge"}
    await look_again(workers[0])
    await workers[0].turn()
    assert await waits_s(workers[0]) > 200
    assert lister.asked == ["one", "one"]
    assert [failure.fault for failure in workers[0].failures] == [Fault.OVERLOADED, Fault.CHALLENGED]


async def test_no_token_is_renewed_for_a_list_that_does_not_exist(redis_url: str) -> None:
    renewed: list[str] = []

    async def credential_of(_: ProviderConfig, account: CredentialConfig) -> Credential:
        renewed.append(account.name)
        return Credential(account.name, {})

    worker = Worker(redis_url)
    worker.discovery = Discovery(worker.bus, worker.upstream.fetch, b"secret", credential_of=credential_of)
    await worker.start()
    entry = {"name": "up", "type": "qwen-code", "accept_unofficial": True, "credentials": [{"access_token": "t"}]}
    worker.discovery.use(Config.model_validate({"providers": [entry]}))
    await worker.turn()
    await worker.close()
    assert renewed == []
    assert "coder-model" in offered(worker)


async def test_an_upstream_that_cannot_be_reached_is_reported(workers: list[Worker]) -> None:
    nowhere = Lister()
    nowhere.url = "http://127.0.0.1:1/v1"
    workers[0].discovery.use(config(nowhere))
    await workers[0].turn()
    assert [failure.fault for failure in workers[0].failures] == [Fault.UPSTREAM_FAULT]


async def test_after_redis_lost_all_the_lists_stay_and_are_asked_again(lister: Lister, workers: list[Worker]) -> None:
    worker = workers[0]
    worker.discovery.use(config(lister))
    await worker.turn()
    await worker.bus.command("FLUSHALL")
    await worker.discovery.tick()
    assert offered(worker) == ("a", "b")
    await worker.turn()
    assert lister.asked == ["one", "one"]
    assert worker.discovery.revision > 0


async def test_another_address_is_another_list(lister: Lister, workers: list[Worker]) -> None:
    worker = workers[0]
    worker.discovery.use(config(lister))
    await worker.turn()
    moved = Lister()
    moved.url = lister.url.replace("127.0.0.1", "localhost")
    worker.discovery.use(config(moved))
    assert offered(worker) == ()
    await worker.turn()
    assert offered(worker) == ("a", "b")


async def test_after_a_wrong_key_was_mended_nobody_waits_for_the_next_look(
    lister: Lister, workers: list[Worker]
) -> None:
    lister.refused = "wrong"
    for one in ("wrong", "right"):
        for worker in workers:
            worker.discovery.use(config(lister, one=one))
        await asyncio.gather(*(worker.turn() for worker in workers))
    await asyncio.gather(*(worker.turn() for worker in workers))
    assert lister.asked == ["wrong", "right"]
    assert [offered(worker) for worker in workers] == [("a", "b")] * 3


async def test_what_was_found_before_a_worker_heard_of_the_provider_counts(
    lister: Lister, workers: list[Worker]
) -> None:
    early, late = workers[:2]
    early.discovery.use(config(lister))
    await early.turn()
    await late.turn()
    late.discovery.use(config(lister))
    assert offered(late) == ("a", "b")


async def test_redis_sees_nothing_from_which_a_key_could_be_guessed(lister: Lister, workers: list[Worker]) -> None:
    other = Discovery(workers[1].bus, workers[1].upstream.fetch, b"another secret")
    for discovery in (workers[0].discovery, other):
        discovery.use(config(lister))
        await discovery.tick()
        await asyncio.gather(*discovery._looks.values())
    first, second = await workers[0].bus.command("KEYS", "{ps}:discovery:up:*")
    assert first.rpartition(b":")[0] == second.rpartition(b":")[0]
