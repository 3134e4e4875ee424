"""What a client is sent when an answer comes in parts of an event, and breaks off between them."""

import asyncio
from typing import Any

from starlette.types import Message

from api.pending import Pending
from api.reply import KEEP_ALIVE, Reply
from shared.catalogue import FrontPolicy
from shared.errors import Unavailable
from shared.frames import JobEnvelope, Kind


class Client:
    def __init__(self) -> None:
        self.sent = b""

    async def send(self, message: Message) -> None:
        self.sent += message.get("body", b"")


def pending_with(*deliveries: tuple[Kind, Any]) -> Pending:
    pending = Pending(1, "f.1", JobEnvelope("req_1", "m", True, False, 0, 10**15), 0.0, lambda _: None)
    for sequence, (kind, payload) in enumerate(deliveries):
        pending.inbox.receive("w", 0, 1, sequence, kind, payload)
    return pending


async def test_an_error_within_an_event_stands_on_lines_of_its_own() -> None:
    client, pending = Client(), pending_with((Kind.CHUNK, b"data: {half"))
    pending.fail(Unavailable("The worker died.", code="stream_broken"))
    assert not await Reply(client.send, FrontPolicy()).stream(pending)
    partial, error, rest = client.sent.split(b"\n\n")
    assert partial == b"data: {half"
    assert b"stream_broken" in error
    assert rest == b""


async def test_no_comment_is_put_into_an_event() -> None:
    client, pending = Client(), pending_with((Kind.CHUNK, b"data: {half"))
    streaming = asyncio.ensure_future(Reply(client.send, FrontPolicy(keep_alive_s=0.01)).stream(pending))
    await asyncio.sleep(0.05)  # five times the silence after which one would be due
    pending.inbox.receive("w", 0, 1, 1, Kind.CHUNK, b" whole}\n\n")
    pending.wake()
    async with asyncio.timeout(10):
        while KEEP_ALIVE not in client.sent:  # noqa: ASYNC110  a client has no way to tell
            await asyncio.sleep(0.01)
    assert client.sent.startswith(b"data: {half whole}\n\n" + KEEP_ALIVE), "none within it"
    pending.leave()
    assert not await streaming


class Server(Client):
    """Takes what is written at once, unless it is `busy`."""

    busy = False

    def write(self, body: bytes) -> bool:
        if self.busy:
            return False
        self.sent += body
        return True


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def arrive(pending: Pending, sequence: int, kind: Kind, payload: Any) -> None:
    pending.inbox.receive("w", 0, 1, sequence, kind, payload)
    pending.wake()


async def test_what_follows_the_first_content_is_written_as_it_comes() -> None:
    """In the same turn of the loop, and the worker may forget it."""
    server, pending = Server(), pending_with((Kind.CHUNK, b"data: 0\n\n"))
    streaming = asyncio.ensure_future(Reply(server.send, FrontPolicy(), server.write).stream(pending))
    await turns()
    arrive(pending, 1, Kind.CHUNK, b"data: 1\n\n")
    assert server.sent == b"data: 0\n\ndata: 1\n\n"
    assert pending.inbox.used == 2
    arrive(pending, 2, Kind.END, {"done": True})
    assert await streaming
    assert server.sent == b"data: 0\n\ndata: 1\n\ndata: [DONE]\n\n"


async def test_what_a_busy_server_does_not_take_keeps_its_place() -> None:
    """It is sent as soon as the client has read, and what comes meanwhile after it."""
    server, pending = Server(), pending_with((Kind.CHUNK, b"0"))
    streaming = asyncio.ensure_future(Reply(server.send, FrontPolicy(), server.write).stream(pending))
    await turns()
    server.busy = True
    arrive(pending, 1, Kind.CHUNK, b"1")
    assert pending.inbox.used < 2, "the worker keeps it until the client has it"
    server.busy = False
    arrive(pending, 2, Kind.CHUNK, b"2")
    await turns()
    server.busy = True
    arrive(pending, 3, Kind.CHUNK, b"3")
    await turns()
    server.busy = False
    arrive(pending, 4, Kind.CHUNK, b"4")
    arrive(pending, 5, Kind.END, {"done": False})
    assert await streaming
    assert server.sent == b"01234"


async def test_a_stream_that_is_written_to_is_not_silent() -> None:
    """The time until a comment is counted from the last event, whoever sent it."""
    server, pending = Server(), pending_with((Kind.CHUNK, b"data: 0\n\n"))
    streaming = asyncio.ensure_future(Reply(server.send, FrontPolicy(keep_alive_s=60), server.write).stream(pending))
    await turns()
    due = pending._due
    await asyncio.sleep(0.01)
    arrive(pending, 1, Kind.CHUNK, b"data: 1\n\n")
    assert pending._due > due
    pending.leave()
    assert not await streaming


async def test_an_error_after_what_was_written_is_an_event_of_its_own() -> None:
    server, pending = Server(), pending_with((Kind.CHUNK, b"data: {ha"))
    streaming = asyncio.ensure_future(Reply(server.send, FrontPolicy(), server.write).stream(pending))
    await turns()
    arrive(pending, 1, Kind.CHUNK, b"lf")
    pending.fail(Unavailable("The worker died.", code="stream_broken"))
    assert not await streaming
    assert server.sent.startswith(b"data: {half\n\ndata: {")
