"""What workers are still to be told of their frames, so that they free them, send more, or stop."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from shared.frames import Triple

_NOBODY_WAITS: Final = -1


class Acknowledgements:
    """One number for each run of a job: however long nothing can be sent, no more than that is kept."""

    def __init__(self) -> None:
        self._told: defaultdict[str, dict[Triple, int]] = defaultdict(dict)

    def used(self, worker: str, run: Triple, next_sequence: int) -> None:
        """The client has got everything below `next_sequence`."""
        self._told[worker][run] = next_sequence

    def refuse(self, worker: str, run: Triple) -> None:
        """Nobody waits for this run, nor will."""
        self._told[worker][run] = _NOBODY_WAITS

    def take(self, worker: str) -> list[tuple[str, int, int, int]]:
        """What the worker is to be told: (rid, epoch, attempt, next sequence)."""
        return [(*run, next_sequence) for run, next_sequence in self._told.pop(worker, {}).items()]

    def workers(self) -> Iterator[str]:
        """Those with something to be told; it may be taken meanwhile."""
        return iter(list(self._told))

    def give_back(self, worker: str, entries: list[tuple[str, int, int, int]]) -> None:
        """It could not be sent."""
        for rid, epoch, attempt, next_sequence in entries:
            self._told[worker].setdefault((rid, epoch, attempt), next_sequence)
