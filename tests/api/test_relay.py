"""The relay between a Redis that is played by the test and a client that is played by the test."""

import asyncio
from typing import Any

import pytest

from api.clocks import Clocks
from api.pending import Pending
from api.relay import Relay
from shared.bus import BusDown, CommandRefused, NotRun
from shared.catalogue import QueuePolicy
from shared.errors import Unavailable
from shared.frames import JobEnvelope, Kind, encode_batch, encode_frame
from tests.recording import RecordingBus

MIB = 1024 * 1024
FAR_MS = 10**15


def make_envelope(deadline_ms: int = FAR_MS, size: int = 2) -> JobEnvelope:
    return JobEnvelope("req_1", "m", True, False, 0, deadline_ms, body=b"x" * size)


class Stage:
    """A relay, and the worker "w" that speaks to it."""

    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.relay = Relay(self.bus)
        self.bus.replies = {"enqueue": 1}
        self.clocks = Clocks(self.bus, self.relay)

    async def submit(self, **settings: int) -> Pending:
        return await self.relay.submit(lambda _: make_envelope(**settings), QueuePolicy(10, 100 * MIB))

    def say(self, pending: Pending, sequence: int, kind: Kind, payload: Any = b"data: x\n\n", epoch: int = 0) -> None:
        frame = encode_frame(pending.number, epoch, 1, sequence, kind, payload)
        self.relay._on_message(encode_batch("w", [frame]))

    async def read(self, pending: Pending) -> None:
        """The client gets what there is, and the front asks for more."""
        await pending.next()
        assert await pending.next(timeout_s=0) == []

    def beacon(self, pending: Pending, next_sequence: int) -> None:
        self.say(pending, 0, Kind.BEACON, [[pending.number, 0, 1, next_sequence]])

    def acknowledged(self) -> list[list[Any]]:
        return [entry for verb, *said in self.bus.told("w") if verb == "acknowledge" for entry in said[0]]


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_an_acknowledgement_that_was_lost_is_said_again_at_the_next_beacon(stage: Stage) -> None:
    """A worker whose outlet is full sends nothing more until it hears one: without this both wait for ever."""
    pending = await stage.submit()
    stage.say(pending, 0, Kind.CHUNK)
    await stage.read(pending)
    stage.relay.send_acknowledgements()
    stage.relay.send_acknowledgements()
    assert stage.acknowledged() == [[pending.rid, 0, 1, 1]], "said once as long as nothing is heard"
    stage.beacon(pending, 1)
    stage.relay.send_acknowledgements()
    assert stage.acknowledged() == [[pending.rid, 0, 1, 1]] * 2


async def test_much_is_acknowledged_as_soon_as_the_client_has_it(stage: Stage) -> None:
    """A worker may hold only so much: waiting for the next turn of the clock would slow a fast answer down."""
    pending = await stage.submit()
    stage.say(pending, 0, Kind.CHUNK, b"x" * MIB)
    await pending.next()
    assert stage.acknowledged() == [], "it is being sent"
    await pending.next(timeout_s=0)
    assert stage.acknowledged() == [[pending.rid, 0, 1, 1]]


async def test_nothing_is_acknowledged_for_a_client_that_does_not_read(stage: Stage) -> None:
    """So its worker stops reading the upstream; when the client reads again, the answer goes on."""
    pending = await stage.submit()
    stage.say(pending, 0, Kind.CHUNK, b"x" * MIB)
    stage.relay.send_acknowledgements()
    stage.say(pending, 1, Kind.END, {"done": True})
    assert stage.acknowledged() == []
    assert [kind for kind, _ in await pending.next()] == [Kind.CHUNK, Kind.END]
    stage.relay.finish(pending, complete=True)
    stage.relay.send_acknowledgements()
    assert stage.acknowledged() == [[pending.rid, 0, 1, 2]]


async def test_what_a_client_got_of_a_run_that_was_replaced_counts_for_none(stage: Stage) -> None:
    """Who answers may have been told, though no content was: the next run's frames are numbered from 0 again."""
    pending = await stage.submit()
    stage.say(pending, 0, Kind.START, {})
    await pending.next()
    stage.relay._on_message(encode_batch("v", [encode_frame(pending.number, 0, 2, 0, Kind.START, {})]))
    stage.relay.send_acknowledgements()
    assert stage.acknowledged() == []
    await stage.read(pending)
    stage.relay.send_acknowledgements()
    assert stage.bus.told("v") == [["acknowledge", [[pending.rid, 0, 2, 1]]]]


