"""Runs a command that ends when the process that started it ends, however that one ends.

A program of its own, because the wish to end with one's parent has to be made between fork and exec. Linux keeps
it over exec; elsewhere the command simply runs.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str], number: signal.Signals) -> list[str]:
    """`command`, which gets signal `number` when this process ends. To be started from the main thread: its end counts
    as the parent's.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(number)), *command]


def main(arguments: Sequence[str]) -> int:
    """Becomes the command, or returns 1 where the parent has gone already."""
    parent, number, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() == int(parent):
        os.execv(command[0], command)  # noqa: S606  the command is our own
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
