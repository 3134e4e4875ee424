"""A host's jobs from claim to finish, on a bus that keeps what is sent: what is cancelled, stopped or broken off."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq.worker import func

from shared.bus import BusDown, CommandRefused
from shared.frames import JobEnvelope, Kind, Triple, encode_control
from tests.recording import RecordingBus
from worker.host import Host
from worker.job import Job, Park

RUN: Triple = ("f.1", 0, 1)


class Stage:
    """A host whose chat function is the test's: `began` and `ended` are what it got to."""

    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.bus.replies = {"claim": [], "beat": [0, 0, 0, 0], "reap": [], "resync": [], "PUBLISH": 1, "ZREM": 1}
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.raises: BaseException | None = None
        self.host = Host(
            func(self.chat, name="chat"),  # type: ignore[arg-type]  # arq would have it take anything
            url="redis://127.0.0.1:1/0",
            bus=self.bus,
            ctx={},
            slots=10,
            drain_s=5,
            source="queue",
        )

    async def chat(self, _: dict[str, Any], job: Job) -> None:
        self.began.set()
        try:
            await self.go_on.wait()
            if self.raises is not None:
                raise self.raises
            job.out.end(done=True)
        finally:
            await asyncio.sleep(0.01)  # closes its upstream
            self.ended.set()

    def begin(self) -> Job:
        envelope = JobEnvelope("req_1", "m", True, False, 0, 10**15)
        self.host._begin("f.1", envelope.encode(0), 1, "7", "")
        return self.host.jobs[RUN]

    def say(self, *words: Any) -> None:
        self.host._on_control(encode_control(*words))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for number in (signal.SIGINT, signal.SIGTERM):
        stage.host.loop.remove_signal_handler(number)


async def test_a_start_during_which_redis_goes_away_is_begun_again(stage: Stage) -> None:
    """It was a traceback, and the end of a process that somebody had to start again."""
    starts: list[int] = []

    async def start(_: dict[Any, Any]) -> None:
        starts.append(len(starts))
        if len(starts) == 1:
            raise BusDown("gone")
        stage.host.handle_sig(signal.SIGTERM)

    stage.host.on_startup = start  # type: ignore[assignment]  # arq means a protocol with the same call
    await stage.host.main()
    assert starts == [0, 1]


async def test_a_job_ends_once_and_says_so(stage: Stage) -> None:
    job = stage.begin()
    stage.go_on.set()
    await asyncio.wait([job.task] if job.task else [])
    assert stage.host.jobs == {}
    assert stage.bus.called("finish") == [[stage.host.worker, *RUN, "", "7", ""]]
    assert [frame[4] for frame in stage.bus.frames()] == [Kind.END]


async def test_a_job_that_is_cancelled_before_its_first_step_ends_like_any_other(stage: Stage) -> None:
    """The client left in the same turn of the loop in which the job was claimed; its slot is free again."""
    job = stage.begin()
    stage.say("cancel", *RUN)
    await asyncio.wait([job.task] if job.task else [])
    assert stage.host.jobs == {}
    assert len(stage.bus.called("finish")) == 1
    assert not stage.began.is_set()


async def test_a_second_cancellation_does_not_disturb_the_end(stage: Stage) -> None:
    """A front may say twice that nobody waits; the upstream is closed all the same."""
    job = stage.begin()
    await stage.began.wait()
    stage.say("cancel", *RUN)
    await asyncio.sleep(0)
    stage.say("acknowledge", [[*RUN, -1]])
    stage.say("cancel", *RUN)
    await asyncio.wait([job.task] if job.task else [])
    assert stage.ended.is_set()
    assert len(stage.bus.called("finish")) == 1


@pytest.mark.parametrize(("error", "kind"), [(ValueError("secret"), Kind.ERROR), (Park(3.0, "tried"), None)])
async def test_what_a_job_raises_is_told_or_given_back(stage: Stage, error: Exception, kind: Kind | None) -> None:
    stage.raises = error
    job = stage.begin()
    stage.go_on.set()
    await asyncio.wait([job.task] if job.task else [])
    assert [frame[4] for frame in stage.bus.frames()] == [kind] * (kind is not None)
    waiting = ["3000", "7", "tried"] if kind is None else ["", "7", ""]
    assert stage.bus.called("finish") == [[stage.host.worker, *RUN, *waiting]]


async def test_a_finish_that_an_outage_swallowed_is_sent_again(stage: Stage) -> None:
    job = stage.begin()
    stage.bus.lose()
    stage.go_on.set()
    await asyncio.wait([job.task] if job.task else [])
    assert stage.bus.called("finish") == []
    stage.bus.mend()
    await asyncio.sleep(0)
    sent = [command[0] for command in stage.bus.sent]
    assert sent.index("finish") < sent.index("resync"), "or the finished job would be taken for a lost one"


class TestStop:
    async def test_without_redis_at_the_start(self, stage: Stage) -> None:
        stage.bus.lose()
        running = asyncio.create_task(stage.host.main())
        await asyncio.sleep(0)
        stage.host.handle_sig(signal.SIGTERM)
        async with asyncio.timeout(5):
            await running

    async def test_while_redis_is_away(self, stage: Stage) -> None:
        """It ends when its last job has; Redis need not come back for that."""
        running = asyncio.create_task(stage.host.main())
        stage.begin()
        await stage.began.wait()
        stage.bus.lose()
        stage.host._waker.poke()
        await asyncio.sleep(0.1)  # by now it waits for Redis
        stage.host.handle_sig(signal.SIGTERM)
        await asyncio.sleep(0)
        assert not running.done(), "a job runs"
        stage.host.publisher.outlets.clear()
        stage.go_on.set()
        async with asyncio.timeout(10):
            await running

    async def test_a_second_signal_ends_at_once(self, stage: Stage) -> None:
        stage.host.main_task = running = asyncio.create_task(stage.host.main())
        stage.begin()
        await stage.began.wait()
        stage.host.handle_sig(signal.SIGTERM)
        stage.host.handle_sig(signal.SIGTERM)
        with pytest.raises(asyncio.CancelledError):
            await running
        await stage.host.close()
        assert stage.ended.is_set()
        assert stage.host.jobs == {}


async def test_a_host_whose_heart_stops_does_not_go_on_without(stage: Stage) -> None:
    """Its jobs would be taken from it, one after the other, while it claims more."""
    stage.bus.replies["beat"] = "nonsense"
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(5):
            await stage.host.main()


async def test_of_two_runs_of_one_job_redis_learns_the_newer_first(stage: Stage) -> None:
    """When it has lost everything, the first to be registered is the one that stays."""
    stage.begin()
    envelope = JobEnvelope("req_1", "m", True, False, 0, 10**15)
    stage.host._begin("f.1", envelope.encode(1), 1, "7", "")
    stage.bus.mend()
    await asyncio.sleep(0)
    assert stage.bus.called("resync") == [[stage.host.worker, 6000, "f.1", 1, 1, "q", "f.1", 0, 1, "q"]]
    for job in list(stage.host.jobs.values()):
        job.cancel("the test ends")
        await asyncio.wait([job.task] if job.task else [])


async def test_a_finish_that_redis_refused_is_said_again_with_the_next_heartbeat(stage: Stage) -> None:
    job = stage.begin()
    stage.go_on.set()
    assert job.task is not None
    await job.task
    refused = stage.bus.unanswered.pop()
    refused.set_exception(CommandRefused("NOREPLICAS"))
    await asyncio.sleep(0)
    await stage.host.lease.renew()
    assert len(stage.bus.called("finish")) == 2