async def test_refusals_in_an_outage_are_kept_once_for_each_run(stage: Stage) -> None:
    pending = await stage.submit()
    stage.say(pending, 0, Kind.CHUNK)
    await stage.read(pending)
    stage.bus.lose()
    for sequence in range(1000):
        stage.say(pending, sequence, Kind.CHUNK, epoch=7)
    stage.bus.mend()
    stage.relay.send_acknowledgements()
    assert stage.acknowledged() == [[pending.rid, 7, 1, -1], [pending.rid, 0, 1, 1]]


async def test_a_run_that_comes_back_while_it_is_enqueued_anew_goes_on(stage: Stage) -> None:
    """Its first content arrived before Redis' reply did: the new job is taken back, and nothing of the old one lost."""
    pending = await stage.submit()
    stage.bus.replies = {}
    stage.relay.enqueue_anew(pending)
    await asyncio.sleep(0)
    stage.say(pending, 0, Kind.CHUNK, b"first")
    stage.bus.unanswered.pop().set_result(1)
    await asyncio.sleep(0.01)
    stage.say(pending, 1, Kind.CHUNK, b"second")
    assert await pending.next() == [(Kind.CHUNK, b"first"), (Kind.CHUNK, b"second")]
    assert stage.bus.called("cancel") == [[pending.rid]]


async def test_the_death_of_a_run_that_nobody_wants_is_no_news(stage: Stage) -> None:
    pending = await stage.submit()
    stage.relay.enqueue_anew(pending)
    stage.say(pending, 0, Kind.CHUNK)
    stage.say(pending, 0, Kind.LOST, "died", epoch=1)
    stage.say(pending, 0, Kind.LOST, "poison", epoch=1)
    assert pending.failure is None
    stage.say(pending, 0, Kind.LOST, "died")
    assert pending.failure is not None


async def test_a_cancel_that_redis_did_not_take_is_said_again(stage: Stage) -> None:
    pending = await stage.submit()
    stage.relay.finish(pending, complete=False)
    stage.bus.unanswered.pop().set_exception(BusDown("a script flush"))
    await asyncio.sleep(0)
    stage.relay.cancel_again()
    assert stage.bus.called("cancel") == [[pending.rid]] * 2


async def test_what_redis_certainly_did_not_run_goes_out_again_at_once(stage: Stage) -> None:
    """After a script flush or at a replica: the connection is made anew, and nobody waits for a clock."""
    stage.bus.replies = {}
    asking = asyncio.ensure_future(stage.submit())
    await asyncio.sleep(0)
    stage.bus.unanswered.pop().set_exception(NotRun("NOSCRIPT"))
    await asking
    stage.bus.mend()
    await asyncio.sleep(0)
    assert len(stage.bus.called("enqueue")) == 2


async def test_what_a_clogged_connection_did_not_take_goes_out_when_there_is_room(stage: Stage) -> None:
    stage.bus.lose()
    pending = await stage.submit()
    left = await stage.submit()
    stage.relay.finish(left, complete=False)
    stage.bus.up.set()
    stage.bus._tell_up("room")
    await asyncio.sleep(0)
    assert [rid for rid, *_ in stage.bus.called("enqueue")] == [pending.rid]
    assert stage.bus.called("cancel") == [[left.rid]]


async def test_who_has_left_is_not_enqueued_anew(stage: Stage) -> None:
    pending = await stage.submit()
    stage.relay.enqueue_anew(pending)
    stage.relay.finish(pending, complete=False)
    await asyncio.sleep(0)
    assert len(stage.bus.called("enqueue")) == 1


@pytest.mark.parametrize(("says", "code"), [("OOM command", "queue_full"), ("NOREPLICAS", "queue_unavailable")])
async def test_what_redis_refuses_is_told_by_its_cause(stage: Stage, says: str, code: str) -> None:
    stage.bus.replies = {}
    asking = asyncio.ensure_future(stage.submit())
    await asyncio.sleep(0)
    stage.bus.unanswered.pop().set_exception(CommandRefused(says))
    with pytest.raises(Unavailable) as caught:
        await asking
    assert caught.value.code == code


