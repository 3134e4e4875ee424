"""Streams that a race has won are whole, and those that it has lost are cancelled upstream."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import Arena, build_arena

STREAMS = 20
FAST, SLOW = "num/num-n20-g10", "num/num-n20-g10-t30000"


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    """Here the slow target comes first."""
    race = {"strategy": "race", "race_delay_s": 0.2, "targets": [SLOW, FAST]}
    with build_arena(tmp_path, config={"models": {"fast": race}}) as built:
        yield built


async def test_hedged_streams_are_exact_and_their_losers_are_hung_up(arena: Arena) -> None:
    results = await arena.client.many(STREAMS, "fast", limit_s=20)
    results += await arena.client.many(STREAMS, "fast", stream=False, limit_s=20)
    assert [result for result in results if not result.exact(20)] == []
    assert await arena.at_rest() == {}
    calls = arena.calls().values()
    assert all((row["calls"], row["hung_up"]) == (2, 1) for row in calls)
