"""One connection, byte by byte: whatever the network does to an answer, its body is exact, or its end is an error."""

import asyncio
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.faults import Fault, UpstreamError
from worker.http1.connection import Connection, Take

BODY = b"data: one\n\ndata: two\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = (
    HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"5\r\ndata:\r\n10;x=y\r\n one\n\ndata: two\n\r\n1\r\n\n\r\n0\r\n\r\n"
)
COUNTED = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
FRAMINGS = pytest.mark.parametrize("answer", [CHUNKED, COUNTED], ids=["chunked", "counted"])


class Wire(asyncio.Transport):
    """What a connection has written, and whether it wants to be read to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.reading = True
        self.aborted = False

    def writelines(self, list_of_data: object) -> None:
        self.written += b"".join(cast("list[bytes]", list_of_data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Scene:
    """A connection on which a request was sent."""

    def __init__(self) -> None:
        self.wire, self.connection = Wire(), Connection()
        self.connection.connection_made(self.wire)
        self.body = b""
        self.wants: Take = self._keep
        self.asking = asyncio.ensure_future(self._ask())

    async def _ask(self) -> bool:
        await self.connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"body")
        return await self.connection.pump(self.wants)

    def _keep(self, data: bytes) -> bool:
        self.body += data
        return True

    async def bring(self, *pieces: bytes, closes: bool = False, error: Exception | None = None) -> None:
        """As the network does it, with a turn of the loop between the pieces."""
        await asyncio.sleep(0)
        for piece in pieces:
            self.connection.data_received(piece)
            await asyncio.sleep(0)
        if closes:
            self.connection.connection_lost(error)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[start:end] for start, end in pairwise(marks)]


@FRAMINGS
@given(places=st.lists(st.integers(0, 400), max_size=12))
def test_a_body_is_the_same_however_the_network_cuts_it(answer: bytes, places: list[int]) -> None:
    async def play() -> None:
        scene = Scene()
        await scene.bring(*cut(answer, places))
        assert await scene.asking
        assert scene.body == BODY
        assert scene.wire.written == b"GET / HTTP/1.1\r\n\r\nbody"
        assert scene.connection.reusable

    asyncio.run(play())


@FRAMINGS
@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
async def test_an_answer_that_breaks_off_is_never_whole(answer: bytes, error: Exception | None) -> None:
    """At every byte; what came before it is exact."""
    for end in range(len(answer)):
        scene = Scene()
        await scene.bring(answer[:end], closes=True, error=error)
        with pytest.raises(UpstreamError, match="closed the connection before") as caught:
            await scene.asking
        assert caught.value.sent
        assert BODY.startswith(scene.body)
        assert not scene.connection.reusable


async def test_without_a_length_the_end_of_the_connection_is_the_end_of_the_body() -> None:
    scene = Scene()
    await scene.bring(HEAD + b"\r\n" + BODY, closes=True)
    assert await scene.asking
    assert scene.body == BODY
    assert not scene.connection.reusable


async def test_without_a_length_a_reset_is_no_end() -> None:
    scene = Scene()
    await scene.bring(HEAD + b"\r\n" + BODY, closes=True, error=ConnectionResetError())
    with pytest.raises(UpstreamError, match="closed the connection before"):
        await scene.asking


@pytest.mark.parametrize("interim", [b"100 Continue\r\n", b"103 Early Hints\r\nlink: </x>\r\n"], ids=["100", "103"])
async def test_an_interim_answer_is_not_the_answer(interim: bytes) -> None:
    scene = Scene()
    await scene.bring(b"HTTP/1.1 " + interim + b"\r\n", COUNTED)
    assert await scene.asking
    assert (scene.connection.status, scene.body) == (200, BODY)
    assert b"link" not in dict(scene.connection.headers)


async def test_trailers_are_no_headers() -> None:
    scene = Scene()
    await scene.bring(CHUNKED.removesuffix(b"\r\n") + b"x-checksum: 1\r\n\r\n")
    assert await scene.asking
    assert b"x-checksum" not in dict(scene.connection.headers)
    assert scene.connection.reusable


async def test_an_answer_without_a_body_is_whole() -> None:
    scene = Scene()
    await scene.bring(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert await scene.asking
    assert (scene.connection.status, scene.body) == (204, b"")
    assert scene.connection.reusable


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not valid HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello", "not valid HTTP"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nfive\r\ndata:\r\n", "not valid HTTP"),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: %b\r\n" % (b"y" * 1000) * 70, "headers are too large"),
    ],
    ids=["another protocol", "upgrade", "chunk size", "two lengths", "head"],
)
async def test_what_is_no_answer_is_an_error(said: bytes, complaint: str) -> None:
    """And the connection is closed, for nobody knows where the next answer would begin."""
    scene = Scene()
    await scene.bring(said)
    with pytest.raises(UpstreamError, match=complaint) as caught:
        await scene.asking
    assert caught.value.fault is Fault.UPSTREAM_FAULT
    assert scene.wire.aborted


async def test_a_taker_that_wants_no_more_gets_the_rest_when_it_does() -> None:
    """Meanwhile no more is read than one waits for."""
    scene = Scene()
    scene.asking.cancel()
    connection = scene.connection
    asking = asyncio.ensure_future(connection.exchange(b"GET / HTTP/1.1\r\n\r\n"))
    await scene.bring(HEAD + b"content-length: 300000\r\n\r\n")
    await asking
    pumping = asyncio.ensure_future(connection.pump(lambda _: False))
    await scene.bring(b"a" * 10)
    assert not await pumping
    await scene.bring(*([b"b" * 50_000] * 3))
    paused = not scene.wire.reading
    assert paused
    pumping = asyncio.ensure_future(connection.pump(scene.wants))
    await scene.bring(b"c" * (300_000 - 150_010))
    assert await pumping
    assert scene.wire.reading
    assert scene.body == b"b" * 150_000 + b"c" * 149_990


async def test_what_a_taker_raises_is_raised_where_the_body_is_read() -> None:
    def choke(_: bytes) -> bool:
        raise UpstreamError(Fault.UPSTREAM_FAULT, "too much")

    scene = Scene()
    scene.wants = choke
    await scene.bring(CHUNKED[:100])
    with pytest.raises(UpstreamError, match="too much"):
        await scene.asking
    assert not scene.connection.reusable


async def test_a_cancelled_reader_gets_nothing_more() -> None:
    scene = Scene()
    await scene.bring(CHUNKED[:-40])
    scene.asking.cancel()
    await asyncio.sleep(0)
    seen = scene.body
    await scene.bring(CHUNKED[-40:])
    assert scene.body == seen


async def test_a_second_exchange_begins_anew() -> None:
    scene = Scene()
    await scene.bring(COUNTED)
    assert await scene.asking
    scene.asking, scene.body = asyncio.ensure_future(scene._ask()), b""
    await scene.bring(b"HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno")
    assert await scene.asking
    assert (scene.connection.status, scene.body) == (500, b"no")
    assert dict(scene.connection.headers) == {b"connection": b"close", b"content-length": b"2"}
    assert not scene.connection.reusable


@pytest.mark.parametrize("together", [True, False])
async def test_what_nobody_asked_for_ends_the_connection(*, together: bool) -> None:
    """The next request must not get an answer that was there before it."""
    scene = Scene()
    await (scene.bring(COUNTED + COUNTED) if together else scene.bring(COUNTED, COUNTED))
    assert await scene.asking
    assert scene.body == BODY
    assert scene.wire.aborted
    assert not scene.connection.reusable


async def test_an_answer_that_comes_before_the_request_is_sent_is_read() -> None:
    """A refusal of a large body; the connection still has the rest of it to send."""
    scene = Scene()
    scene.wire.unsent = 10_000
    await scene.bring(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
    assert await scene.asking
    assert scene.connection.status == 413
    assert not scene.connection.reusable


async def test_a_connection_that_was_lost_while_idle_is_told_at_once() -> None:
    scene = Scene()
    await scene.bring(COUNTED, closes=True)
    assert await scene.asking
    assert not scene.connection.reusable
    with pytest.raises(UpstreamError, match="closed the connection before"):
        await scene.connection.exchange(b"GET / HTTP/1.1\r\n\r\n")
