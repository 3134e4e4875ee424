"""The arq worker, with its dequeue, lease and finish replaced: it is woken, claims atomically, and owns jobs by lease.

arq still hosts: its functions table, ctx, start-up and shut-down hooks and signals. Its polling, results, retries and
aborts are not used: they start nothing once many streams run, and send half-sent streams twice.
"""

import asyncio
import contextlib
import secrets
from signal import Signals
from typing import Any

import structlog
from arq.worker import Function, Worker

from shared import scripts
from shared.bus import Argument, Bus, BusDown, CommandRefused
from shared.errors import GatewayError, Unavailable
from shared.frames import JobEnvelope, Triple, decode_control
from shared.names import control_channel
from worker.job import Job, Park
from worker.lease import LEASE_MS, Lease
from worker.publisher import Publisher
from worker.reaper import Reaper
from worker.waker import Waker

_CLAIM_BYTES = 4 * 1024 * 1024
_CLAIM_JOBS = 100
_ACKNOWLEDGED_WITHIN_S = 5.0
_BREATH_S = 0.05
_log = structlog.get_logger()
_NO_POOL: Any = object()  # keeps arq from opening its own connection


class Host(Worker):
    """Claims jobs and runs the function "chat" of arq's table on each: `await chat(ctx, job)`.

    `source` is "queue", or with "suspects" or "solo" what a dead worker left: such a host ends when that is done.
    """

    def __init__(
        self, function: Function, *, url: str, bus: Bus, ctx: dict[str, Any], slots: int, drain_s: float, source: str
    ) -> None:
        super().__init__([function], redis_pool=_NO_POOL, ctx=ctx, max_jobs=slots)
        self.worker = "w" + secrets.token_hex(5)
        self.jobs: dict[Triple, Job] = {}
        self.publisher = Publisher(bus, self.worker, self._cancel)
        self.lease = Lease(bus, self.worker, self.jobs)
        self._bus = bus
        self.reaper = Reaper(bus)
        self._waker = Waker(url)
        self._source = source
        self._drain_s = drain_s
        self._idle = asyncio.Event()
        self._told = asyncio.Event()  # to end
        bus.add_scripts(scripts.CLAIM, scripts.SHOWN, scripts.BEAT, scripts.RESYNC, scripts.FINISH, scripts.REAP)
        bus.subscribe(control_channel(self.worker), self._on_control)
        bus.on_up.append(self._on_up)

    # ---- life

    async def main(self) -> None:
        """Until told to stop and drained, or, for a host of suspects, until none is left."""
        await self._bus.start()
        await self._unless_told(self._bus.up)
        await self._unless_told(self._bus.subscribed)
        if self._told.is_set():
            return
        await self._start_up()
        async with asyncio.TaskGroup() as side:  # a host without one of these must not go on
            waking = side.create_task(self._waker.run())
            beating = side.create_task(self._beat())
            await self._claim_until_told()
            waking.cancel()  # a token that comes now is for another worker
            await self._drain()
            beating.cancel()

    async def _start_up(self) -> None:
        """What the application does first. When Redis goes away in its midst, it is begun again."""
        while self.on_startup and not self._told.is_set():
            try:
                await self.on_startup(self.ctx)
            except (BusDown, CommandRefused) as error:
                _log.warning("not started yet", reason=str(error))
                await asyncio.sleep(_BREATH_S)
                await self._unless_told(self._bus.up)
            else:
                return

    async def _unless_told(self, event: asyncio.Event) -> None:
        """Waits for `event`, or until told to end."""
        waits = [asyncio.ensure_future(one.wait()) for one in (event, self._told)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def handle_sig(self, signum: Signals) -> None:
        """SIGTERM and SIGINT: take nothing new, finish what runs. A second one ends at once."""
        if self._told.is_set():
            self.reaper.hurry()
            if self.main_task is not None:
                self.main_task.cancel()
        self._told.set()
        _log.info("draining", signal=Signals(signum).name, running=len(self.jobs))
        self.allow_pick_jobs = False  # arq's name for it
        self._waker.poke()

    async def close(self) -> None:
        for job in list(self.jobs.values()):
            job.cancel("the worker ends")
        await asyncio.gather(*(job.task for job in list(self.jobs.values()) if job.task), return_exceptions=True)
        await self.reaper.close()
        if self.on_shutdown:
            await self.on_shutdown(self.ctx)
        await self.lease.resign()
        await self._bus.close()

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                while self.jobs:
                    self._idle.clear()
                    await self._idle.wait()
        for job in list(self.jobs.values()):
            job.out.error(Unavailable("The worker was stopped before the answer was complete. Retry the request."))
            job.cancel("the worker ends")
        await self.publisher.emptied(_ACKNOWLEDGED_WITHIN_S)

    async def _beat(self) -> None:
        """Twice a second the reaper, once a second the lease and the beacons."""
        turn = 0
        while True:
            turn += 1
            if turn % 2:
                with contextlib.suppress(BusDown, CommandRefused):
                    await self.lease.renew()
                await self.publisher.send_beacons()  # also while Redis refuses to write
            with contextlib.suppress(BusDown, CommandRefused):
                await self.reaper.reap()
            await asyncio.sleep(0.5)

    # ---- claiming

    async def _claim_until_told(self) -> None:
        while not self._told.is_set():
            try:
                if self._free > 0 and await self._claim(min(self._free, _CLAIM_JOBS)) and self._source != "queue":
                    continue  # what the queue has left woke a worker, perhaps another one
                if self._source != "queue" and not self.jobs:
                    return
                await self._waker.wait(for_token=self._free > 0 and self._source == "queue")
            except BusDown:  # lost, or it does not read what we send
                await asyncio.sleep(_BREATH_S)
                await self._unless_told(self._bus.up)
            except CommandRefused as error:
                _log.error("claim refused", reason=str(error))
                await asyncio.sleep(0.5)

    @property
    def _free(self) -> int:
        return self.max_jobs - len(self.jobs)

    async def _claim(self, most: int) -> int:
        """How many jobs are left."""
        args: list[Argument] = [self.worker, LEASE_MS, most, _CLAIM_BYTES, self._source]
        async with self.lease.steady:
            left, *claimed = await self._bus.run(scripts.CLAIM, args=args)
            for i in range(0, len(claimed), 5):
                rid, payload, attempt, score, note = claimed[i : i + 5]
                self._begin(rid.decode(), payload, attempt, score.decode(), note.decode())
        return int(left)

    def _begin(self, rid: str, payload: bytes, attempt: int, score: str, note: str) -> None:
        epoch = int(payload[: payload.index(b":")])
        triple = (rid, epoch, attempt)
        out = self.publisher.open(triple)
        try:
            envelope, _ = JobEnvelope.decode(payload)
        except ValueError as error:
            _log.error("job refused", reason=str(error))
            out.error(Unavailable("Front and worker are of different versions. The operator must upgrade both."))
            self.lease.finish(triple, score)
            self.publisher.finish(out)
            return
        job = self.jobs[triple] = Job(triple, envelope, score, note, out, self.loop.time())
        job.task = self.loop.create_task(self._run(job))

    # ---- running

    async def _run(self, job: Job) -> None:
        parked: Park | None = None
        job.began = True
        try:
            if job.cancelled:
                return
            await self.functions["chat"].coroutine(self.ctx, job)
            self.jobs_complete += 1
        except Park as park:
            parked = park
        except GatewayError as error:
            job.out.error(error)
            self.jobs_failed += 1
        except asyncio.CancelledError:
            self.jobs_failed += 1
            if not job.cancelled:
                raise
        except Exception:  # noqa: BLE001  whatever it was, the client must hear of it
            _log.exception("job failed", request_id=job.envelope.request_id)
            job.out.error(GatewayError("The gateway failed. Its log names this request's id.", code="internal_error"))
            self.jobs_failed += 1
        finally:
            self._end(job, parked)

    def _end(self, job: Job, parked: Park | None) -> None:
        """By now exactly one terminal frame has been sent, unless the job is parked or nobody listens."""
        was_full = len(self.jobs) >= self.max_jobs
        del self.jobs[job.triple]
        if not job.out.closed:
            job.out.discard()
        self.lease.finish(job.triple, job.score, parked)
        self.publisher.finish(job.out)
        if parked is not None:
            self.loop.call_later(parked.wait_s, self._waker.poke)
        if was_full or self._source != "queue":
            self._waker.poke()
        if not self.jobs:
            self._idle.set()

    def _cancel(self, triple: Triple, why: str) -> None:
        job = self.jobs.get(triple)
        if job is not None:
            job.cancel(why)

    # ---- what fronts and Redis say

    def _on_control(self, message: bytes) -> None:
        verb, *arguments = decode_control(message)
        if verb == "acknowledge":
            self.publisher.on_acknowledge(arguments[0])
        elif verb == "replay":
            rid, epoch, attempt, sequence = arguments
            self.publisher.on_replay((rid, epoch, attempt), sequence)
        elif verb == "cancel":
            rid, epoch, attempt = arguments
            self._cancel((rid, epoch, attempt), "the client left")

    def _on_up(self, which: str) -> None:
        if which == "commands":
            self.publisher.reconnected()
            self.lease.reconnected()
            self._waker.poke()
