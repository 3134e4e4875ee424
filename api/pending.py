"""One request that waits for its answer: its inbox, what the client has yet to be given, and its clocks."""

import asyncio
import time
from collections.abc import Callable

from api.inbox import Delivery, Inbox
from shared.errors import GatewayError, Unavailable
from shared.frames import JobEnvelope, Kind

_ACKNOWLEDGE_BYTES = 128 * 1024


PassOn = Callable[[list[Delivery]], bool]
"""True if it has given all of them to the client."""


class Pending:
    """`envelope` is held until the client has seen something, for until then the request can be enqueued again.

    `make_room` is called when the client has got so much that the worker should not wait to hear of it.
    """

    __slots__ = (
        "_due",
        "_make_room",
        "_pass_on",
        "_timeout_s",
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

    def __init__(
        self, number: int, rid: str, envelope: JobEnvelope, now: float, make_room: "Callable[[Pending], None]"
    ) -> None:
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
        self._make_room = make_room
        self._pass_on: PassOn | None = None
        self._timeout_s = 0.0
        self._waiter: asyncio.Future[bool] | None = None
        self._due = 0.0  # the loop's clock, s
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Something is ready, or there is a failure, or the client has left."""
        if self._pass_on is not None and not (self.failure or self.left) and self._pass_on(self.inbox.ready):
            self.inbox.take()
            self._note_used()
            self._due = asyncio.get_running_loop().time() + self._timeout_s
        else:
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

    async def next(self, timeout_s: float | None = None, pass_on: PassOn | None = None) -> list[Delivery]:
        """What has arrived in order since the last call; waits for something. What that call gave is then used.

        What arrives while it waits is offered to `pass_on` first, which saves waking a task: if that takes it, and says
        so, the waiting begins anew. An empty list says that `timeout_s` passed or that the client left. Raises the
        failure when nothing is left.
        """
        self._note_used()
        while not (self.inbox.ready or self.failure or self.left):
            self._pass_on = pass_on
            try:
                if not await self._wait(timeout_s):
                    return []
            finally:
                self._pass_on = None
        if self.left:
            return []
        ready = self.inbox.take()
        if not ready and self.failure is not None:
            raise self.failure
        return ready

    def _note_used(self) -> None:
        self.inbox.use()
        if self.inbox.used_bytes - self.acknowledged_bytes > _ACKNOWLEDGE_BYTES:
            self._make_room(self)

    async def _wait(self, timeout_s: float | None) -> bool:
        """False if the time passed."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if timeout_s is not None:
            self._timeout_s = timeout_s
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
