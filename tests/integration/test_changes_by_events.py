"""A change reaches every worker and every front because each is told: here nobody looks before an hour has passed."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from api.catalogue import CatalogueCache
from shared.administration import AdminRequest
from shared.bus import Bus
from shared.errors import NotFound
from shared.metrics_server import new_registry
from shared.names import ADMIN_QUEUE, OVERLAY
from tests.integration.counting import until
from worker.administration.current import CurrentConfiguration
from worker.administration.store import OverlayStore
from worker.catalogue import Offer
from worker.config.loading import Loaded, parse
from worker.config.overlay import Overlay
from worker.metrics import WorkerMetrics
from worker.secrets import Secrets
from worker.state import WorkerState

NEVER_S = 3600
SECRETS = Secrets(b"0123456789abcdef0123456789abcdef")
FILE = replace(parse("providers: [{name: echo, type: echo}]", {}, path=Path("f"), generation=1), path=None)
KEY = "sk-test-of-a-change-4a1f8c2b7d"


class World:
    """Two workers and two fronts on one Redis, an operator's own way to change things, and an upstream with a list."""

    def __init__(self, redis_url: str, folder: Path, stack: AsyncExitStack) -> None:
        self._redis_url = redis_url
        self._folder = folder
        self._stack = stack
        self.workers: list[WorkerState] = []
        self.fronts: list[CatalogueCache] = []
        self.bus = Bus(redis_url)
        store = OverlayStore(self.bus, SECRETS, folder)
        self._operator = CurrentConfiguration(self.bus, store, FILE, {}, self._use, look_every_s=NEVER_S)
        self.models_url = ""

    async def _use(self, loaded: Loaded) -> None:
        """The operator has no use for it."""

    async def start(self) -> None:
        await self._connect(self.bus)
        for _ in range(2):
            await self._add_worker()
            await self._add_front()
        app = web.Application()
        app.router.add_get("/v1/models", self._list)
        runner = web.AppRunner(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.models_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "discovered"}]})

    async def _connect(self, bus: Bus) -> None:
        await bus.start()
        self._stack.push_async_callback(bus.close)
        await bus.up.wait()

    async def _add_worker(self) -> None:
        bus = Bus(self._redis_url)
        worker = WorkerState(bus, FILE, SECRETS, os.environ, WorkerMetrics(new_registry()), look_every_s=NEVER_S)
        await self._connect(bus)
        await bus.subscribed.wait()
        await worker.open(administers=True)
        self._stack.push_async_callback(worker.close)
        self.workers.append(worker)

    async def _add_front(self) -> None:
        bus = Bus(self._redis_url)
        front = CatalogueCache(bus, check_every_s=NEVER_S)
        await self._connect(bus)
        await bus.subscribed.wait()
        self._stack.callback(asyncio.create_task(front.run()).cancel)
        self.fronts.append(front)

    async def put(self, section: Any, name: str, fields: dict[str, Any]) -> None:
        await self._operator.change(lambda overlay, _file, _loaded: overlay.put(section, name, fields))

    async def cut_subscribers(self) -> None:
        await self.bus.command("CLIENT", "KILL", "TYPE", "pubsub")

    def leads(self, model: str) -> Callable[[], Awaitable[bool]]:
        """Whether the name is listed by all fronts and leads somewhere on all workers."""

        async def does() -> bool:
            catalogues = [front.current for front in self.fronts]
            if not all(one and one.find_model(model) for one in catalogues):
                return False
            try:
                return all(worker.dispatch.routes.resolve(model) for worker in self.workers)
            except NotFound:
                return False

        return does


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        world = World(redis_url, tmp_path, stack)
        await world.start()
        await until(world.leads("echo"))
        yield world


async def test_a_route_and_a_key_are_in_use_everywhere(world: World) -> None:
    await world.put("models", "added", {"targets": ["echo/echo"]})
    await until(world.leads("added"))
    await world.put("keys", "team", {"key": KEY})

    async def fronts_know() -> bool:
        return all([one.name for one in front.current.keys] == ["team"] for front in world.fronts if front.current)

    await until(fronts_know)


async def test_the_models_that_a_new_provider_is_found_to_have_are_too(world: World) -> None:
    """Asking its upstream is the one thing that takes time."""
    account = {"name": "a", "api_key": "k"}
    fields = {"type": "openai-compatible", "base_url": world.models_url, "credentials": [account]}
    await world.put("providers", "late", fields)
    await until(world.leads("discovered"))


async def test_a_catalogue_never_has_a_new_provider_without_its_models(world: World) -> None:
    """A worker that hears of them before it uses the provider offers what it uses. Fronts would keep the other one: it
    is as new as the right one.
    """
    slow, may_go_on = world.workers[1], threading.Event()
    keep_copy = slow._current._store.keep_copy

    def keep_slowly(overlay: Overlay) -> None:
        may_go_on.wait(20)
        keep_copy(overlay)

    slow._current._store.keep_copy = keep_slowly  # type: ignore[method-assign]  # to look between the steps
    offers: list[Offer] = []
    make = slow._catalogue.offer

    def note(offer: Offer) -> None:
        offers.append(offer)
        make(offer)

    slow._catalogue.offer = note  # type: ignore[method-assign]  # as above
    account = {"name": "a", "api_key": "k"}
    fields = {"type": "openai-compatible", "base_url": world.models_url, "credentials": [account]}
    await world.put("providers", "late", fields)

    async def has_heard() -> bool:
        return any(offer.revision for offer in offers)

    await until(has_heard)
    assert {offer.catalogue.generation for offer in offers} == {1}
    may_go_on.set()
    await until(world.leads("discovered"))


async def test_who_could_not_be_told_of_a_change_looks_when_it_is_back(world: World) -> None:
    overlay = Overlay().put("models", "untold", {"targets": ["echo/echo"]}).next()
    body = SECRETS.encrypt(overlay.encode())
    await world.bus.command("HSET", OVERLAY, "generation", overlay.generation, "body", body)
    await world.cut_subscribers()
    await until(world.leads("untold"))


async def test_who_could_not_be_told_of_an_operators_request_takes_it_when_it_is_back(world: World) -> None:
    deadline_ms = time.time_ns() // 10**6 + 60_000
    request = AdminRequest("1", "r", "f", deadline_ms, "list", "models", "", "", "")
    await world.bus.command("LPUSH", ADMIN_QUEUE, request.encode())
    await world.cut_subscribers()

    async def is_taken() -> bool:
        return int(await world.bus.command("LLEN", ADMIN_QUEUE)) == 0

    await until(is_taken)
