"""Streams that a race has won are whole, and those that it has lost are cancelled upstream."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.chaos.client import Result
from tests.chaos.conftest import FORMS, Arena, build_arena

STREAMS = 20
FAST, SLOW = "num/num-n20-g10", "num/num-n20-g10-t30000"
# Each test that fails a provider has one to itself: an account that has failed rests.
PROVIDERS = ["fails-first", "fails-beside", "fails-streamed", "fails-whole", "breaks-off"]


def route(delay_s: float, *targets: str) -> dict[str, Any]:
    return {"strategy": "race", "race_delay_s": delay_s, "targets": list(targets), "retries": {"attempts": 2}}


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Here the slow target comes first, or the one that fails."""
    models = {
        "fast": route(0.2, SLOW, FAST),
        "parallel": route(0, SLOW, FAST),
        "first-fails": route(30, "fails-first/num-drop", FAST),
        "loser-fails": route(0, "fails-beside/num-drop", FAST),
        "both-fail-streamed": route(0.1, "fails-streamed/num-drop", "fails-streamed/num-n1-drop"),
        "both-fail-whole": route(0.1, "fails-whole/num-drop", "fails-whole/num-n1-drop"),
        "breaks-off": route(0.1, "breaks-off/num-n20-g10-reset7", FAST),
        "hanging": route(0.1, SLOW, SLOW.replace("n20", "n21")),
    }
    others = [{"name": name} for name in PROVIDERS]
    with build_arena(tmp_path_factory.mktemp("arena"), config={"models": models}, more=others) as built:
        yield built


def rows(arena: Arena, results: Sequence[Result]) -> list[tuple[float, float]]:
    """How often the upstream was called for each, and hung up."""
    calls = arena.calls()
    return [(calls[result.nonce]["calls"], calls[result.nonce]["hung_up"]) for result in results]


async def test_hedged_streams_are_exact_and_their_losers_are_hung_up(arena: Arena) -> None:
    results = await arena.client.many(STREAMS, "fast", limit_s=20)
    results += await arena.client.many(STREAMS, "fast", stream=False, limit_s=20)
    assert [result for result in results if not result.exact(20)] == []
    assert await arena.at_rest() == {}
    assert set(rows(arena, results)) == {(2, 1)}


@FORMS
async def test_targets_that_start_at_once_leave_nothing_behind(arena: Arena, *, stream: bool) -> None:
    results = await arena.client.many(STREAMS, "parallel", stream=stream, limit_s=20)
    assert [result for result in results if not result.exact(20)] == []
    assert await arena.at_rest() == {}
    assert set(rows(arena, results)) == {(2, 1)}


@pytest.mark.parametrize("model", ["first-fails", "loser-fails"])
async def test_who_fails_in_a_race_is_neither_waited_for_nor_seen(arena: Arena, model: str) -> None:
    """The second begins when the first has failed, whatever the delay is."""
    result = await arena.client.ask(model, limit_s=20)
    assert result.exact(20)
    assert await arena.at_rest() == {}


@FORMS
async def test_when_all_fail_the_client_hears_of_it_once(arena: Arena, *, stream: bool) -> None:
    model = "both-fail-streamed" if stream else "both-fail-whole"
    result = await arena.client.ask(model, stream=stream, limit_s=20)
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
    leave = asyncio.Event()
    asking = asyncio.create_task(arena.client.ask("hanging", stream=stream, limit_s=60, leave=leave))
    await arena.until("both targets run", lambda: any(running(row) == 2 for row in arena.calls().values()))
    leave.set()
    result = await asking
    assert await arena.at_rest() == {}
    assert rows(arena, [result]) == [(2, 2)]


def running(row: Mapping[str, float]) -> float:
    return row["calls"] - row["ended"] - row["hung_up"]
