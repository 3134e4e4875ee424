"""One request that waits for its answer: its inbox, what the client has yet to be given, and its clocks."""

import asyncio
import time

from api.inbox import Delivery, Inbox
from shared.errors import GatewayError, Unavailable
from shared.frames import JobEnvelope, Kind

MAILBOX_CAP_BYTES = 2 * 1024 * 1024


class Pending:
    """`envelope` is held until the client has seen something, for until then the request can be enqueued again."""

    __slots__ = (
        "_due",
        "_timer",
        "_waiter",
        "acknowledged",
        "acknowledged_bytes",
        "asked_at",
        "born",
        "envelope",
        "failure",
        "heard_at",
        "inbox",
        "left",
        "number",
        "rid",
        "sent",
        "served_at",
    )

    def __init__(self, number: int, rid: str, envelope: JobEnvelope, now: float) -> None:
        self.number = number
        self.rid = rid
        self.envelope: JobEnvelope | None = envelope
        self.born = time.perf_counter()
        self.inbox = Inbox()
        self.sent = False  # an enqueue was written to Redis, whether or not it arrived
        self.heard_at = now  # the loop's clock, s: last sign that the request is alive
        self.served_at = now  # last sign of a worker that runs it
        self.asked_at = 0.0
        self.acknowledged = (0, 0, 0)  # epoch, attempt, next sequence
        self.acknowledged_bytes = 0
        self.failure: GatewayError | None = None
        self.left = False
        self._waiter: asyncio.Future[bool] | None = None
        self._due = 0.0  # the loop's clock, s
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        self._resolve(woken=True)

    def _resolve(self, *, woken: bool) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(woken)

    def fail(self, error: GatewayError) -> None:
        """Ends the request from our side, after what has arrived in order."""
        if self.failure is None:
            self.failure = error
            self.wake()

    def leave(self) -> None:
        """The client is gone."""
        self.left = True
        self.wake()

    @property
    def overflowing(self) -> bool:
        """Its client does not read. What arrives while somebody waits for it is not too much, however large."""
        return self._waiter is None and self.inbox.ready_bytes > MAILBOX_CAP_BYTES

    @property
    def unacknowledged_bytes(self) -> int:
        return self.inbox.delivered_bytes - self.acknowledged_bytes

    async def next(self, timeout_s: float | None = None) -> list[Delivery]:
        """What has arrived in order since the last call; waits for something.

        An empty list says that `timeout_s` passed or that the client left. Raises the failure when nothing is left.
        """
        while not (self.inbox.ready or self.failure or self.left):
            if not await self._wait(timeout_s):
                return []
        if self.left:
            return []
        ready = self.inbox.take()
        if not ready and self.failure is not None:
            raise self.failure
        return ready

    async def _wait(self, timeout_s: float | None) -> bool:
        """False if the time passed."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if timeout_s is not None:
            self._set_timer(loop, loop.time() + timeout_s)
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """One timer for many waits: it is moved by setting a number, and looks at that when it fires."""
        self._due = due
        if self._timer is None or self._timer.when() > due:
            self.stop_clock()
            self._timer = loop.call_at(due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if loop.time() < self._due:
            self._timer = loop.call_at(self._due, self._look, loop)
        else:
            self._resolve(woken=False)

    def stop_clock(self) -> None:
        """Nobody will call `next` again: the timer must not keep what it would look at."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def ended(self) -> bool:
        """A terminal frame has arrived in order."""
        return bool(self.inbox.ready) and self.inbox.ready[-1][0] in {Kind.END, Kind.ERROR}


def broken(why: str) -> GatewayError:
    """The error for an answer of which the client has a part."""
    return Unavailable(f"{why} What was received is not the whole answer: ask again.", code="stream_broken")
