"""The HTTP protocol on a real socket, in this process so that its time limits can be short."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState

from api.protocol import WRITE, Protocol

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


class Hasty(Protocol):
    head_timeout_s = 0.05
    stall_timeout_s = 0.2


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the method and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + body})


@asynccontextmanager
async def connect(
    app: ASGIApp = echo, protocol: type[Protocol] = Protocol, made: list[Protocol] | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """`made` is given the server's end of the connection."""
    made = [] if made is None else made

    def make() -> Protocol:
        made.append(protocol(config, ServerState(), {}))
        return made[-1]

    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


async def exchange(raw: bytes, protocol: type[Protocol] = Protocol) -> bytes:
    """What the server says until it closes."""
    async with asyncio.timeout(10), connect(protocol=protocol) as (reader, writer):
        writer.write(raw)
        return await reader.read()


async def test_a_head_that_follows_a_large_body_is_not_counted_with_it() -> None:
    """Both came in one read, and its end comes later."""
    size = 3 * Protocol.most_head_bytes
    first = HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    async with asyncio.timeout(10), connect() as (reader, writer):
        writer.write(first + b"POST / HT")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200 " in await reader.read()


async def test_a_head_that_stops_half_way_is_408() -> None:
    answer = await exchange(HEAD + b"X-Half: ", Hasty)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


async def test_a_head_that_comes_in_pieces_but_in_time_is_served() -> None:
    async with asyncio.timeout(10), connect() as (reader, writer):
        for byte in HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi":
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.read()).endswith(b"POST hi\r\n0\r\n\r\n")


