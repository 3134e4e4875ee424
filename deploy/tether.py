"""Runs a command that ends when the process that started it ends, however that one ends.

A program of its own, because the wish to be killed with one's parent has to be made between fork and exec. Linux keeps
it over exec; elsewhere the command simply runs.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str]) -> list[str]:
    """`command` tethered to this process. To be started from the main thread: its end counts as the parent's."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(arguments: Sequence[str]) -> int:
    """Becomes the command, or returns 1 where the parent has gone already."""
    parent, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == int(parent):
        os.execv(command[0], command)  # noqa: S606  the command is our own
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
