"""The WebSocket driver against a real server and a real CONNECT proxy."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.outbound import tcp_server
from tests.servers import free_port
from tests.worker.answers import messages_of
from worker.faults import Fault, UpstreamError
from worker.providers.contract import USER_AGENT, Framing, UpstreamRequest
from worker.websocket import Socket, open_socket

Handler = Callable[[ServerConnection], Awaitable[None]]
CANARY = "canary-in-the-prompt"


@contextlib.asynccontextmanager
async def upstream(handler: Handler, respond: Callable[..., Response | None] | None = None) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, process_request=respond) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat"


def refused(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    return UpstreamError(Fault.CREDENTIAL_REJECTED, f"{status} {headers.get('x-why')} {body.decode()}")


async def opened(
    url: str,
    *messages: str,
    connect_s: float = 5,
    proxy: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Socket:
    request = UpstreamRequest("GET", url, headers, streamed=True, framing=Framing.WEBSOCKET, messages=messages)
    return await open_socket(request, connect_s=connect_s, proxy=proxy, max_event_bytes=1000, refused=refused)


async def texts(socket: Socket) -> list[str]:
    return [message.decode() for message in await messages_of(socket)]


async def echo_twice(connection: ServerConnection) -> None:
    for _ in range(2):
        await connection.send(await connection.recv())


async def test_messages_are_sent_and_each_answer_is_a_message() -> None:
    """Both messages go out before anything is read, and an orderly close ends the answer."""
    async with upstream(echo_twice) as url:
        socket = await opened(url, "one", "zwei ü")
        assert await texts(socket) == ["one", "zwei ü"]
        await socket.aclose()


async def test_headers_reach_the_upstream_with_our_own_name() -> None:
    """A session's cookie is sent, and never a browser's User-Agent."""
    seen: list[Headers] = []

    async def keep(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.headers)

    async with upstream(keep) as url:
        socket = await opened(url, headers=(("cookie", "a=b"), ("user-agent", "Mozilla/5.0")))
        await texts(socket)
        await socket.aclose()
    assert seen[0]["Cookie"] == "a=b"
    assert seen[0].get_all("User-Agent") == [USER_AGENT]


async def test_a_refused_handshake_is_the_providers_to_explain() -> None:
    """The status, headers and body of the refusal go to the provider."""

    def respond(_: ServerConnection, __: Request) -> Response:
        return Response(401, "Unauthorized", Headers({"X-Why": "signature"}), b"bad")

    async with upstream(echo_twice, respond) as url:
        with pytest.raises(UpstreamError, match="401 signature bad") as caught:
            await opened(url, CANARY)
    assert caught.value.fault is Fault.CREDENTIAL_REJECTED


async def test_a_redirect_is_not_followed() -> None:
    """It would carry the request's secrets along."""
    visited: list[str] = []

    def respond(_: ServerConnection, request: Request) -> Response:
        visited.append(request.path)
        return Response(302, "Found", Headers({"Location": "/elsewhere", "X-Why": "moved"}))

    async with upstream(echo_twice, respond) as url:
        with pytest.raises(UpstreamError, match="302 moved"):
            await opened(url, CANARY)
    assert visited == ["/chat"]


async def test_a_cancelled_reader_hangs_up_on_the_upstream() -> None:
    """The upstream sees the end while it is still writing."""
    hung_up = asyncio.Event()

    async def write_on(connection: ServerConnection) -> None:
        try:
            while True:
                await connection.send("more")
                await asyncio.sleep(0.001)
        except ConnectionClosed:
            hung_up.set()

    async def read(socket: Socket, begun: asyncio.Event) -> None:
        def take(_: bytes) -> bool:
            begun.set()
            return True

        try:
            await socket.pump(take)
        finally:
            await socket.aclose()

    async with upstream(write_on) as url:
        begun = asyncio.Event()
        reader = asyncio.create_task(read(await opened(url), begun))
        await begun.wait()
        reader.cancel()
        async with asyncio.timeout(5):
            await hung_up.wait()
        with pytest.raises(asyncio.CancelledError):
            await reader


async def test_a_cancelled_opening_leaves_no_connection() -> None:
    """A client may leave while its request is still being opened."""
    gone = asyncio.Event()
    arrived = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(100):
                pass
        gone.set()

    async with tcp_server(hold) as port:
        opening = asyncio.create_task(opened(f"ws://127.0.0.1:{port}/", CANARY))
        await arrived.wait()
        opening.cancel()
        async with asyncio.timeout(5):
            await gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def test_a_broken_connection_is_an_error() -> None:
    """It must never look like the end of an answer."""

    async def break_off(connection: ServerConnection) -> None:
        await connection.send("half")
        connection.transport.abort()

    async with upstream(break_off) as url:
        socket = await opened(url)
        with pytest.raises(UpstreamError, match="broke the connection off") as caught:
            await texts(socket)
        await socket.aclose()
    assert caught.value.fault is Fault.UPSTREAM_FAULT
    assert caught.value.sent


async def test_a_close_for_a_reason_is_an_error() -> None:
    """Code 1011 says that the upstream failed; its reason may quote the prompt, so it is not repeated."""

    async def fail(connection: ServerConnection) -> None:
        await connection.close(1011, CANARY)

    async with upstream(fail) as url:
        socket = await opened(url)
        with pytest.raises(UpstreamError, match="code 1011") as caught:
            await texts(socket)
        await socket.aclose()
    assert CANARY not in caught.value.message


async def test_a_message_above_the_limit_is_an_error() -> None:
    """Memory is bounded whatever the upstream sends."""

    async def flood(connection: ServerConnection) -> None:
        await connection.send("x" * 1000)
        await connection.send("x" * 1001)
        await connection.wait_closed()

    async with upstream(flood) as url:
        socket = await opened(url)
        assert not await socket.pump(lambda message: len(message) != 1000)
        with pytest.raises(UpstreamError, match="more than 1000 bytes"):
            await messages_of(socket)
        await socket.aclose()


async def test_an_upstream_that_is_not_there_was_not_asked() -> None:
    """Such a request is safe to send again."""
    with pytest.raises(UpstreamError, match="cannot be reached") as caught:
        await opened(f"ws://127.0.0.1:{free_port()}/")
    assert not caught.value.sent


async def test_an_upstream_that_speaks_something_else_is_told_so() -> None:
    """A wrong port or path, for example."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n\r\n")
        await writer.drain()

    async with tcp_server(greet) as port:
        with pytest.raises(UpstreamError, match="does not speak WebSocket"):
            await opened(f"ws://127.0.0.1:{port}/")


async def test_a_handshake_without_answer_times_out() -> None:
    """`connect_s` bounds everything up to the open connection."""

    async def keep_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_server(keep_silent) as port:
        with pytest.raises(UpstreamError) as caught:
            await opened(f"ws://127.0.0.1:{port}/", connect_s=0.05)
    assert caught.value.fault is Fault.TIMED_OUT
    assert not caught.value.sent


async def test_a_url_that_is_none_is_an_error_of_the_configuration() -> None:
    """base_url may hold anything."""
    with pytest.raises(UpstreamError, match="not a valid WebSocket URL"):
        await opened("wss:nothing")


async def test_nothing_of_a_prompt_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at debug level, where the library would log every frame."""
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    async with upstream(echo_twice) as url:
        socket = await opened(url, CANARY, CANARY)
        await texts(socket)
        await socket.aclose()
    own = [record for record in caplog.records if record.name != "websockets.server"]
    assert CANARY not in "".join(record.getMessage() for record in own)
