"""A process that has lost a part of itself ends, so that another can take its place."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from api.settings import ApiSettings
from api.state import FrontState
from shared.bus import Bus
from shared.metrics_server import new_registry
from shared.vital import start_vital
from worker.config.loading import load
from worker.metrics import WorkerMetrics
from worker.secrets import load_secrets
from worker.state import WorkerState


@pytest.fixture
async def told() -> AsyncIterator[asyncio.Event]:
    """Set by SIGTERM to this process."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, event.set)
    yield event
    loop.remove_signal_handler(signal.SIGTERM)


async def fail() -> None:
    raise LookupError("of a mistake")


async def test_one_that_fails_ends_the_process(told: asyncio.Event) -> None:
    task = start_vital(fail(), "look after things")
    async with asyncio.timeout(10):
        await told.wait()
    assert isinstance(task.exception(), LookupError)


async def test_one_that_ends_or_is_cancelled_does_not(told: asyncio.Event) -> None:
    ended, cancelled = start_vital(asyncio.sleep(0), "end"), start_vital(asyncio.sleep(3600), "go on")
    await ended
    cancelled.cancel()
    await asyncio.wait([cancelled])
    await asyncio.sleep(0)  # callbacks of tasks come after them
    assert not told.is_set()


async def test_a_front_that_lost_sight_of_the_catalogue_ends(
    told: asyncio.Event, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = FrontState(ApiSettings(redis_url=redis_url))
    monkeypatch.setattr(state.catalogue, "_look", fail)
    await state.start()
    async with asyncio.timeout(10):
        await told.wait()
    await state.stop()


async def test_a_worker_that_looks_after_nothing_ends(
    told: asyncio.Event, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus(redis_url)
    state = WorkerState(bus, load(None, {}), load_secrets({}), {}, WorkerMetrics(new_registry()))
    monkeypatch.setattr(state._discovery, "tick", fail)
    await bus.start()
    await bus.up.wait()
    await state.open(administers=False)
    async with asyncio.timeout(10):
        await told.wait()
    await state.close()
    await bus.close()
