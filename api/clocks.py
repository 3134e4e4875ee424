"""A front's clocks: what is done about requests that nothing is heard of.

They run only while Redis answers on both connections, counted from the last time that these came up, or that this
process stood still: in an outage silence proves nothing.
"""

import asyncio
import time

from api.pending import broken
from api.relay import Relay
from shared import scripts
from shared.bus import Bus, BusDown, CommandRefused
from shared.errors import GatewayError, Unavailable

_TICK_S = 0.5
_DOUBT_S = 1.5
_UNKNOWN_S = 2.5
_SILENCE_S = 5.0
_STOOD_STILL_S = 0.5  # this process itself: what it did not hear meanwhile is on its way
_LONGEST_OUTAGE_S = 120.0
_OVERDUE_MS = 1000
_UNKNOWN = 0  # STATUS: neither queued nor running


class Clocks:
    def __init__(self, bus: Bus, relay: Relay) -> None:
        self._bus = bus
        self._relay = relay
        self._down_since: float | None = None  # the loop's clock, s

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            slept_at = loop.time()
            await asyncio.sleep(_TICK_S)
            self._note_pause(loop.time(), slept_at)
            if self._bus.connected:
                self._relay.cancel_again()
                self._relay.send_acknowledgements()
                await self._look_after(self._bus.heard_at)
            self._refuse_overdue(self._bus.heard_at)
            self._give_up_in_outage(loop.time())

    def _note_pause(self, now: float, slept_at: float) -> None:
        if now - slept_at > _TICK_S + _STOOD_STILL_S:
            self._relay.steady_since = now

    async def _look_after(self, now: float) -> None:
        """`now` is when Redis was last heard: while it is frozen no silence counts."""
        doubtful = []
        for pending in self._relay.pending.values():
            silence_s = self._silence_s(pending.heard_at, now)
            if not pending.inbox.shown:
                if silence_s > _DOUBT_S:
                    doubtful.append(pending)
            elif silence_s > _SILENCE_S and not pending.ended:
                pending.fail(broken("The worker that streamed this answer has fallen silent."))
        if not doubtful:
            return
        try:
            known = await self._bus.run(scripts.STATUS, args=[pending.rid for pending in doubtful])
        except (BusDown, CommandRefused):
            return
        for pending, status in zip(doubtful, known, strict=True):
            if status != _UNKNOWN:
                pending.heard_at = now
            elif self._silence_s(pending.heard_at, now) > _UNKNOWN_S:
                self._relay.enqueue_anew(pending)

    def _silence_s(self, heard_at: float, now: float) -> float:
        return now - max(heard_at, self._relay.steady_since)

    def _give_up_in_outage(self, now: float) -> None:
        """Short outages are survived; nobody waits for ever for a Redis that does not come back."""
        if self._bus.connected:
            self._down_since = None
            return
        self._down_since = now if self._down_since is None else self._down_since
        if now - self._down_since < _LONGEST_OUTAGE_S:
            return
        for pending in self._relay.pending.values():
            if not pending.ended:
                pending.fail(_away(shown=pending.inbox.shown))

    def _refuse_overdue(self, now: float) -> None:
        """What nobody took in time is refused here, for there may be no worker to do it, or no Redis."""
        now_ms = time.time_ns() // 1_000_000
        for pending in self._relay.pending.values():
            envelope = pending.envelope
            if envelope is None or now_ms <= envelope.deadline_ms + _OVERDUE_MS:
                continue
            if not pending.inbox.worker:
                pending.fail(_overdue("No worker", "Unless Redis failed meanwhile, no upstream was asked"))
            elif self._silence_s(pending.served_at, now) > _SILENCE_S:
                pending.fail(_overdue("After one that is gone no worker", "An upstream may have processed the request"))


def _overdue(who: str, done: str) -> Unavailable:
    return Unavailable(f"{who} took the request in time. {done}: send it again.", code="queue_timeout", retry_after_s=5)


def _away(*, shown: bool) -> GatewayError:
    if shown:
        return broken("The gateway's queue is away.")
    message = "The gateway's queue is away. An upstream may have processed the request: try again later."
    return Unavailable(message, code="queue_unavailable", retry_after_s=10)
