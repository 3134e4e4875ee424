"""Puts the frames of one request into order, whatever was lost, doubled, late or sent by a worker that is not the one.

No I/O. A run of a job is (epoch, attempt); newer runs replace older ones as long as the client has seen nothing.
"""

from enum import Enum
from typing import Any

from shared.frames import Kind

_MOST_HELD_BYTES = 256 * 1024
Delivery = tuple[int, Any]
"""(kind, payload)"""


class Verdict(Enum):
    TAKEN = "taken"
    BEHIND = "behind"  # something before it is missing: ask for a replay
    REFUSED = "refused"  # its sender is not the one: tell it that nobody waits
    CONFLICT = "conflict"  # a newer attempt, but the client has seen content of the older: end with an error


class Inbox:
    """What is in order is taken from here; what was taken counts as used when more is asked for."""

    def __init__(self) -> None:
        self.epoch = 0
        self.newest_epoch = 0  # of the enqueues that were tried; whether the newest took place may not be known yet
        self.attempt = 0
        self.worker = ""
        self.expected = 0
        self.shown = False
        self.ready: list[Delivery] = []
        self.used = 0
        """Everything below this sequence the client has got, and the worker may forget it and send more."""
        self.used_bytes = 0
        self._taken = 0
        self._taken_bytes = 0
        self._held: dict[int, Delivery] = {}
        self._held_bytes = 0

    def begin_epoch(self, epoch: int) -> bool:
        """The request is known to be enqueued anew: nothing of earlier epochs counts. False if the client has meanwhile
        seen content of one: then that run goes on, and the new one is not wanted.
        """
        if epoch <= self.epoch:
            return True  # its first frames were faster than the queue's reply
        if self.shown:
            return False
        self._adopt(epoch, 0, "")
        return True

    def take(self) -> list[Delivery]:
        """What has become ready since the last call."""
        ready, self.ready = self.ready, []
        self._taken = self.expected
        self._taken_bytes += sum(map(_size, ready))
        return ready

    def use(self) -> None:
        """What was taken has been sent to the client."""
        self.used = self._taken
        self.used_bytes += self._taken_bytes
        self._taken_bytes = 0

    def _adopt(self, epoch: int, attempt: int, worker: str) -> None:
        self.epoch, self.attempt, self.worker = epoch, attempt, worker
        self.expected = self.used = self._taken = 0
        self.ready.clear()
        self._held.clear()
        self._held_bytes = 0

    def _pin(self, sender: str, epoch: int, attempt: int) -> Verdict:
        """Is this the run that we listen to? A newer one becomes it while nothing is shown."""
        run, current = (epoch, attempt), (self.epoch, self.attempt)
        if run == current and (sender == self.worker or not self.worker):
            self.worker = sender
            return Verdict.TAKEN
        if run <= current or epoch > self.newest_epoch:
            return Verdict.REFUSED
        if self.shown:  # a newer epoch we asked for ourselves, before the run that the client sees came back
            return Verdict.REFUSED if epoch > self.epoch else Verdict.CONFLICT
        self._adopt(epoch, attempt, sender)
        return Verdict.TAKEN

    def receive(self, sender: str, epoch: int, attempt: int, sequence: int, kind: int, payload: Any) -> Verdict:
        """Takes a frame; what is now in order is appended to `ready`."""
        verdict = self._pin(sender, epoch, attempt)
        if verdict is not Verdict.TAKEN or sequence < self.expected:
            return verdict
        if sequence > self.expected:
            self._hold(sequence, (kind, payload))
            return Verdict.BEHIND
        self._deliver((kind, payload))
        while self._held and (held := self._held.pop(self.expected, None)) is not None:
            self._held_bytes -= _size(held)
            self._deliver(held)
        return Verdict.BEHIND if self._held else Verdict.TAKEN

    def beacon(self, sender: str, epoch: int, attempt: int, next_sequence: int) -> Verdict:
        """The sender is alive and has sent everything below `next_sequence`."""
        verdict = self._pin(sender, epoch, attempt)
        if verdict is Verdict.TAKEN and next_sequence > self.expected:
            return Verdict.BEHIND
        return verdict

    def _deliver(self, delivery: Delivery) -> None:
        self.expected += 1
        if not self.shown and delivery[0] in {Kind.CHUNK, Kind.RESULT}:
            self.shown = True
        self.ready.append(delivery)

    def _hold(self, sequence: int, delivery: Delivery) -> None:
        """What does not fit is dropped: the replay brings it again."""
        size = _size(delivery)
        if sequence not in self._held and self._held_bytes + size <= _MOST_HELD_BYTES:
            self._held[sequence] = delivery
            self._held_bytes += size


def _size(delivery: Delivery) -> int:
    return len(delivery[1]) if isinstance(delivery[1], bytes) else 64
