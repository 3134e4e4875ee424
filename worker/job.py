"""One claimed job, from claim to finish."""

import asyncio
from dataclasses import dataclass, field

from shared.frames import JobEnvelope, Triple
from worker.outlet import Outlet


@dataclass(slots=True, eq=False)
class Job:
    """`out` takes the answer's frames; `cancelled` says why nobody wants it any more."""

    triple: Triple
    envelope: JobEnvelope
    score: str
    note: str  # what an earlier run that was parked left for this one
    out: Outlet
    claimed_at: float  # the loop's clock, s
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    began: bool = False
    cancelled: str = ""

    def cancel(self, why: str) -> None:
        """Once: what it does at its end is not disturbed. A task that did not begin yet finds out for itself, for
        cancelling it would leave out its end.
        """
        if not self.cancelled:
            self.cancelled = why
            if self.began and self.task is not None:
                self.task.cancel()


class Park(Exception):
    """Raised by a job function: give the job back; it returns to the queue, in its old place, after `wait_s`.

    Whoever runs it then finds `note` in the job.
    """

    def __init__(self, wait_s: float, note: str = "") -> None:
        super().__init__(f"wait {wait_s:.3f} s")
        self.wait_s = wait_s
        self.note = note
