"""Takes all frames for this front process and gives each request its own; finds out what went missing.

The front is the durable owner of a request: Redis may lose it, a worker may die under it, and it is enqueued again as
long as the client has seen nothing of an answer. What has been seen is never followed by anything but its own rest or
an error.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

from api.acknowledgements import Acknowledgements
from api.inbox import Verdict
from api.pending import Pending, broken
from shared import scripts
from shared.bus import Argument, Bus, BusDown, CommandRefused, NotRun
from shared.catalogue import QueuePolicy
from shared.errors import BadUpstream, GatewayError, Unavailable
from shared.frames import JobEnvelope, Kind, decode_batch, encode_control
from shared.names import control_channel, response_channel

_REPLAY_EVERY_S = 0.2
_OUTAGE_WAITED_S = 5.0


class Relay:
    """`counts` are plain numbers for the metrics: frames, gaps, replays, refused, requeued, lost."""

    def __init__(self, bus: Bus) -> None:
        self.front = "f" + secrets.token_hex(5)
        self.pending: dict[int, Pending] = {}
        self.counts: Counter[str] = Counter()
        self.steady_since = 0.0  # the loop's clock, s: both connections are up since then
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._acknowledgements = Acknowledgements()
        self._cancels: list[str] = []
        self._down_since: float | None = self._loop.time()
        self._policy = QueuePolicy()
        bus.add_scripts(scripts.ENQUEUE, scripts.CANCEL, scripts.STATUS)
        bus.subscribe(response_channel(self.front), self._on_message)
        bus.on_up.append(self._on_up)

    # ---- requests

    async def submit(self, envelope: Callable[[str], JobEnvelope], policy: QueuePolicy) -> Pending:
        """Registers the request, then enqueues it; `envelope` makes its envelope from its rid.

        Raises Unavailable when the queue is full or refuses.
        """
        self._policy = policy
        self._refuse_in_outage()
        self._number += 1
        rid = f"{self.front}.{self._number}"
        pending = Pending(self._number, rid, envelope(rid), self._loop.time(), self._make_room)
        self.pending[pending.number] = pending
        try:
            await self._enqueue(pending)
        except BusDown:
            pass  # it may have been enqueued or not; the clocks below find out
        except BaseException:
            del self.pending[pending.number]
            raise
        return pending

    def _refuse_in_outage(self) -> None:
        """A short outage is waited out; in a long one requests would only pile up. Raises Unavailable."""
        if self._bus.up.is_set():
            self._down_since = None
            return
        now = self._loop.time()
        self._down_since = self._down_since or now
        waiting = [pending.envelope for pending in self.pending.values() if pending.envelope is not None]
        full = len(waiting) >= self._policy.max_depth or sum(map(_size, waiting)) >= self._policy.max_bytes
        if full or now - self._down_since > _OUTAGE_WAITED_S:
            raise Unavailable("The queue cannot be reached. Try again.", code="queue_unavailable", retry_after_s=2)

    async def _enqueue(self, pending: Pending) -> None:
        """Enqueues in the newest epoch. Raises BusDown, or Unavailable when the queue refuses the request."""
        if pending.number not in self.pending or pending.envelope is None:
            return  # it has ended before this was due
        epoch = pending.inbox.newest_epoch
        args: list[Argument] = [
            pending.rid,
            pending.envelope.encode(epoch),
            self._policy.max_depth,
            self._policy.max_bytes,
            int(epoch > 0),
        ]
        reply = self._bus.run(scripts.ENQUEUE, args=args)
        pending.sent = True
        try:
            answer = await reply
        except NotRun:
            pending.sent = False  # the next connection takes it
            raise
        except CommandRefused as error:
            raise _refusal(error) from error
        if answer < 0:
            raise Unavailable("The queue is full. Try again shortly.", code="queue_full", retry_after_s=1)
        if answer == 1 and not pending.inbox.begin_epoch(epoch):
            self._cancel(pending.rid)  # the run that had been given up has come back, and is what the client sees

    def finish(self, pending: Pending, *, complete: bool) -> None:
        """The client has got all there is, or, not `complete`, is gone or was given an error of ours."""
        self.pending.pop(pending.number, None)
        pending.stop_clock()
        if complete:
            pending.inbox.use()
            self._acknowledge(pending)
        else:
            self._cancel(pending.rid)

    def _cancel(self, rid: str) -> None:
        def check(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is not None:
                self._cancels.append(rid)

        try:
            self._bus.run(scripts.CANCEL, args=[rid]).add_done_callback(check)
        except BusDown:
            self._cancels.append(rid)

    def cancel_again(self) -> None:
        """What Redis did not hear: a queued request whose client has left must not reach an upstream."""
        cancels, self._cancels = self._cancels, []
        for rid in cancels:
            self._cancel(rid)

    # ---- frames

    def _on_message(self, message: bytes) -> None:
        sender, *frames = decode_batch(message)
        ready: set[Pending] = set()
        for number, epoch, attempt, sequence, kind, payload in frames:
            if kind == Kind.BEACON:
                for entry in payload:
                    self._on_beacon(sender, *entry)
                continue
            pending = self.pending.get(number)
            if pending is None:
                continue  # the next beacon of its sender is told that nobody waits
            if kind == Kind.LOST:
                self._on_lost(pending, epoch, attempt, payload)
            else:
                self._on_frame(pending, sender, epoch, attempt, sequence, kind, payload)
                ready.add(pending)
        for pending in ready:
            if pending.inbox.ready:
                pending.wake()

    def _on_frame(
        self, pending: Pending, sender: str, epoch: int, attempt: int, sequence: int, kind: int, payload: Any
    ) -> None:
        inbox = pending.inbox
        verdict = inbox.receive(sender, epoch, attempt, sequence, kind, payload)
        self.counts["frames"] += 1
        if verdict is Verdict.TAKEN or verdict is Verdict.BEHIND:
            pending.heard_at = pending.served_at = self._loop.time()
            if inbox.shown:
                pending.envelope = None
        if verdict is not Verdict.TAKEN:
            self._act(verdict, pending, sender, epoch, attempt)

    def _on_beacon(self, sender: str, number: int, epoch: int, attempt: int, next_sequence: int) -> None:
        pending = self.pending.get(number)
        if pending is None:
            self._refuse(sender, f"{self.front}.{number}", epoch, attempt)
            return
        verdict = pending.inbox.beacon(sender, epoch, attempt, next_sequence)
        if verdict is Verdict.TAKEN or verdict is Verdict.BEHIND:
            pending.heard_at = pending.served_at = self._loop.time()
            pending.acknowledged = (0, 0, 0)  # once more: the worker, who may wait for it, may not have heard it
        if verdict is not Verdict.TAKEN:
            self._act(verdict, pending, sender, epoch, attempt)

    def _act(self, verdict: Verdict, pending: Pending, sender: str, epoch: int, attempt: int) -> None:
        if verdict is Verdict.BEHIND:
            self.counts["gaps"] += 1
            self._ask_replay(pending)
            return
        self.counts["refused"] += 1
        self._refuse(sender, pending.rid, epoch, attempt)
        if verdict is Verdict.CONFLICT:
            pending.fail(broken("The answer was begun anew after a part of it had been sent."))

    def _on_lost(self, pending: Pending, epoch: int, attempt: int, reason: str) -> None:
        """The reaper buried the worker that ran it."""
        run, current = (epoch, attempt), (pending.inbox.epoch, pending.inbox.attempt)
        if run < current or (pending.inbox.shown and run != current):
            return
        self.counts["lost"] += 1
        if reason == "poison":
            pending.fail(BadUpstream("Three worker processes died while they ran this request; it is not tried again."))
        elif pending.inbox.shown:
            pending.fail(broken("The worker that streamed this answer died."))
        else:
            self.enqueue_anew(pending)

    # ---- what we tell workers

    def _ask_replay(self, pending: Pending) -> None:
        now = self._loop.time()
        inbox = pending.inbox
        if now - pending.asked_at < _REPLAY_EVERY_S:
            return
        pending.asked_at = now
        self.counts["replays"] += 1
        self._tell(inbox.worker, "replay", pending.rid, inbox.epoch, inbox.attempt, inbox.expected)

    def _make_room(self, pending: Pending) -> None:
        """Its client reads fast: the worker, who sends only so much beyond that, may wait for it."""
        self._acknowledge(pending)
        self._send_acknowledgements(pending.inbox.worker)

    def _acknowledge(self, pending: Pending) -> None:
        """What the client has got, not what has arrived here: so a client that reads slowly slows its upstream down."""
        inbox = pending.inbox
        used = (inbox.epoch, inbox.attempt, inbox.used)
        if inbox.worker and inbox.used and used != pending.acknowledged:
            pending.acknowledged, pending.acknowledged_bytes = used, inbox.used_bytes
            self._acknowledgements.used(inbox.worker, (pending.rid, inbox.epoch, inbox.attempt), inbox.used)

    def _refuse(self, worker: str, rid: str, epoch: int, attempt: int) -> None:
        self._acknowledgements.refuse(worker, (rid, epoch, attempt))

    def _tell(self, worker: str, verb: str, *arguments: Any) -> bool:
        try:
            self._bus.post("PUBLISH", control_channel(worker), encode_control(verb, *arguments))
        except BusDown:
            return False
        return True

    # ---- what clocks and outages bring

    def enqueue_anew(self, pending: Pending) -> None:
        """In a new epoch, unless the request has ended meanwhile."""
        if pending.number not in self.pending or pending.inbox.shown or pending.envelope is None:
            return
        self.counts["requeued"] += 1
        pending.heard_at = self._loop.time()
        pending.inbox.newest_epoch += 1
        self._spawn_enqueue(pending)

    def _spawn_enqueue(self, pending: Pending) -> None:
        task = self._loop.create_task(self._enqueue(pending))
        task.add_done_callback(lambda done: note_refusal(done, pending))

    def send_acknowledgements(self) -> None:
        for pending in self.pending.values():
            self._acknowledge(pending)
        for worker in self._acknowledgements.workers():
            self._send_acknowledgements(worker)

    def _send_acknowledgements(self, worker: str) -> None:
        entries = self._acknowledgements.take(worker)
        if entries and not self._tell(worker, "acknowledge", entries):
            self._acknowledgements.give_back(worker, entries)

    def _on_up(self, which: str) -> None:
        self.steady_since = self._loop.time()
        if which != "subscriber":
            self._down_since = None
            self.cancel_again()
            for pending in self.pending.values():
                if not pending.sent:
                    self._spawn_enqueue(pending)
            return
        for pending in self.pending.values():
            if pending.inbox.worker:
                pending.asked_at = 0.0
                self._ask_replay(pending)


def _refusal(error: CommandRefused) -> Unavailable:
    if str(error).startswith("OOM"):
        return Unavailable("The queue's memory is full. Try again.", code="queue_full", retry_after_s=2)
    return Unavailable("The queue takes no requests now. Try again.", code="queue_unavailable", retry_after_s=2)


def _size(envelope: JobEnvelope) -> int:
    return len(envelope.body)


def note_refusal(task: asyncio.Task[None], pending: Pending) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, GatewayError):
        pending.fail(error)
