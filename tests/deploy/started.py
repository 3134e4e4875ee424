"""A running `penstock up` for tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

import psutil

from tests.servers import Logged, Process, free_port, wait_until

PENSTOCK: Final = [sys.executable, "-P", "-m", "deploy.cli"]


class Up:
    """`penstock up` in an empty folder, ready. Its state folder is that of the test."""

    def __init__(self, folder: Path, *options: str, environ: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        # One for all that are started in `folder`; elsewhere, because a unix socket's path has to be short.
        self.runtime = Path(tempfile.gettempdir()) / f"runtime-{blake2b(bytes(folder), digest_size=6).hexdigest()}"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        own = {"XDG_RUNTIME_DIR": str(self.runtime), "PENSTOCK_METRICS_PORT": "0"}
        command = [*PENSTOCK, "up", "--port", str(self.port), *options]
        self.process = Process(command, folder, f"up-{self.port}", {**os.environ, **own, **(environ or {})})
        wait_until("penstock up", Logged(self.process, "Ctrl-C stops it."), self.process)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    @property
    def printed(self) -> str:
        return self.process.log()

    def named(self, module: str) -> list[psutil.Process]:
        """Its running processes of `python -m MODULE`, or of a program of that name."""
        running = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in running if _is(process, module)]

    def survivors(self) -> list[psutil.Process]:
        """Processes that are still there a moment after `up` has gone."""
        _, alive = psutil.wait_procs(self.family, timeout=10)
        return alive

    def close(self) -> None:
        self.process.kill()
        shutil.rmtree(self.runtime, ignore_errors=True)


def _is(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline() or module in process.name()
    except psutil.NoSuchProcess:  # or it is a zombie
        return False


def penstock(
    *arguments: str, folder: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end."""
    return subprocess.run(
        [*PENSTOCK, *arguments],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
