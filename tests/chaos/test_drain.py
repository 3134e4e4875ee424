"""SIGTERM under load: what runs is finished, what is new goes elsewhere, and a limit ends the rest with the truth."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.chaos.client import Client, Result
from tests.chaos.conftest import Arena, build_arena
from tests.chaos.test_faults import HALF, both

MEMORY = pytest.mark.parametrize("append_only", [False], ids=["memory"])


@MEMORY
async def test_a_worker_that_is_stopped_breaks_no_stream(arena: Arena) -> None:
    """It takes nothing new and ends when its last stream has."""
    asked = both(arena, "num-n30-g100")
    await arena.until_tokens(3, 2 * HALF)
    worker = arena.system.workers[0]
    worker.send(signal.SIGTERM)
    later = await arena.client.many(10, "num-n3")
    assert [result for result in later if not result.exact(3)] == []
    assert [result for result in await asked if not result.exact(30)] == []
    assert await worker.ended() == 0
    assert await arena.at_rest() == {}


@MEMORY
async def test_a_front_that_is_stopped_breaks_no_stream(arena: Arena) -> None:
    """It serves on for a moment, for a balancer does not send a POST again, and ends when its last stream has."""
    asked = both(arena, "num-n50-g100")
    await arena.until_tokens(3, 2 * HALF)
    front = arena.system.fronts[0]
    front.process.send(signal.SIGTERM)
    later = await arena.client.many(10, "num-n3")
    assert [result for result in later if not result.exact(3)] == []
    assert [result for result in await asked if not result.exact(50)] == []
    assert await front.process.ended() == 0
    assert await arena.at_rest() == {}


async def test_a_workers_drain_limit_ends_the_rest_with_an_error(tmp_path: Path) -> None:
    """A stream that outlives the worker's limit ends honestly."""
    with build_arena(tmp_path, config={"worker": {"drain_s": 1}}) as arena:
        asked = both(arena, "num-n200-g100", half=5)
        await arena.until_tokens(3, 10)
        for worker in arena.system.workers:
            worker.send(signal.SIGTERM)
        for result in await asked:
            assert _was_stopped(result)
        assert [await worker.ended() for worker in arena.system.workers] == [0, 0]


@MEMORY
async def test_a_fronts_drain_limit_ends_the_rest_with_an_error(arena: Arena) -> None:
    """Streamed or not; the upstream's calls end with them."""
    front = arena.system.add_front(options=["--drain-s", "1"])
    client = Client(front.port)
    asked = [asyncio.create_task(client.ask("num-n600-g100", stream=i % 2 == 0)) for i in range(10)]
    await arena.until_called(10)
    front.process.send(signal.SIGTERM)
    for result in await asyncio.gather(*asked):
        assert _was_stopped(result)
    assert await front.process.ended() == 0
    assert await arena.at_rest() == {}


def _was_stopped(result: Result) -> bool:
    return result.honest_error and result.error is not None and "stopped" in result.error["message"]
