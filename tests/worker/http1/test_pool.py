"""Connections between requests, over real sockets: which one is used next, and when it is closed."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.outbound import tcp_server
from worker.faults import Fault, UpstreamError
from worker.http1.dial import Dialer, Origin
from worker.http1.pool import Pool
from worker.providers.contract import UpstreamRequest
from worker.upstream import Upstream

TLS = ssl.create_default_context()
DIALER = Dialer(TLS)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Site:
    """Answers every request; `heads` are those that each connection brought."""

    def __init__(self) -> None:
        self.heads: list[list[bytes]] = []
        self.ended = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads: list[bytes] = []
        self.heads.append(heads)
        try:
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()


@asynccontextmanager
async def open_site() -> AsyncIterator[tuple[Site, Upstream]]:
    site, upstream = Site(), Upstream()
    async with tcp_server(site.serve) as site.port:
        yield site, upstream
        await upstream.aclose()


async def ask(site: Site, upstream: Upstream, **headers: str) -> bytes:
    request = UpstreamRequest("GET", f"http://127.0.0.1:{site.port}/a?b=%20#c", tuple(headers.items()))
    return (await upstream.fetch(request, connect_s=5, total_s=5, most_bytes=100)).body


async def test_requests_one_after_another_share_a_connection() -> None:
    async with open_site() as (site, upstream):
        assert [await ask(site, upstream) for _ in range(3)] == [b"ok"] * 3
    assert [len(heads) for heads in site.heads] == [3]
    assert site.heads[0][0].startswith(b"GET /a?b=%20 HTTP/1.1\r\n")


async def test_requests_at_once_have_a_connection_each() -> None:
    async with open_site() as (site, upstream):
        await asyncio.gather(*(ask(site, upstream) for _ in range(150)))
    assert len(site.heads) == 150


async def test_an_upstream_that_has_closed_an_idle_connection_is_asked_on_another() -> None:
    async with open_site() as (site, upstream):
        await ask(site, upstream)
        (pool,) = [pool for _, pool in upstream._pools.values()]
        (kept,) = [connection for kept in pool._idle.values() for connection in kept]
        kept.connection_lost(None)
        assert await ask(site, upstream) == b"ok"
    assert len(site.heads) == 2


async def test_what_nobody_uses_is_closed() -> None:
    async with open_site() as (site, _):
        pool, origin = Pool(DIALER, kept_s=0.01), Origin("http", "127.0.0.1", site.port)
        connection = await pool.take(origin, 5)
        await connection.exchange(b"GET / HTTP/1.1\r\n\r\n")
        await connection.pump(lambda _: True)
        pool.give_back(origin, connection)
        async with asyncio.timeout(5):
            await site.ended.wait()
        assert pool._idle == {}


async def test_a_line_break_in_a_header_is_not_sent() -> None:
    """It would be a header of its own, or a request."""
    async with open_site() as (site, upstream):
        with pytest.raises(UpstreamError, match="line break") as caught:
            await ask(site, upstream, authorization="Bearer secret\r\nx-evil: 1")
    assert "secret" not in caught.value.message
    assert not caught.value.sent
    assert site.heads == []


@pytest.mark.parametrize("url", ["ftp://example.test/", "http:///x", "http://[::1", "https://a..b/", "http://:80/"])
async def test_an_address_that_is_none_is_told(url: str) -> None:
    upstream = Upstream()
    with pytest.raises(UpstreamError, match=r"not a valid URL|cannot be reached") as caught:
        await upstream.open(UpstreamRequest("GET", url), connect_s=5)
    assert not caught.value.sent


class Resolver:
    """Knows one address, or none."""

    def __init__(self, port: int | None) -> None:
        self.asked = 0
        self._port = port

    async def look_up(self, _: Origin) -> list[Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self._port is None:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", self._port))]


async def test_a_name_is_looked_up_once_for_a_burst() -> None:
    async with open_site() as (site, _):
        resolver = Resolver(site.port)
        pool = Pool(Dialer(TLS, look_up=resolver.look_up))
        opened = await asyncio.gather(*(pool.take(Origin("http", "many.test", 80), 5) for _ in range(20)))
        for connection in opened:
            connection.abort()
    assert resolver.asked == 1


async def test_a_name_that_is_not_found_is_looked_up_again() -> None:
    """A resolver that was down for a moment is no reason to fail for ten seconds."""
    resolver = Resolver(None)
    pool = Pool(Dialer(TLS, look_up=resolver.look_up))
    for _ in range(2):
        with pytest.raises(UpstreamError, match="cannot be reached"):
            await pool.take(Origin("http", "none.test", 80), 5)
        await asyncio.sleep(0.01)
    assert resolver.asked == 2


async def test_an_upstream_that_does_not_finish_the_handshake_was_not_asked() -> None:
    """TLS belongs to connecting; and no socket is left open."""
    released = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        released.set()

    upstream = Upstream()
    async with tcp_server(stall) as port:
        before = psutil.Process().num_fds()
        with pytest.raises(UpstreamError) as caught:
            await upstream.open(UpstreamRequest("GET", f"https://127.0.0.1:{port}/"), connect_s=0.05)
        assert (caught.value.fault, caught.value.code, caught.value.sent) == (Fault.TIMED_OUT, "connect_timeout", False)
        async with asyncio.timeout(5):
            await released.wait()
        await asyncio.sleep(0)
        assert psutil.Process().num_fds() <= before


async def test_whoever_gives_up_while_connecting_leaves_no_connection() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    async with tcp_server(serve) as port:
        asking = asyncio.ensure_future(
            Upstream().open(UpstreamRequest("GET", f"http://127.0.0.1:{port}/"), connect_s=5)
        )
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(5):
            await ended.wait()