async def test_a_wait_that_is_woken_for_nothing_goes_on(stage: Stage) -> None:
    """What woke it was of a run that was replaced: the time for which a client may wait has not passed."""
    pending = await stage.submit()
    reading = asyncio.ensure_future(pending.next(timeout_s=60))
    await asyncio.sleep(0)
    stage.say(pending, 0, Kind.START, {})
    frame = encode_frame(pending.number, 0, 2, 1, Kind.CHUNK, b"later")
    stage.relay._on_message(encode_batch("v", [frame]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not reading.done()
    reading.cancel()


async def test_a_wait_ends_with_its_time(stage: Stage) -> None:
    pending = await stage.submit()
    assert await pending.next(timeout_s=0.01) == []


async def test_a_front_that_stood_still_waits_for_what_it_missed(stage: Stage) -> None:
    """A process that was frozen finds its requests long unheard of, and the frames of that time yet to be read."""
    stage.clocks._note_pause(now=100.5, slept_at=100)
    assert stage.relay.steady_since == 0
    stage.clocks._note_pause(now=103, slept_at=100)
    assert stage.relay.steady_since == 103


class TestOutage:
    async def test_what_waits_is_bounded_in_bytes(self, stage: Stage) -> None:
        """Nobody else counts them: Redis, which does, is away."""
        stage.bus.lose()
        for _ in range(4):
            await stage.submit(size=25 * MIB)
        with pytest.raises(Unavailable, match="cannot be reached"):
            await stage.submit()

    async def test_its_length_is_counted_from_its_own_beginning(self, stage: Stage) -> None:
        stage.bus.lose()
        await stage.submit()
        stage.bus.mend()
        stage.bus.lose()
        now = asyncio.get_running_loop().time()
        stage.relay._refuse_in_outage()
        assert stage.relay._down_since is not None
        assert stage.relay._down_since >= now

    async def test_what_runs_is_given_up_when_it_does_not_end(self, stage: Stage) -> None:
        begun, waits = await stage.submit(), await stage.submit()
        stage.say(begun, 0, Kind.CHUNK)
        stage.bus.lose()
        stage.clocks._give_up_in_outage(1000)
        stage.clocks._give_up_in_outage(1119)
        assert (begun.failure, waits.failure) == (None, None)
        stage.clocks._give_up_in_outage(1121)
        assert begun.failure is not None
        assert begun.failure.code == "stream_broken"
        assert waits.failure is not None
        assert waits.failure.code == "queue_unavailable"

    async def test_two_short_ones_are_no_long_one(self, stage: Stage) -> None:
        pending = await stage.submit()
        stage.bus.lose()
        stage.clocks._give_up_in_outage(1000)
        stage.bus.mend()
        stage.clocks._give_up_in_outage(1060)
        stage.bus.lose()
        stage.clocks._give_up_in_outage(1121)
        assert pending.failure is None


class TestOverdue:
    async def test_what_nobody_took_is_refused(self, stage: Stage) -> None:
        pending = await stage.submit(deadline_ms=1)
        stage.clocks._refuse_overdue(0)
        assert pending.failure is not None
        assert pending.failure.code == "queue_timeout"

    async def test_what_a_worker_has_is_left_alone_as_long_as_it_is_heard(self, stage: Stage) -> None:
        pending = await stage.submit(deadline_ms=1)
        stage.beacon(pending, 0)
        stage.clocks._refuse_overdue(pending.served_at + 4.9)
        assert pending.failure is None

    async def test_what_a_worker_had_is_refused_when_none_is_left(self, stage: Stage) -> None:
        """With all workers gone nobody finds out that they are; Redis says for ever that it runs."""
        pending = await stage.submit(deadline_ms=1)
        stage.beacon(pending, 0)
        stage.clocks._refuse_overdue(pending.served_at + 5.1)
        assert pending.failure is not None
        assert "may have processed" in pending.failure.message

    async def test_an_outage_is_no_silence_of_the_worker(self, stage: Stage) -> None:
        pending = await stage.submit(deadline_ms=1)
        stage.beacon(pending, 0)
        stage.bus.lose()
        stage.clocks._refuse_overdue(stage.bus.heard_at)
        assert pending.failure is None
