"""One answer on its way out: its frames, numbered, kept until the client has got them, and never too many."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shared.errors import GatewayError
from shared.frames import MOST_PUBLISH_BYTES, PART_BYTES, Kind, Triple, encode_frame
from shared.names import split_rid

if TYPE_CHECKING:
    from worker.publisher import Publisher

OUTLET_CAP_BYTES = 512 * 1024
"""How far a stream may be ahead of its client: more than a fast network holds, and little enough for slow clients."""
WORKER_CAP_BYTES = 512 * 1024 * 1024
_MODEST_BYTES = 64 * 1024
"""What a stream may hold all the same when others have filled the worker."""


class Outlet:
    """The frames of one run of a job. The caller emits, and awaits `drain` while `full`."""

    def __init__(self, publisher: "Publisher", triple: Triple) -> None:
        self.triple = triple
        self.front, self.number = split_rid(triple[0])
        self.shown = False
        self.closed = False
        self.finished_at: float | None = None
        self.next_sequence = 0
        self.size = 0
        self._kept: deque[bytes] = deque()
        self._publisher = publisher
        self._room: asyncio.Event | None = None

    @property
    def full(self) -> bool:
        return self.size > (OUTLET_CAP_BYTES if self._publisher.size <= WORKER_CAP_BYTES else _MODEST_BYTES)

    async def drain(self) -> None:
        """Until the client has got enough: the upstream is not read meanwhile."""
        while self.full and not self.closed:
            self._room = asyncio.Event()
            await self._room.wait()

    def start(self, **about: Any) -> None:
        """Says who answers: provider, attempts, queue_ms. Call it just before the first content."""
        self._send(Kind.START, about)

    async def stream(self, events: bytes) -> None:
        """Ready SSE events, in parts, as fast as the front takes them."""
        for part in [events] if len(events) <= PART_BYTES else _parts(events):
            self.emit(part)
            if self.full:
                await self.drain()

    def emit(self, events: bytes) -> None:
        """Ready SSE events; the first call is the first content."""
        first = not self.shown
        self._show()
        self._send(Kind.CHUNK, events, urgent=first)

    async def result(self, body: bytes) -> None:
        """A whole answer, in parts, as fast as the front takes them."""
        self._show()
        for i in range(0, len(body), PART_BYTES):
            self._send(Kind.RESULT, body[i : i + PART_BYTES])
            await self.drain()

    def end(self, **about: Any) -> None:
        """The answer is complete. `done` says that the upstream's own end marker was seen."""
        self._close(Kind.END, about)

    def error(self, error: GatewayError) -> None:
        self._close(Kind.ERROR, error.to_data())

    def _show(self) -> None:
        if not self.shown:
            self.shown = True
            self._publisher.mark_shown(self)

    def _close(self, kind: Kind, payload: Any) -> None:
        if not self.closed:
            self._send(kind, payload)
            self.closed = True

    def _send(self, kind: Kind, payload: Any, *, urgent: bool = True) -> None:
        if self.closed:
            return
        _, epoch, attempt = self.triple
        frame = encode_frame(self.number, epoch, attempt, self.next_sequence, kind, payload)
        self.next_sequence += 1
        self._kept.append(frame)
        self.size += len(frame)
        self._publisher.queue(self.front, frame, len(frame), urgent=urgent)

    def replay(self, sequence: int) -> None:
        """Sends again from `sequence`, at most one PUBLISH of it; the front asks for the rest when it has that."""
        sent = 0
        first_kept = self.next_sequence - len(self._kept)
        for i, frame in enumerate(self._kept):
            if first_kept + i < sequence:
                continue
            sent += len(frame)
            if sent > MOST_PUBLISH_BYTES and sent > len(frame):
                return
            self._publisher.queue(self.front, frame, 0, urgent=True)

    def acknowledge(self, next_sequence: int) -> None:
        """Frees all frames below `next_sequence`."""
        freed = 0
        kept = self._kept
        for _ in range(min(len(kept), next_sequence - (self.next_sequence - len(kept)))):
            freed += len(kept.popleft())
        self.release(freed)

    def discard(self) -> None:
        """Nobody will ask for these frames any more."""
        self.closed = True
        self._kept.clear()
        self.release(self.size)

    def release(self, freed: int) -> None:
        self.size -= freed
        self.wake()
        self._publisher.release(freed)

    def wake(self) -> None:
        """There may be room."""
        if self._room is not None:
            self._room.set()

    @property
    def unacknowledged(self) -> int:
        return len(self._kept)


def _parts(events: bytes) -> Iterable[bytes]:
    """Cut after an event where there is one that ends in time: what breaks off there is whole events."""
    start = 0
    while start < len(events):
        end = start + PART_BYTES
        last = events.rfind(b"\n\n", start, end)
        if end < len(events) and last >= 0:
            end = last + 2
        yield events[start:end]
        start = end
