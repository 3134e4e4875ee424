"""What a worker publishes: numbered, kept until acknowledged, sent again when asked, and never more than allowed."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.frames import MOST_PUBLISH_BYTES, PART_BYTES, Kind, Triple
from tests.recording import RecordingBus
from worker.outlet import OUTLET_CAP_BYTES, WORKER_CAP_BYTES, Outlet
from worker.publisher import Publisher

RUN: Triple = ("f.1", 0, 1)
OTHER: Triple = ("f.2", 0, 1)


class Press:
    """A publisher on a bus that keeps what is sent."""

    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.bus.replies = {"PUBLISH": 1}
        self.cancelled: list[Triple] = []
        self.publisher = Publisher(self.bus, "w", lambda run, _: self.cancelled.append(run))

    def sequences(self, number: int = 1) -> list[int]:
        return [frame[3] for frame in self.bus.frames() if frame[0] == number and frame[4] != Kind.BEACON]


@pytest.fixture
async def press() -> Press:
    return Press()


def run_on_a_loop(body: Callable[[Press], None]) -> None:
    async def begin() -> None:
        body(Press())

    asyncio.run(begin())


frames = st.lists(st.binary(min_size=1, max_size=80_000), min_size=1, max_size=30)


@given(frames, st.lists(st.integers(-1, 31), max_size=20))
def test_a_front_that_misses_anything_gets_it_by_asking(contents: list[bytes], wishes: list[int]) -> None:
    """Whatever it asked for and acknowledged before: a replay from what it misses goes on without a gap."""

    def play(press: Press) -> None:
        outlet = press.publisher.open(RUN)
        for content in contents:
            outlet.emit(content)
        arrived = 0
        press.publisher._flush()
        for wish in wishes:
            press.bus.sent.clear()
            press.publisher.on_replay(RUN, arrived)
            press.publisher._flush()
            got = press.sequences()
            assert got == list(range(arrived, arrived + len(got)))
            assert arrived == len(contents) or got, "a replay moves on"
            assert sum(map(len, contents[arrived : arrived + len(got)])) <= MOST_PUBLISH_BYTES
            arrived = max(arrived, min(arrived + len(got), wish))
            press.publisher.on_acknowledge([(*RUN, arrived)])
            assert outlet.unacknowledged == len(contents) - arrived
        assert outlet.size == press.publisher.size == sum(len(frame) for frame in outlet._kept)

    run_on_a_loop(play)


@given(st.lists(st.tuples(st.sampled_from([RUN, OTHER]), st.binary(max_size=300_000)), max_size=12))
def test_one_turn_leaves_in_as_few_messages_as_the_limit_allows(written: list[tuple[Triple, bytes]]) -> None:
    def play(press: Press) -> None:
        outlets = {run: press.publisher.open(run) for run in (RUN, OTHER)}
        for run, content in written:
            outlets[run].emit(content)
        press.publisher._flush()
        assert [payload for *_, payload in press.bus.frames()] == [content for _, content in written]
        messages = [message for _, message in press.bus.called("PUBLISH") if isinstance(message, bytes)]
        largest = max((len(content) for _, content in written), default=0)
        assert all(len(message) <= max(MOST_PUBLISH_BYTES, largest) + 100 for message in messages)
        assert all(len(a) + len(b) > MOST_PUBLISH_BYTES for a, b in pairwise(messages))

    run_on_a_loop(play)


@given(st.binary(max_size=5 * PART_BYTES))
def test_a_whole_answer_leaves_in_parts(body: bytes) -> None:
    async def play() -> None:
        press = Press()
        await press.publisher.open(RUN).result(body)
        press.publisher._flush()
        parts = [payload for *_, kind, payload in press.bus.frames() if kind == Kind.RESULT]
        assert b"".join(parts) == body
        assert all(0 < len(part) <= PART_BYTES for part in parts)

    asyncio.run(play())


@given(st.lists(st.binary(max_size=2 * PART_BYTES), min_size=1, max_size=5))
def test_a_large_piece_leaves_in_parts_that_end_with_an_event_where_they_can(contents: list[bytes]) -> None:
    async def play() -> None:
        press = Press()
        piece = b"".join(b"data: %b\n\n" % content.hex().encode() for content in contents)
        outlet = press.publisher.open(RUN)
        streaming = asyncio.ensure_future(outlet.stream(piece))
        while not streaming.done():
            await asyncio.sleep(0)
            assert outlet.size <= OUTLET_CAP_BYTES + PART_BYTES + 100
            press.publisher.on_acknowledge([(*RUN, outlet.next_sequence)])
        press.publisher._flush()
        parts = [payload for *_, payload in press.bus.frames()]
        assert b"".join(parts) == piece
        assert all(0 < len(part) <= PART_BYTES for part in parts) or len(piece) <= PART_BYTES
        assert all(part.endswith(b"\n\n") or b"\n\n" not in part for part in parts)

    asyncio.run(play())


async def test_a_large_answer_leaves_as_fast_as_it_is_taken(press: Press) -> None:
    outlet = press.publisher.open(RUN)
    sending = asyncio.ensure_future(outlet.result(b"x" * 4 * OUTLET_CAP_BYTES))
    most = 0
    while not sending.done():
        await asyncio.sleep(0)
        most = max(most, outlet.size)
        press.publisher.on_acknowledge([(*RUN, outlet.next_sequence)])
    assert 0 < most <= OUTLET_CAP_BYTES + PART_BYTES + 100


async def test_content_is_marked_as_shown_before_it_leaves(press: Press) -> None:
    """On one connection: whoever finds the worker dead knows what a client may have seen."""
    outlet = press.publisher.open(RUN)
    outlet.start(provider="p")
    outlet.emit(b"x")
    await asyncio.sleep(0)
    assert [command[0] for command in press.bus.sent] == ["shown", "PUBLISH"]
    assert press.bus.sent[0] == ("shown", "w", "f.1", "0:1")


def flushed(press: Press, ago_s: float) -> None:
    """Puts the last sending so far into the past, or into the future: however slow the test is, it is recent then."""
    press.publisher._flushed_at = asyncio.get_running_loop().time() - ago_s


async def test_what_comes_in_mid_stream_waits_for_company_until_something_is_urgent(press: Press) -> None:
    """The first content of another stream, or an end, takes it along: nothing overtakes anything."""
    outlet, other = press.publisher.open(RUN), press.publisher.open(OTHER)
    outlet.emit(b"first")
    await asyncio.sleep(0)
    flushed(press, -60)
    outlet.emit(b"second")
    outlet.emit(b"third")
    await asyncio.sleep(0)
    assert press.sequences() == [0]
    other.start(provider="p")
    await asyncio.sleep(0)
    assert press.sequences() == [0, 1, 2]
    flushed(press, -60)
    outlet.emit(b"fourth")
    await asyncio.sleep(0)
    assert press.sequences() == [0, 1, 2]
    outlet.end(done=True)
    await asyncio.sleep(0)
    assert press.sequences() == [0, 1, 2, 3, 4]
    assert len(press.bus.called("PUBLISH")) == 3


async def test_where_nothing_was_sent_of_late_a_chunk_leaves_at_once(press: Press) -> None:
    outlet = press.publisher.open(RUN)
    outlet.emit(b"first")
    await asyncio.sleep(0)
    flushed(press, 60)
    outlet.emit(b"second")
    await asyncio.sleep(0)
    assert press.sequences() == [0, 1]


async def test_what_waits_for_company_leaves_without_any(press: Press) -> None:
    outlet = press.publisher.open(RUN)
    outlet.emit(b"first")
    await asyncio.sleep(0)
    flushed(press, -0.05)
    outlet.emit(b"second")
    assert press.sequences() == [0]
    while press.sequences() != [0, 1]:  # noqa: ASYNC110  only the timer says so
        await asyncio.sleep(0.01)


async def test_nothing_follows_a_terminal_frame(press: Press) -> None:
    outlet = press.publisher.open(RUN)
    outlet.end(done=True)
    outlet.emit(b"late")
    outlet.end(done=False)
    press.publisher._flush()
    assert press.sequences() == [0]


async def test_a_finished_run_is_forgotten_once_it_is_acknowledged(press: Press) -> None:
    outlet = press.publisher.open(RUN)
    outlet.emit(b"x")
    press.publisher.finish(outlet)
    press.publisher.on_acknowledge([(*RUN, 0)])
    assert RUN in press.publisher.outlets
    press.publisher.on_acknowledge([(*RUN, 1)])
    assert not press.publisher.outlets
    assert press.publisher.size == 0


async def test_a_run_for_which_nobody_waits_is_cancelled(press: Press) -> None:
    press.publisher.open(RUN).emit(b"x")
    press.publisher.on_acknowledge([(*RUN, -1), ("f.9", 0, 1, -1)])
    assert press.cancelled == [RUN]
    assert press.publisher.size == 0


async def test_three_beacons_that_nobody_hears_cancel_what_a_front_asked(press: Press) -> None:
    press.publisher.open(RUN)
    press.publisher.open(("g.1", 0, 1))
    press.bus.replies = {"PUBLISH": 0}
    await press.publisher.send_beacons()
    await press.publisher.send_beacons()
    assert press.cancelled == []
    await press.publisher.send_beacons()
    assert press.cancelled == [RUN, ("g.1", 0, 1)]


async def test_a_front_has_time_to_come_back_after_an_outage(press: Press) -> None:
    press.publisher.open(RUN)
    press.bus.replies = {"PUBLISH": 0}
    press.publisher.reconnected()
    for _ in range(4):
        await press.publisher.send_beacons()
    assert press.cancelled == []


async def test_an_outage_does_not_age_what_waits_for_its_end(press: Press) -> None:
    """An answer that was complete while Redis was away is still there when it is back, however long that took."""
    outlet = press.publisher.open(RUN)
    outlet.emit(b"x")
    press.publisher.finish(outlet)
    assert outlet.finished_at is not None
    outlet.finished_at -= 90
    press.publisher.reconnected()
    await press.publisher.send_beacons()
    assert RUN in press.publisher.outlets


async def test_what_nobody_acknowledges_expires(press: Press) -> None:
    outlet = press.publisher.open(RUN)
    outlet.emit(b"x")
    press.publisher.finish(outlet)
    assert outlet.finished_at is not None
    outlet.finished_at -= 90
    await press.publisher.send_beacons()
    assert press.publisher.size == 0


class TestRoom:
    async def test_a_full_outlet_waits_for_an_acknowledgement(self, press: Press) -> None:
        outlet = press.publisher.open(RUN)
        fill(outlet, OUTLET_CAP_BYTES)
        waiting = asyncio.ensure_future(outlet.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        press.publisher.on_acknowledge([(*RUN, 2)])
        await waiting

    async def test_clients_that_do_not_read_leave_others_a_little_room(self, press: Press) -> None:
        press.publisher.size = WORKER_CAP_BYTES  # of streams that this test does not have
        modest = press.publisher.open(RUN)
        modest.emit(b"x" * 1000)
        assert not modest.full
        fill(modest, 64 * 1024)

    async def test_room_that_another_stream_makes_is_room_for_all(self, press: Press) -> None:
        """At the worker's cap a stream that is below its own has nothing to wait for but the others."""
        hog, waits = press.publisher.open(RUN), press.publisher.open(OTHER)
        fill(hog, OUTLET_CAP_BYTES)
        press.publisher.size += WORKER_CAP_BYTES - OUTLET_CAP_BYTES  # of streams that this test does not have
        fill(waits, 100 * 1024)
        waiting = asyncio.ensure_future(waits.drain())
        await asyncio.sleep(0)
        press.publisher.on_acknowledge([(*RUN, 4)])
        async with asyncio.timeout(5):
            await waiting

    async def test_a_run_that_is_given_up_waits_no_longer(self, press: Press) -> None:
        outlet = press.publisher.open(RUN)
        fill(outlet, OUTLET_CAP_BYTES)
        waiting = asyncio.ensure_future(outlet.drain())
        await asyncio.sleep(0)
        press.publisher.on_acknowledge([(*RUN, -1)])
        await waiting


def fill(outlet: Outlet, size: int) -> None:
    """To just above `size`, in four frames."""
    for _ in range(4):
        outlet.emit(b"x" * (size // 4))
    assert outlet.full
