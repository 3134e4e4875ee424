"""Reads upstreams' answers as a worker does."""

from worker.answer import UpstreamAnswer
from worker.websocket import Socket


class Gathered:
    """Takes all that follows the first content, however much it is."""

    full = False

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def emit(self, events: bytes) -> None:
        self.events.append(events)

    async def stream(self, events: bytes) -> None:
        self.events.append(events)

    async def drain(self) -> None:
        """There is room."""


async def everything(answer: UpstreamAnswer) -> bytes:
    """Raises what the answer raises."""
    gathered = Gathered()
    try:
        first = await answer.first()
        await answer.rest(gathered)
    finally:
        await answer.aclose()
    return b"".join([first or b"", *gathered.events])


async def messages_of(socket: Socket) -> list[bytes]:
    """All until the upstream closes. Raises what the socket raises."""
    messages: list[bytes] = []

    def take(message: bytes) -> bool:
        messages.append(message)
        return True

    await socket.pump(take)
    return messages
