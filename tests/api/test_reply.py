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
