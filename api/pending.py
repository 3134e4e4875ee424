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
        "_size",
        "_timer",
        "_waiter",
        "acknowledged",
        "asked_at",
        "born",
        "envelope",
        "failure",
        "heard_at",
        "inbox",
        "left",
        "number",
        "received_bytes",
        "rid",
        "sent",
    )

    def __init__(self, number: int, rid: str, envelope: JobEnvelope, now: float) -> None:
        self.number = number
        self.rid = rid
        self.envelope: JobEnvelope | None = envelope
        self.born = time.perf_counter()
        self.inbox = Inbox()
        self.sent = False  # an enqueue was written to Redis, whether or not it arrived
        self.heard_at = now  # the loop's clock, s: last sign that the request is alive
        self.asked_at = 0.0
        self.acknowledged = 0
        self.received_bytes = 0  # since the last acknowledgement
        self.failure: GatewayError | None = None
        self.left = False
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._due = 0.0  # the loop's clock, s
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def fail(self, error: GatewayError) -> None:
        """Ends the request from our side, after what has arrived in order."""
        if self.failure is None:
            self.failure = error
            self.wake()

    def leave(self) -> None:
        """The client is gone."""
        self.left = True
        self.wake()

    def note(self, payload: object) -> None:
        """Counts what waits for a client; one that does not read ends with an error rather than fill our memory."""
        if isinstance(payload, bytes):
            self._size += len(payload)
            self.received_bytes += len(payload)

    @property
    def overflowing(self) -> bool:
        return self._size > MAILBOX_CAP_BYTES

    async def next(self, timeout_s: float | None = None) -> list[Delivery]:
        """What has arrived in order since the last call; waits for something.

        An empty list says that `timeout_s` passed or that the client left. Raises the failure when nothing is left.
        """
        if not (self.inbox.ready or self.failure or self.left):
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            if timeout_s is not None:
                self._set_timer(loop, loop.time() + timeout_s)
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.left:
            return []
        ready, self.inbox.ready = self.inbox.ready, []
        self._size = 0
        if not ready and self.failure is not None:
            raise self.failure
        return ready

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
            self.wake()

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
