"""Time limits of one answer: the one that passes is named, and a client that is behind costs the upstream nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from worker.deadline import BETWEEN_CHUNKS, FIRST_TOKEN, TOTAL, Deadline
from worker.faults import UpstreamError

FAR_S = 60.0


async def late(after_s: float) -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(after_s)
        yield b"x"


async def read_for_ever(deadline: Deadline, pieces: AsyncIterator[bytes]) -> None:
    while True:
        await deadline.read(pieces)


@pytest.mark.parametrize("reason", [FIRST_TOKEN, BETWEEN_CHUNKS])
async def test_silence_ends_at_its_limit(reason: str) -> None:
    deadline = Deadline(FAR_S)
    deadline.expect(reason, 0.01)
    with pytest.raises(UpstreamError) as caught:
        await deadline.read(late(FAR_S))
    assert caught.value.code == reason


async def test_the_whole_answer_has_a_limit_however_fast_its_pieces_are() -> None:
    deadline = Deadline(0.05)
    deadline.expect(BETWEEN_CHUNKS, FAR_S)
    pieces = late(0.001)
    with pytest.raises(UpstreamError) as caught:
        await read_for_ever(deadline, pieces)
    assert caught.value.code == TOTAL


async def test_time_in_which_nobody_reads_is_no_silence() -> None:
    """The client was behind for longer than the limit; the next piece comes a little after we read again."""
    deadline = Deadline(FAR_S)
    deadline.expect(BETWEEN_CHUNKS, 2.0)
    deadline._due -= FAR_S  # so long ago was it set
    assert await deadline.read(late(0.01)) == b"x"
    deadline.close()