async def test_the_time_of_a_head_does_not_count_for_its_body_or_the_next() -> None:
    async with asyncio.timeout(10), connect(protocol=Hasty) as (reader, writer):
        writer.write(HEAD + b"Content-")
        await writer.drain()
        writer.write(b"Length: 2\r\n\r\n")
        await asyncio.sleep(2 * Hasty.head_timeout_s)  # a limit that ran on would end it now
        writer.write(b"hi" + HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nho")
        answer = await reader.read()
    assert b"POST hi" in answer
    assert b"POST ho" in answer


@pytest.mark.parametrize("grow", [b"X-Endless: " + b"a" * 1_000_000, b"X: y\r\n" * 200_000])
async def test_a_head_that_grows_for_ever_is_431(grow: bytes) -> None:
    answer = await exchange(HEAD + grow)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answer


async def test_what_is_no_http_is_400_in_openais_shape() -> None:
    answer = await exchange(b"\x16\x03\x01 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"type":"invalid_request_error"' in answer


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("cut", [20, 60, 100, 10_000])
async def test_an_offer_to_upgrade_is_declined_and_the_body_kept(offer: bytes, body: bytes, cut: int) -> None:
    raw = HEAD + b"Connection: Upgrade\r\nUpgrade: " + offer + b"\r\n" + body
    following = HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nbye"
    async with asyncio.timeout(10), connect() as (reader, writer):
        writer.write(raw[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(raw[cut:] + following)
        answer = await reader.read()
    assert b"POST hello" in answer
    assert b"POST bye" in answer


@pytest.mark.parametrize("ahead", [b"", HEAD + b"Content-Length: 0\r\n\r\n"], ids=["alone", "behind-another"])
async def test_rubbish_during_an_answer_is_never_answered_into_it(ahead: bytes) -> None:
    begun = asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        begun.set()
        gone: Message = await receive()
        assert gone["type"] == "http.disconnect", scope

    async with asyncio.timeout(10), connect(stream) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        await begun.wait()
        writer.write(ahead + b"rubbish\r\n\r\n")
        answer = await reader.read()
    assert answer.endswith(b"5\r\nfirst\r\n")
    assert b"400" not in answer


class Pouring:
    """An application that answers without end, as fast as its client reads."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        leaving = asyncio.ensure_future(receive())
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        assert (await leaving)["type"] == "http.disconnect", scope
        self.left.set()


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """Else it would hold for ever what the transport has taken for it."""
    app = Pouring()
    async with asyncio.timeout(20), connect(app, Hasty) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        assert await reader.readline()
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # a client that reads no more
        await app.left.wait()


async def test_a_client_that_has_read_something_is_given_more_time() -> None:
    made: list[Protocol] = []

    class Patient(Protocol):
        stall_timeout_s = 3600

    async with asyncio.timeout(20), connect(Pouring(), Patient, made) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        assert await reader.readexactly(1024 * 1024)
        (protocol,) = made
        unread = protocol.transport.get_write_buffer_size()
        protocol._end_stalled(unread + 1)
        assert not protocol.transport.is_closing()
        protocol._end_stalled(unread)
        assert protocol.transport.is_closing()


async def test_a_stopping_server_answers_what_is_under_way_on_an_idle_connection() -> None:
    """Closing it at once would lose the request, which a balancer does not send again."""
    made: list[Protocol] = []
    request = HEAD + b"Content-Length: 2\r\n\r\nhi"
    async with asyncio.timeout(20), connect(made=made) as (reader, writer):
        writer.write(request)
        await reader.readuntil(b"0\r\n\r\n")
        (protocol,) = made
        protocol.config.timeout_keep_alive = 1
        protocol.shutdown()
        writer.write(request)
        assert b"POST hi" in await reader.readuntil(b"0\r\n\r\n")
        assert await reader.read() == b"", "in the end it is closed"


async def test_a_body_that_has_begun_can_be_written_without_waiting() -> None:
    """Not before it has begun, nor after its end; the client cannot tell it from what was sent."""
    told: list[bool] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        write = scope["extensions"][WRITE]["write"]
        told.append(write(b"too early"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        told.append(write(b"second"))
        await send({"type": "http.response.body", "body": b"third"})
        told.append(write(b"too late"))

    async with asyncio.timeout(10), connect(app) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
    assert answer.partition(b"\r\n\r\n")[2] == b"5\r\nfirst\r\n6\r\nsecond\r\n5\r\nthird\r\n0\r\n\r\n"
    assert told == [False, True, False]


async def test_a_client_that_does_not_read_is_not_written_to() -> None:
    """`send` waits for it then."""
    refused = asyncio.Event()

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        write = scope["extensions"][WRITE]["write"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while write(b"x" * 65536):  # noqa: ASYNC110  the sockets fill in the loop's own time
            await asyncio.sleep(0)
        refused.set()

    async with asyncio.timeout(10), connect(app) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await refused.wait()


async def test_a_request_behind_another_changes_nothing_for_it() -> None:
    """The server knows of both, and the answer to the first has begun."""
    arrived = asyncio.Event()

    class Noticing(Protocol):
        def on_headers_complete(self) -> None:
            if self.cycle is not None:
                arrived.set()
            super().on_headers_complete()

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        write = scope["extensions"][WRITE]["write"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await arrived.wait()
        if not write(b"2"):
            await send({"type": "http.response.body", "body": b"2", "more_body": True})
        await send({"type": "http.response.body", "body": b"3"})

    async with asyncio.timeout(10), connect(app, Noticing) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        begun = await reader.readuntil(b"1\r\n1\r\n")
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = begun + await reader.read()
    assert answers.count(b"1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n") == 2


async def test_a_client_that_asks_ahead_is_seen_to_leave() -> None:
    """Its second request waits for the first answer, which would else run on for nobody."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        begun.set()
        message: Message = await receive()
        assert message["type"] == "http.disconnect", scope
        left.set()

    async with asyncio.timeout(10), connect(app) as (_, writer):
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        await begun.wait()
        writer.write(HEAD + b"Content-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()
        await left.wait()


async def test_what_is_read_ahead_is_bounded() -> None:
    """A client that asks and asks without an end fills the kernel's buffers, not ours."""
    made: list[Protocol] = []
    request = HEAD + b"Content-Length: 0\r\nX-Long: %b\r\n\r\n" % (b"x" * 50_000)
    async with asyncio.timeout(20), connect(Pouring(), made=made) as (reader, writer):
        writer.write(request)
        assert await reader.readline(), "the first answer has begun, and never ends"
        writer.write(100 * request)
        while not made[0].flow.read_paused:  # noqa: ASYNC110  it has no way to tell
            await asyncio.sleep(0.01)
        assert len(made[0].pipeline) < 20
        writer.transport.abort()
