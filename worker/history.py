"""What a request has tried so far. It goes with a parked job, so that its bounds hold over all of its runs."""

import time
from dataclasses import dataclass
from typing import Self

from worker.faults import Fault


@dataclass(slots=True)
class History:
    """`attempts` were made, the first at `first_ms` (unix, 0: none yet); `counted` of them count against the bound."""

    attempts: int = 0
    counted: int = 0
    first_ms: int = 0

    @classmethod
    def decode(cls, note: str) -> Self:
        """From a job's note; empty for a job's first run."""
        return cls(*map(int, note.split(":"))) if note else cls()

    def encode(self) -> str:
        return f"{self.attempts}:{self.counted}:{self.first_ms}"

    def begin(self) -> None:
        self.attempts += 1
        self.first_ms = self.first_ms or time.time_ns() // 1_000_000

    def count(self, fault: Fault) -> None:
        """A rate limit only makes a request wait, which its deadline bounds; every other failure is counted."""
        if fault is not Fault.RATE_LIMITED:
            self.counted += 1

    @property
    def elapsed_s(self) -> float:
        """Since the first attempt."""
        return (time.time_ns() // 1_000_000 - self.first_ms) / 1000 if self.first_ms else 0.0
