"""A job that kills whatever runs it ends in an error of its own, and takes no innocent job along."""

import asyncio

import pytest

from tests.chaos.conftest import Arena
from tests.chaos.test_faults import DIED, inexact, verdict

INNOCENT = 12
SHOWING = 12


@pytest.mark.parametrize("append_only", [False], ids=["memory"])
async def test_a_poison_job_ends_alone(arena: Arena) -> None:
    """Two processes die under it and its neighbours, then each is tried alone: only the poison fails, and of the
    streams that show something already those alone that the one dead worker had.
    """
    showing = asyncio.create_task(arena.client.many(SHOWING, "num-n200-g100", limit_s=100))
    await arena.until_tokens(1, SHOWING)
    held = arena.running()
    innocent = asyncio.create_task(arena.client.many(2 * INNOCENT, "num-n5-t1500", limit_s=100))
    await arena.until_called(SHOWING + 2 * INNOCENT)
    poison = await arena.client.ask("num-poison", stream=False, limit_s=60)  # a stream would commit to 200 meanwhile
    assert poison.honest_error, poison
    assert poison.status == 502
    assert poison.error is not None
    assert "died" in poison.error["message"]
    assert [result for result in await innocent if not result.exact(5)] == []
    (dead,) = [worker for worker in arena.system.workers if worker.popen.poll() is not None]
    told = inexact(await showing, 200)
    assert {verdict(result) for result in told} <= {("stream_broken", DIED)}
    assert len(told) == next(count for name, count in held.items() if name in dead.log()), "no other stream is harmed"
    assert await arena.at_rest() == {}
