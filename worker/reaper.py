"""Finds dead workers and fronts, and runs what a dead worker left in a disposable process, away from innocent jobs."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter

import structlog

from shared import scripts
from shared.bus import Bus
from shared.frames import Kind
from worker.tether import tethered

_LEASE_MS = 6000
_MOST_SOLO = 4
_log = structlog.get_logger()


class Reaper:
    """Every worker has one; Redis lets one of them do the work in each half second."""

    def __init__(self, bus: Bus) -> None:
        self.buried: Counter[str] = Counter()  # "worker" and "front", for the metrics
        self._bus = bus
        self._children: dict[str, set[asyncio.Task[None]]] = {"suspects": set(), "solo": set()}
        self._processes: set[asyncio.subprocess.Process] = set()
        self._closing = False

    async def reap(self) -> None:
        """Raises BusDown or CommandRefused."""
        found = await self._bus.run(scripts.REAP, args=[_LEASE_MS, self._bus.run_id, int(Kind.LOST)])
        if not found:
            return
        workers, fronts, suspects, solo, start = found
        self.buried += Counter(worker=workers, front=fronts)
        if workers or fronts:
            _log.warning("buried", workers=workers, fronts=fronts, suspects=suspects, solo=solo)
        if start:
            self._start("suspects", min(suspects, 1) - len(self._children["suspects"]))
            self._start("solo", min(solo, _MOST_SOLO) - len(self._children["solo"]))

    def _start(self, source: str, count: int) -> None:
        for _ in range(count):
            task = asyncio.create_task(self._run_disposable(source))
            self._children[source].add(task)
            task.add_done_callback(self._children[source].discard)

    async def close(self) -> None:
        """Ends the disposable processes, which drain."""
        tasks = [task for tasks in self._children.values() for task in tasks]
        self._closing = True
        self.hurry()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hurry(self) -> None:
        """Tells the disposable processes to end: at the first time they drain, at the second they do not."""
        for child in self._processes:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()

    async def _run_disposable(self, source: str) -> None:
        """A worker that takes only suspects and ends when there are none. Its death takes no innocent job with it; when
        this process dies it drains.
        """
        command = [sys.executable, "-P", "-m", "worker", "--source", source]
        environment = {**os.environ, "PENSTOCK_METRICS_PORT": "0"}
        try:
            child = await asyncio.create_subprocess_exec(*tethered(command, signal.SIGTERM), env=environment)
        except OSError as error:
            _log.error("disposable worker not started", source=source, reason=error.strerror)
            return
        self._processes.add(child)
        if self._closing:
            child.terminate()
        status = await child.wait()
        self._processes.discard(child)
        if status != 0:
            _log.error("disposable worker died", source=source, exit_status=status)
