"""A job that kills whatever runs it ends in an error of its own, and takes no innocent job along."""

import asyncio

import pytest

from tests.chaos.conftest import Arena

INNOCENT = 12


@pytest.mark.parametrize("append_only", [False], ids=["memory"])
async def test_a_poison_job_ends_alone(arena: Arena) -> None:
    """Two processes die under it and its neighbours, then each is tried alone: only the poison fails."""
    innocent = asyncio.create_task(arena.client.many(2 * INNOCENT, "num-n5-t1500", limit_s=100))
    await arena.until_called(2 * INNOCENT)
    poison = await arena.client.ask("num-poison", stream=False, limit_s=60)  # a stream would commit to 200 meanwhile
    assert poison.honest_error, poison
    assert poison.status == 502
    assert poison.error is not None
    assert "died" in poison.error["message"]
    assert [result for result in await innocent if not result.exact(5)] == []
    assert sum(worker.popen.poll() is None for worker in arena.system.workers) == 1, "one worker died, and no other"
    assert await arena.at_rest() == {}
