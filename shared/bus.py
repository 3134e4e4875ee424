"""A process' way to Redis: one auto-pipelined command connection and one for subscriptions."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from shared.pipe import Argument, BusDown, CommandRefused, Link, NotRun, Pipe
from shared.vital import start_vital

__all__ = ["Argument", "Bus", "BusDown", "CommandRefused", "NotRun", "Script"]


class Script:
    """A Lua script; it is loaded on every new connection and called by its hash."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.sha = ""


class Bus:
    """A process' way to Redis.

    `up` is set while commands can be sent. `on_up` is called after each (re)connection with "commands" or
    "subscriber", and with "room" when a connection that was clogged takes commands again. Replies are
    raw: bytes, int, list, None.
    """

    def __init__(self, url: str, scripts: Sequence[Script] = ()) -> None:
        self.up = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.run_id = ""
        self.on_up: list[Callable[[str], None]] = []
        self._scripts = list(scripts)
        self._callbacks: dict[bytes, Callable[[bytes], None]] = {}
        self._commands = Link(url, self._greet_commands)
        self._subscriber = Link(url, self._greet_subscriber)
        self._subscriber.listen(self._pushed)
        self._tasks: list[asyncio.Task[None]] = []
        self._pipe: Pipe | None = None

    def add_scripts(self, *scripts: Script) -> None:
        """Before `start`."""
        self._scripts.extend(scripts)

    def subscribe(self, channel: str, callback: Callable[[bytes], None]) -> None:
        """Before `start`. `callback` gets each message; it must not block nor raise."""
        self._callbacks[channel.encode()] = callback

    async def start(self) -> None:
        """Begins to connect; await `up` and `subscribed` to know that it has."""
        self._tasks.append(start_vital(self._commands.run(), "redis commands"))
        if self._callbacks:
            self._tasks.append(start_vital(self._subscriber.run(), "redis subscriber"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    @property
    def connected(self) -> bool:
        """Both connections are up."""
        return self.up.is_set() and self.subscribed.is_set()

    @property
    def heard_at(self) -> float:
        """The loop's clock, s: until then Redis has answered on both connections; 0 while one is down."""
        commands, subscriber = self._commands.pipe, self._subscriber.pipe
        return min(commands.heard_at, subscriber.heard_at) if commands and subscriber else 0.0

    def command(self, *args: Argument) -> asyncio.Future[Any]:
        """One command's reply. Raises BusDown at once, or through the future BusDown or CommandRefused."""
        return self._usable().request(*args)

    def run(self, script: Script, keys: Sequence[str] = (), args: Sequence[Argument] = ()) -> asyncio.Future[Any]:
        """A script's reply; raises as `command` does."""
        return self._usable().request("EVALSHA", script.sha, len(keys), *keys, *args)

    def post(self, *args: Argument) -> None:
        """Sends a command whose reply nobody wants. Raises BusDown."""
        self._usable().tell(*args)

    def post_script(self, script: Script, keys: Sequence[str] = (), args: Sequence[Argument] = ()) -> None:
        """As `post`."""
        self._usable().tell("EVALSHA", script.sha, len(keys), *keys, *args)

    def _usable(self) -> Pipe:
        if self._pipe is None:
            raise BusDown("Redis cannot be reached")
        return self._pipe

    async def _greet_commands(self, pipe: Pipe) -> None:
        info = pipe.request("INFO", "server")
        may_be_quiet = pipe.request("CLIENT", "REPLY", "ON")
        loading = [pipe.request("SCRIPT", "LOAD", script.source) for script in self._scripts]
        for line in (await info).splitlines():
            if line.startswith(b"run_id:"):
                self.run_id = line[7:].decode()
        for script, sha in zip(self._scripts, await asyncio.gather(*loading), strict=True):
            script.sha = sha.decode()
        await may_be_quiet  # refused later, it would answer where no reply is expected
        pipe.lost.add_done_callback(self._commands_lost)
        self._pipe = pipe
        self.up.set()
        pipe.on_room = lambda: self._tell_up("room")
        self._tell_up("commands")

    def _tell_up(self, which: str) -> None:
        for callback in self.on_up:
            callback(which)

    def _commands_lost(self, _: object) -> None:
        self.up.clear()
        self._pipe = None

    async def _greet_subscriber(self, pipe: Pipe) -> None:
        self._unanswered = set(self._callbacks)
        self._all_subscribed = asyncio.get_running_loop().create_future()
        pipe.send(("SUBSCRIBE", *self._callbacks), None)
        await asyncio.wait([self._all_subscribed, pipe.lost], return_when=asyncio.FIRST_COMPLETED)
        if not self._all_subscribed.done():
            raise BusDown("the connection to Redis broke while subscribing")
        pipe.lost.add_done_callback(lambda _: self.subscribed.clear())
        self.subscribed.set()
        self._tell_up("subscriber")

    def _pushed(self, reply: Any) -> None:
        if not isinstance(reply, list):
            return
        if reply[0] == b"message":
            self._callbacks[reply[1]](reply[2])
        elif reply[0] == b"subscribe":
            self._unanswered.discard(reply[1])
            if not self._unanswered and not self._all_subscribed.done():
                self._all_subscribed.set_result(None)
