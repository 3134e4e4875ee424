"""Frames out: numbered, kept until the client has got them, sent again when a front asks, with bounded memory.

All frames for one front that arise in one turn of the event loop leave in one PUBLISH. A busy worker sends at most one
in two milliseconds, which spares Redis and the front most of their wake-ups; but how an answer begins and ends waits
for nothing, nor does what comes when that long nothing was sent. A frame that Redis does not take now is not lost: it
stays in its outlet, and the next beacon tells the front what it misses.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from shared import scripts
from shared.bus import Bus, BusDown, CommandRefused
from shared.frames import MOST_PUBLISH_BYTES, Kind, Triple, encode_batch, encode_frame
from shared.names import response_channel
from worker.outlet import WORKER_CAP_BYTES, Outlet

_PACE_S = 0.002
_FINISHED_KEPT_S = 60.0
_BEACON_ENTRIES = 4000


class Publisher:
    """All outlets of one worker process. `cancel` is called with a triple that no front waits for."""

    def __init__(self, bus: Bus, worker: str, cancel: Callable[[Triple, str], None]) -> None:
        self.size = 0
        self.outlets: dict[Triple, Outlet] = {}
        self.frames_sent = 0
        self.replays = 0
        self._emptied = asyncio.Event()
        self._bus = bus
        self._worker = worker
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._pending: dict[str, list[bytes]] = {}
        self._scheduled = False
        self._paced: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0  # the loop's clock, s
        self._deaf: dict[str, int] = {}
        self._counting_from = 0.0

    def release(self, freed: int) -> None:
        was_full = self.size > WORKER_CAP_BYTES
        self.size -= freed
        if was_full and self.size <= WORKER_CAP_BYTES:
            for outlet in self.outlets.values():
                outlet.wake()

    def open(self, triple: Triple) -> Outlet:
        outlet = self.outlets[triple] = Outlet(self, triple)
        return outlet

    def finish(self, outlet: Outlet) -> None:
        """The run is over; its frames stay until acknowledged."""
        outlet.closed = True
        outlet.finished_at = self._loop.time()
        if not outlet.unacknowledged:
            self._forget(outlet)

    def _forget(self, outlet: Outlet) -> None:
        outlet.discard()
        self.outlets.pop(outlet.triple, None)
        if not self.outlets:
            self._emptied.set()

    async def emptied(self, timeout_s: float) -> None:
        """Until all frames are acknowledged, but at most `timeout_s`."""
        self._emptied.clear()
        if self.outlets:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), timeout_s)

    def mark_shown(self, outlet: Outlet) -> None:
        """Tells Redis, on the connection on which the content follows, that this job must not run again."""
        rid, epoch, attempt = outlet.triple
        try:
            self._bus.post_script(scripts.SHOWN, args=[self._worker, rid, f"{epoch}:{attempt}"])
        except BusDown:
            return  # re-registration after the outage carries the state

    def queue(self, front: str, frame: bytes, new_bytes: int, *, urgent: bool) -> None:
        self.size += new_bytes
        self._pending.setdefault(front, []).append(frame)
        if self._scheduled or (self._paced is not None and not urgent):
            return
        due = self._flushed_at + _PACE_S
        if urgent or self._loop.time() >= due:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        else:
            self._paced = self._loop.call_at(due, self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._paced is not None:
            self._paced.cancel()
            self._paced = None
        self._flushed_at = self._loop.time()
        pending, self._pending = self._pending, {}
        for front, frames in pending.items():
            self.frames_sent += len(frames)
            for batch in [frames] if len(frames) == 1 else _batches(frames):
                try:
                    self._bus.post("PUBLISH", response_channel(front), encode_batch(self._worker, batch))
                except BusDown:
                    break  # kept in their outlets; beacons make the front ask

    # ---- what fronts say

    def on_acknowledge(self, entries: Iterable[tuple[str, int, int, int]]) -> None:
        for rid, epoch, attempt, next_sequence in entries:
            outlet = self.outlets.get((rid, epoch, attempt))
            if outlet is None:
                continue
            if next_sequence < 0:
                self._abandon(outlet, "the front does not know the request")
                continue
            outlet.acknowledge(next_sequence)
            if outlet.finished_at is not None and not outlet.unacknowledged:
                self._forget(outlet)

    def on_replay(self, triple: Triple, sequence: int) -> None:
        outlet = self.outlets.get(triple)
        if outlet is not None:
            self.replays += 1
            outlet.replay(sequence)

    def _abandon(self, outlet: Outlet, why: str) -> None:
        running = outlet.finished_at is None
        self._forget(outlet)
        if running:
            self._cancel(outlet.triple, why)

    # ---- beacons

    def reconnected(self) -> None:
        """Fronts are resubscribing as well: only silence that lasts counts against them."""
        now = self._loop.time()
        if self.outlets:
            self._counting_from = now + 5.0
        self._deaf.clear()
        for outlet in self.outlets.values():
            outlet.finished_at = outlet.finished_at and now

    async def send_beacons(self) -> None:
        """Once a second: what exists and how far it is. A front that nobody is behind for three of them is dead."""
        self._expire_finished()
        self._flush()  # a beacon must not overtake the frames it counts
        fronts: dict[str, list[tuple[int, int, int, int]]] = {}
        for outlet in self.outlets.values():
            _, epoch, attempt = outlet.triple
            fronts.setdefault(outlet.front, []).append((outlet.number, epoch, attempt, outlet.next_sequence))
        self._deaf = {front: misses for front, misses in self._deaf.items() if front in fronts}
        for front, entries in fronts.items():
            try:
                receivers = [await future for future in self._beacons(front, entries)]
            except (BusDown, CommandRefused):
                return
            self._note_receivers(front, max(receivers))

    def _beacons(self, front: str, entries: list[tuple[int, int, int, int]]) -> list[asyncio.Future[int]]:
        return [
            self._bus.command(
                "PUBLISH",
                response_channel(front),
                encode_batch(self._worker, [encode_frame(0, 0, 0, 0, Kind.BEACON, entries[i : i + _BEACON_ENTRIES])]),
            )
            for i in range(0, len(entries), _BEACON_ENTRIES)
        ]

    def _note_receivers(self, front: str, receivers: int) -> None:
        if receivers or self._loop.time() < self._counting_from:
            self._deaf.pop(front, None)
            return
        self._deaf[front] = self._deaf.get(front, 0) + 1
        if self._deaf[front] >= 3:  # noqa: PLR2004  three beacons in a row
            for outlet in [o for o in self.outlets.values() if o.front == front]:
                self._abandon(outlet, "the front is gone")

    def _expire_finished(self) -> None:
        horizon = self._loop.time() - _FINISHED_KEPT_S
        for outlet in [o for o in self.outlets.values() if o.finished_at is not None and o.finished_at < horizon]:
            self._forget(outlet)


def _batches(frames: list[bytes]) -> Iterable[list[bytes]]:
    """Cuts frames into groups below the size that one PUBLISH may have."""
    batch: list[bytes] = []
    size = 0
    for frame in frames:
        if batch and size + len(frame) > MOST_PUBLISH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(frame)
        size += len(frame)
    if batch:
        yield batch
