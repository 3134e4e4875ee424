"""Hedging: who starts when, who wins, and that nobody is left behind."""

import asyncio
from functools import partial

import pytest

from worker.racing import race


class Track:
    """Contenders that end when told."""

    def __init__(self, count: int) -> None:
        self.started: list[int] = []
        self.all_started = asyncio.Event()
        self.cancelled: list[int] = []
        self.discarded: list[str] = []
        self.ends = [asyncio.get_running_loop().create_future() for _ in range(count)]
        self.contenders = [partial(self._run, i) for i in range(count)]

    async def _run(self, number: int) -> str:
        self.started.append(number)
        if len(self.started) == len(self.ends):
            self.all_started.set()
        try:
            result: str = await self.ends[number]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return result

    async def discard(self, result: str) -> None:
        self.discarded.append(result)

    async def race(self, delay_s: float, *, open_to: int = 9) -> str:
        """So many contenders may join."""
        return await race(self.contenders, delay_s, self.discard, may_join=lambda: len(self.started) < open_to)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_without_delay_all_run_and_the_first_wins() -> None:
    track = Track(3)
    racing = asyncio.create_task(track.race(0))
    await track.all_started.wait()
    track.ends[1].set_result("second")
    assert await racing == "second"
    assert track.cancelled == [0, 2]


async def test_the_next_starts_when_the_last_has_failed_without_waiting_for_the_delay() -> None:
    track = Track(2)
    racing = asyncio.create_task(track.race(3600))
    await settle()
    assert track.started == [0]
    track.ends[0].set_exception(RuntimeError("down"))
    await settle()
    assert track.started == [0, 1]
    track.ends[1].set_result("spare")
    assert await racing == "spare"


async def test_the_first_alone_runs_when_it_is_quick() -> None:
    track = Track(2)
    track.ends[0].set_result("quick")
    assert await track.race(3600) == "quick"
    assert track.started == [0]


async def test_the_last_failure_is_told_when_all_have_failed() -> None:
    track = Track(2)
    track.ends[0].set_exception(RuntimeError("one"))
    track.ends[1].set_exception(RuntimeError("two"))
    with pytest.raises(RuntimeError, match="two"):
        await track.race(0)


async def test_whoever_may_not_join_does_not_start_and_the_failure_before_is_told() -> None:
    track = Track(3)
    racing = asyncio.create_task(track.race(3600, open_to=2))
    for number in (0, 1):
        await settle()
        track.ends[number].set_exception(RuntimeError(str(number)))
    with pytest.raises(RuntimeError, match="1"):
        await racing
    assert track.started == [0, 1]


async def test_who_arrives_together_with_the_winner_is_discarded() -> None:
    track = Track(2)
    racing = asyncio.create_task(track.race(0))
    await track.all_started.wait()
    track.ends[0].set_result("a")
    track.ends[1].set_result("b")
    assert await racing == "a"
    assert track.discarded == ["b"]


async def test_a_cancelled_race_leaves_nobody_running() -> None:
    track = Track(2)
    racing = asyncio.create_task(track.race(0))
    await track.all_started.wait()
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert track.cancelled == [0, 1]


async def test_a_race_that_is_cancelled_while_its_losers_end_keeps_nothing_of_its_winner() -> None:
    """Both had succeeded; the loser takes its time to be discarded when the client leaves."""
    track = Track(2)
    leaving, may_leave = asyncio.Event(), asyncio.Event()

    async def discard(result: str) -> None:
        leaving.set()
        await may_leave.wait()
        track.discarded.append(result)

    racing = asyncio.create_task(race(track.contenders, 0, discard, may_join=lambda: True))
    await track.all_started.wait()
    track.ends[0].set_result("winner")
    track.ends[1].set_result("loser")
    await leaving.wait()
    racing.cancel()
    await settle()
    assert not racing.done()
    may_leave.set()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert track.discarded == ["loser", "winner"]
