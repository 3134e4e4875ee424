"""A change is in use on every worker as soon as these are told of it, and if they are not, when they look."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.bus import Bus
from shared.names import OVERLAY
from worker.administration.current import CurrentConfiguration
from worker.administration.store import OverlayStore
from worker.config.loading import Loaded, parse
from worker.config.overlay import Overlay
from worker.secrets import Secrets

SECRETS = Secrets(b"0123456789abcdef0123456789abcdef")
FILE = parse("providers: [{name: echo, type: echo}]", {}, path=Path("f"), generation=1)


def added(overlay: Overlay) -> Overlay:
    return overlay.put("models", "added", {"targets": ["echo/echo"]})


@dataclass
class Worker:
    """What it took into use; `used` is set with each."""

    bus: Bus
    current: CurrentConfiguration = field(init=False)
    used: asyncio.Event = field(default_factory=asyncio.Event)

    async def use(self, loaded: Loaded) -> None:
        assert loaded is self.current.loaded
        self.used.set()

    @property
    def offers(self) -> list[str]:
        return list(self.current.loaded.config.models)


Join = Callable[[float], Awaitable[Worker]]


@pytest.fixture
async def join(redis_url: str, tmp_path: Path) -> AsyncIterator[Join]:
    """Another worker, that looks by itself every so many seconds."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

        async def begin(look_every_s: float) -> Worker:
            worker = Worker(Bus(redis_url))
            store = OverlayStore(worker.bus, SECRETS, tmp_path)
            worker.current = CurrentConfiguration(worker.bus, store, FILE, {}, worker.use, look_every_s=look_every_s)
            await worker.bus.start()
            stack.push_async_callback(worker.bus.close)
            await worker.bus.up.wait()
            stack.callback(tasks.create_task(worker.current.follow()).cancel)
            return worker

        yield begin
        await stack.aclose()


async def test_a_change_is_in_use_on_every_worker_as_soon_as_it_is_told(join: Join) -> None:
    """None of them would look before an hour has passed."""
    workers = [await join(3600) for _ in range(4)]
    assert await workers[0].current.change(lambda overlay, _file, _loaded: added(overlay)) == 1
    assert workers[0].offers == ["added"]
    await asyncio.gather(*(worker.used.wait() for worker in workers))
    assert [worker.offers for worker in workers] == [["added"]] * 4


async def test_a_change_whose_news_got_lost_is_found(join: Join) -> None:
    worker = await join(0.01)
    body = SECRETS.encrypt(added(Overlay()).next().encode())
    await worker.bus.command("HSET", OVERLAY, "generation", 1, "body", body)
    await worker.used.wait()
    assert worker.offers == ["added"]


async def test_who_changes_at_the_same_time_loses_nothing(join: Join) -> None:
    workers = [await join(3600) for _ in range(4)]

    def edit(name: str) -> Awaitable[int]:
        return workers[int(name[-1])].current.change(
            lambda overlay, _file, _loaded: overlay.put("models", name, {"targets": ["echo/echo"]})
        )

    assert sorted(await asyncio.gather(*(edit(f"by-{number}") for number in range(4)))) == [1, 2, 3, 4]
    for worker in workers:
        await worker.current.catch_up()
    assert [sorted(worker.offers) for worker in workers] == [[f"by-{number}" for number in range(4)]] * 4
