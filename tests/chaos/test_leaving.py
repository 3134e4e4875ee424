"""The client leaves: the upstream's work ends at once, and what was queued never reaches an upstream."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.client import Result
from tests.chaos.conftest import ALWAYS_STREAMS, FORMS, Arena, build_arena

CROWD = 200
WITHIN_S = 2.0  # hangs are what is looked for; how fast it goes is measured by the benchmark
COMPANY = pytest.mark.parametrize("crowd", [0, CROWD], ids=["idle", "200-streams"])


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with build_arena(tmp_path_factory.mktemp("arena"), more=[ALWAYS_STREAMS]) as built:
        yield built


@asynccontextmanager
async def company(arena: Arena, crowd: int) -> AsyncIterator[None]:
    """So many paced streams run meanwhile."""
    before = sum(row["calls"] for row in arena.calls().values())
    leave = asyncio.Event()
    others = asyncio.gather(*(arena.client.ask("num-n1000-g100", leave=leave, limit_s=110) for _ in range(crowd)))
    await arena.until_called(int(before) + crowd)
    try:
        yield
    finally:
        leave.set()
        results = await others
        assert [result for result in results if result.wrong or result.error] == []


async def left(arena: Arena, result: Result) -> float:
    """Seconds from the client's leaving until the upstream saw it."""
    await arena.until("hung up", lambda: arena.calls()[result.nonce]["hung_up"] == 1, WITHIN_S)
    return arena.calls()[result.nonce]["hung_up_at"] - result.left_at


@FORMS
@pytest.mark.parametrize("crowd", [0, pytest.param(CROWD, marks=pytest.mark.slow)], ids=["idle", "200-streams"])
async def test_before_the_headers(roomy: Arena, crowd: int, *, stream: bool) -> None:
    async with company(roomy, crowd):
        before = sum(row["calls"] for row in roomy.calls().values())
        leave = asyncio.Event()
        asked = [asyncio.create_task(roomy.client.ask("num-t20000", stream=stream, leave=leave)) for _ in range(5)]
        await roomy.until_called(int(before) + 5)
        leave.set()
        for result in await asyncio.gather(*asked):
            assert result.status == 0
            assert await left(roomy, result) < WITHIN_S


@FORMS
@COMPANY
async def test_mid_stream(roomy: Arena, crowd: int, *, stream: bool) -> None:
    async with company(roomy, crowd):
        for result in await leave_after(roomy, 5, "num-n500-g20", stream=stream):
            assert await left(roomy, result) < WITHIN_S
            assert roomy.calls()[result.nonce]["tokens"] < 200


@FORMS
@pytest.mark.parametrize("crowd", [0, pytest.param(CROWD, marks=pytest.mark.slow)], ids=["idle", "200-streams"])
async def test_after_the_last_token(roomy: Arena, crowd: int, *, stream: bool) -> None:
    """All content is there, the end is not: the upstream is let go too."""
    async with company(roomy, crowd):
        for result in await leave_after(roomy, 5, "num-n5-stall5", stream=stream):
            assert await left(roomy, result) < WITHIN_S


async def leave_after(arena: Arena, tokens: int, model: str, *, stream: bool) -> list[Result]:
    """Five clients that leave when the upstream has said so much to each."""
    before, leave = set(arena.calls()), asyncio.Event()
    asked = [asyncio.create_task(arena.client.ask(model, stream=stream, leave=leave)) for _ in range(5)]

    def said() -> bool:
        rows = [row for nonce, row in arena.calls().items() if nonce not in before]
        return len(rows) == len(asked) and all(row["tokens"] >= tokens for row in rows)

    await arena.until("tokens", said)
    leave.set()
    return await asyncio.gather(*asked)


@pytest.mark.parametrize(
    ("model", "stream"), [("num/num-n500-g21", True), ("thinker/thinker-n500-g21", False)], ids=["streamed", "whole"]
)
async def test_what_came_until_then_is_accounted(roomy: Arena, model: str, *, stream: bool) -> None:
    """The tokens that the upstream had sent, though a caller that wanted them whole saw none. Of the estimate's tokens
    each of ours is more than one.
    """
    for result in await leave_after(roomy, 50, model, stream=stream):
        assert await left(roomy, result) < WITHIN_S
    await roomy.until("accounted", lambda: len(accounted(roomy, model)) == 5)
    assert min(accounted(roomy, model)) >= 50


def accounted(arena: Arena, model: str) -> list[int]:
    """Tokens of the cancelled attempts at this model, as the workers log them."""
    lines = [json.loads(line) for worker in arena.system.workers for line in worker.log().splitlines()]
    return [
        line.get("gen_ai.usage.output_tokens", 0)
        for line in lines
        if line["event"] == "attempt cancelled" and model.endswith(line["gen_ai.response.model"])
    ]


@FORMS
@pytest.mark.parametrize("slots", [1, CROWD // 2], ids=["idle", "200-streams"])
async def test_queued_never_reaches_an_upstream(
    tmp_path_factory: pytest.TempPathFactory, slots: int, *, stream: bool
) -> None:
    config = {"worker": {"slots": slots}}
    with build_arena(tmp_path_factory.mktemp("arena"), config=config) as arena:
        leave_first, leave_queued = asyncio.Event(), asyncio.Event()
        running = [asyncio.create_task(arena.client.ask("num-n1000-g50", leave=leave_first)) for _ in range(2 * slots)]
        await arena.until_called(2 * slots)
        asked = [asyncio.create_task(arena.client.ask("num", stream=stream, leave=leave_queued)) for _ in range(5)]
        await arena.until("queued", lambda: arena.queued() == len(asked))
        leave_queued.set()
        queued = await asyncio.gather(*asked)
        await arena.until("unqueued", lambda: arena.queued() == 0, WITHIN_S)
        leave_first.set()
        await asyncio.gather(*running)
        assert await arena.at_rest() == {}
        assert {result.nonce for result in queued} & set(arena.calls()) == set()


async def test_everything_is_at_rest_afterwards(roomy: Arena) -> None:
    assert await roomy.at_rest() == {}
