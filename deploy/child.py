"""One process of `penstock up`, started again when it dies."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from worker.tether import tethered

UNUSABLE: Final = 2
"""The exit status of a process that cannot run with what it was told; starting it again would change nothing."""
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 15.0
_SETTLED_S: Final = 30.0
_log = structlog.get_logger()


class Child:
    """`keep` runs it until `stop`. It has a process group of its own, so that Ctrl-C reaches `up` alone."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], *, sockets: Sequence[int] = ()
    ) -> None:
        self.name = name
        self._command, self._environ, self._sockets = list(command), dict(environ), list(sockets)
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.ended = asyncio.Event()
        """Set while `keep` does not run."""
        self.ended.set()

    async def keep(self) -> int:
        """0 after `stop`, UNUSABLE when the process says that it cannot run."""
        self.ended.clear()
        try:
            return await self._keep()
        finally:
            self.ended.set()

    async def _keep(self) -> int:
        loop, pause_s = asyncio.get_running_loop(), _FIRST_PAUSE_S
        while not self._stopping.is_set():
            started_s = loop.time()
            status = await self._run()
            if self._stopping.is_set() or status == UNUSABLE:
                break
            if loop.time() - started_s > _SETTLED_S:
                pause_s = _FIRST_PAUSE_S
            _log.warning("process ended, starting it again", process=self.name, exit_status=status, wait_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        return 0 if self._stopping.is_set() else UNUSABLE

    async def _run(self) -> int:
        self._process = await asyncio.create_subprocess_exec(
            *tethered(self._command, signal.SIGKILL),
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=self._sockets,
            process_group=0,
        )
        if self._stopping.is_set():
            self._send(signal.SIGTERM)
        return await self._process.wait()

    def stop(self) -> None:
        """Asks it to end, as SIGTERM does."""
        self._stopping.set()
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._stopping.set()
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
