"""Streams that a race has won are whole, and those that it has lost are cancelled upstream."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import FORMS, Arena, build_arena

STREAMS = 20
FAST, SLOW = "num/num-n20-g10", "num/num-n20-g10-t30000"
DROPS, LATE_END = "num/num-drop", "num/num-n20-g10-reset7"


def route(delay_s: float, *targets: str) -> dict[str, Any]:
    return {"strategy": "race", "race_delay_s": delay_s, "targets": list(targets), "retries": {"attempts": 2}}


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    """Here the slow target comes first. No rest of an account after a failure disturbs the next request."""
    models = {
        "fast": route(0.2, SLOW, FAST),
        "parallel": route(0, SLOW, FAST),
        "first-fails": route(30, DROPS, FAST),
        "loser-fails": route(0, DROPS, FAST),
        "both-fail": route(0.1, DROPS, DROPS.replace("num-", "num-n1-", 1)),
        "breaks-off": route(0.1, LATE_END, FAST),
        "hanging": route(0.1, SLOW, SLOW.replace("n20", "n21")),
    }
    with build_arena(tmp_path, config={"models": models}) as built:
        yield built


async def test_hedged_streams_are_exact_and_their_losers_are_hung_up(arena: Arena) -> None:
    results = await arena.client.many(STREAMS, "fast", limit_s=20)
    results += await arena.client.many(STREAMS, "fast", stream=False, limit_s=20)
    assert [result for result in results if not result.exact(20)] == []
    assert await arena.at_rest() == {}
    calls = arena.calls().values()
    assert all((row["calls"], row["hung_up"]) == (2, 1) for row in calls)


@FORMS
async def test_targets_that_start_at_once_leave_nothing_behind(arena: Arena, *, stream: bool) -> None:
    results = await arena.client.many(STREAMS, "parallel", stream=stream, limit_s=20)
    assert [result for result in results if not result.exact(20)] == []
    assert await arena.at_rest() == {}
    assert all((row["calls"], row["hung_up"]) == (2, 1) for row in arena.calls().values())


@pytest.mark.parametrize("model", ["first-fails", "loser-fails"])
async def test_who_fails_in_a_race_is_neither_waited_for_nor_seen(arena: Arena, model: str) -> None:
    """The second begins when the first has failed, whatever the delay is."""
    result = await arena.client.ask(model, limit_s=20)
    assert result.exact(20)
    assert await arena.at_rest() == {}


@FORMS
async def test_when_all_fail_the_client_hears_of_it_once(arena: Arena, *, stream: bool) -> None:
    result = await arena.client.ask("both-fail", stream=stream, limit_s=20)
    assert (result.status, result.honest_error) == (502, True)
    assert await arena.at_rest() == {}
    assert arena.calls()[result.nonce]["calls"] == 2


async def test_a_winner_that_breaks_off_is_no_race_any_more(arena: Arena) -> None:
    result = await arena.client.ask("breaks-off", limit_s=20)
    assert (result.honest_error, result.tokens) == (True, 7)
    assert await arena.at_rest() == {}
    assert arena.calls()[result.nonce]["calls"] == 1


@FORMS
async def test_who_leaves_during_a_race_takes_all_targets_along(arena: Arena, *, stream: bool) -> None:
    asking = asyncio.create_task(arena.client.ask("hanging", stream=stream, limit_s=60))
    await arena.until_called(2)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert await arena.at_rest() == {}
    (row,) = arena.calls().values()
    assert (row["calls"], row["hung_up"]) == (2, 2)
