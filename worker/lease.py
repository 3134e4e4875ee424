"""A worker's hold on its jobs: heartbeat, finish, and registering them again after Redis lost them."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from shared import scripts
from shared.bus import Argument, Bus, BusDown, CommandRefused
from shared.frames import Triple
from shared.names import PREFIX
from worker.job import Job, Park

LEASE_MS = 6000


class Lease:
    """`jobs` is the host's table of what runs."""

    def __init__(self, bus: Bus, worker: str, jobs: Mapping[Triple, Job]) -> None:
        self.queued = self.parked = 0
        self._bus = bus
        self._worker = worker
        self._jobs = jobs
        self._unfinished: list[list[Argument]] = []
        self._mismatches = 0
        self.steady = asyncio.Lock()  # held while a claim is under way: its jobs are in Redis and not yet in `jobs`
        self._resyncing: asyncio.Task[None] | None = None

    def reconnected(self) -> None:
        """Sends what was not heard, and tells Redis what runs."""
        self._finish_again()
        self._resyncing = asyncio.create_task(self._resync())

    async def renew(self) -> None:
        """Once a second. Raises BusDown or CommandRefused."""
        before = len(self._jobs)
        added, known, self.queued, self.parked = await self._bus.run(scripts.BEAT, args=[self._worker, LEASE_MS])
        self._finish_again()
        # Claims and finishes under way make the counts differ for a moment; a loss makes them differ for good.
        self._mismatches = self._mismatches + 1 if known not in (before, len(self._jobs)) else 0
        if added or self._mismatches >= 2:  # noqa: PLR2004  two beats in a row
            await self._resync()

    async def _resync(self) -> None:
        async with self.steady:
            self._mismatches = 0
            jobs = sorted(self._jobs.values(), key=_run, reverse=True)  # of two runs of one job the newer is the one
            args: list[Argument] = [self._worker, LEASE_MS]
            for job in jobs:
                args += (*job.triple, "s" if job.out.shown else "q")
            with contextlib.suppress(BusDown, CommandRefused):
                for index in await self._bus.run(scripts.RESYNC, args=args):
                    jobs[index].cancel("another worker has it")

    def finish(self, triple: Triple, score: str, park: Park | None = None) -> None:
        """Ends a job, or gives it back to wait. Not awaited: nothing depends on the reply."""
        rid, epoch, attempt = triple
        wait_ms, note = ("", "") if park is None else (str(round(park.wait_s * 1000)), park.note)
        self._send([self._worker, rid, epoch, attempt, wait_ms, score, note])

    def _finish_again(self) -> None:
        """What the outage swallowed, or Redis refused for a while."""
        unfinished, self._unfinished = self._unfinished, []
        for args in unfinished:
            self._send(args)

    def _send(self, args: list[Argument]) -> None:
        def check(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is not None:
                self._unfinished.append(args)

        try:
            self._bus.run(scripts.FINISH, args=args).add_done_callback(check)
        except BusDown:
            self._unfinished.append(args)

    async def resign(self) -> None:
        """The worker ends; nobody needs to find out that it died."""
        with contextlib.suppress(BusDown, CommandRefused):
            await self._bus.run(scripts.RESYNC, args=[self._worker, LEASE_MS])  # what was claimed and not begun
            await self._bus.command("ZREM", PREFIX + "workers", self._worker)


def _run(job: Job) -> tuple[int, int]:
    _, epoch, attempt = job.triple
    return epoch, attempt
