"""Time limits of one answer: the one that passes is named, and a client that is behind costs the upstream nothing."""

import asyncio

import pytest

from worker.deadline import BETWEEN_CHUNKS, FIRST_TOKEN, TOTAL, Deadline
from worker.faults import UpstreamError

FAR_S = 60.0


async def late(deadline: Deadline, after_s: float, pieces: int) -> int:
    for _ in range(pieces):
        await asyncio.sleep(after_s)
        deadline.heard()
    return pieces


@pytest.mark.parametrize("reason", [FIRST_TOKEN, BETWEEN_CHUNKS])
async def test_silence_ends_at_its_limit(reason: str) -> None:
    deadline = Deadline(FAR_S)
    deadline.expect(reason, 0.01)
    with pytest.raises(UpstreamError) as caught:
        await deadline.bound(late(deadline, FAR_S, 1))
    assert caught.value.code == reason


async def test_the_whole_answer_has_a_limit_however_fast_its_pieces_are() -> None:
    deadline = Deadline(0.05)
    deadline.expect(BETWEEN_CHUNKS, FAR_S)
    with pytest.raises(UpstreamError) as caught:
        await deadline.bound(late(deadline, 0.001, 1_000_000))
    assert caught.value.code == TOTAL


async def test_time_in_which_nobody_reads_is_no_silence() -> None:
    """The client was behind for longer than the limit; the next piece comes a little after we read again."""
    deadline = Deadline(FAR_S)
    deadline.expect(BETWEEN_CHUNKS, 2.0)
    deadline._due -= FAR_S  # so long ago was it set
    assert await deadline.bound(late(deadline, 0.01, 1)) == 1
    deadline.close()
