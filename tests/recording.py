"""A bus that goes nowhere: it keeps what was sent, and its test says what Redis answers and when it is away."""

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.bus import Argument, Bus, BusDown, Script
from shared.frames import decode_batch, decode_control

Command = tuple[Argument, ...]


class RecordingBus(Bus):
    """`sent` are commands in the order in which Redis would get them; a script's begin with its name. `replies` maps
    what a command begins with to its reply; without one its future waits in `unanswered`.
    """

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1/0")
        self.sent: list[Command] = []
        self.replies: dict[Argument, Any] = {}
        self.unanswered: list[asyncio.Future[Any]] = []
        self.time = 0.0
        self.up.set()
        self.subscribed.set()

    @property
    def heard_at(self) -> float:
        return self.time if self.connected else 0.0

    async def start(self) -> None:
        """There is nowhere to connect to."""

    def lose(self) -> None:
        self.up.clear()

    def mend(self) -> None:
        self.up.set()
        for callback in self.on_up:
            callback("commands")

    def command(self, *args: Argument) -> asyncio.Future[Any]:
        self.post(*args)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if args[0] in self.replies:
            future.set_result(self.replies[args[0]])
        else:
            self.unanswered.append(future)
        return future

    def run(self, script: Script, keys: Sequence[str] = (), args: Sequence[Argument] = ()) -> asyncio.Future[Any]:
        return self.command(script.name, *keys, *args)

    def post(self, *args: Argument) -> None:
        if not self.up.is_set():
            raise BusDown("lost")
        self.sent.append(args)

    def post_script(self, script: Script, keys: Sequence[str] = (), args: Sequence[Argument] = ()) -> None:
        self.post(script.name, *keys, *args)

    def called(self, name: str) -> list[list[Argument]]:
        """The arguments of all commands, or scripts, of this name."""
        return [arguments for first, *arguments in self.sent if first == name]

    def frames(self) -> list[list[Any]]:
        """What was published to fronts: [number, epoch, attempt, sequence, kind, payload]."""
        batches = [data for channel, data in self.called("PUBLISH") if "resp:" in str(channel)]
        return [frame for data in batches if isinstance(data, bytes) for frame in decode_batch(data)[1:]]

    def told(self, worker: str) -> list[list[Any]]:
        """What was said to a worker: [verb, argument, ...]."""
        said = [data for channel, data in self.called("PUBLISH") if channel == f"{{ps}}:ctl:{worker}"]
        return [decode_control(data) for data in said if isinstance(data, bytes)]
