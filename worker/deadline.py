"""Time limits of one answer, at no cost per chunk: a limit is moved by setting a number, and one timer looks at it."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from worker.faults import Fault, UpstreamError

FIRST_TOKEN: Final = "first_token_timeout"  # noqa: S105  a token of text
BETWEEN_CHUNKS: Final = "between_chunks_timeout"
TOTAL: Final = "total_timeout"
_SAID = {
    FIRST_TOKEN: "The upstream sent nothing within {:g} s.",
    BETWEEN_CHUNKS: "The upstream's answer stopped for {:g} s.",
    TOTAL: "The upstream's answer was not complete within {:g} s.",
}


T = TypeVar("T")


class Deadline:
    """Bounds reads. `expect` sets the limit until it is called again; the total limit holds besides. The limit between
    chunks is counted anew from each `heard`, any other from when it was set.
    """

    def __init__(self, total_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._total_s = total_s
        self._end = self._loop.time() + total_s
        self._due = self._end
        self._reason, self._limit_s = TOTAL, total_s
        self._reader: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def expect(self, reason: str, limit_s: float) -> None:
        due = self._loop.time() + limit_s
        if due < self._end:
            self._due, self._reason, self._limit_s = due, reason, limit_s
        else:
            self._due, self._reason, self._limit_s = self._end, TOTAL, self._total_s

    def heard(self) -> None:
        """Something has come."""
        if self._reason is BETWEEN_CHUNKS:
            self.expect(BETWEEN_CHUNKS, self._limit_s)

    async def bound(self, reading: Awaitable[T]) -> T:
        """Awaits it. Raises UpstreamError(TIMED_OUT), naming the limit that passed."""
        self.heard()  # while a client that is behind keeps us from reading no silence counts
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()
        self._reader = asyncio.current_task()
        try:
            return await reading
        except asyncio.CancelledError:
            if self._expired and self._reader is not None and self._reader.uncancel() == 0:
                raise self.error() from None
            raise
        finally:
            self._reader = None

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._due - self._loop.time())

    def error(self) -> UpstreamError:
        return UpstreamError(Fault.TIMED_OUT, _SAID[self._reason].format(self._limit_s), code=self._reason)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        if self._loop.time() < self._due:
            self._set_timer()
        elif self._reader is not None:
            self._expired = True
            self._reader.cancel()
        else:  # nobody reads: the front is behind, and that is not the upstream's fault
            self._timer = None
