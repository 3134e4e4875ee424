"""Both drivers through proxies with a password, and over TLS, to real servers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from tests.outbound import Authority, Proxy, tcp_server
from tests.servers import free_port
from tests.worker.answers import messages_of
from worker import websocket
from worker.faults import Fault, UpstreamError
from worker.providers.contract import Framing, UpstreamRequest
from worker.upstream import Upstream
from worker.websocket import open_socket

# Names that only the proxy can resolve.
CLEAR, SECURE = "clear.test", "secure.test"
Ask = Callable[[str, str | None], Awaitable[str]]


async def answer(request: web.Request) -> web.StreamResponse:
    """Says what it heard: over HTTP in the body, else in the first message."""
    if request.headers.get("upgrade") != "websocket":
        assert "proxy-authorization" not in request.headers
        return web.Response(text=f"{request.path_qs} {request.headers['x-key']} {await request.text()}")
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    message = await socket.receive()
    if message.type is WSMsgType.TEXT:
        await socket.send_str(f"{request.path_qs} {request.headers['x-key']} {message.data}")
    await socket.close()
    return socket


async def ask_http(url: str, proxy: str | None) -> str:
    upstream = Upstream()
    try:
        request = UpstreamRequest("POST", f"http{url}", (("x-key", "k"),), b"hello")
        told = await upstream.fetch(request, connect_s=5, total_s=5, most_bytes=1000, proxy=proxy)
        return told.body.decode()
    finally:
        await upstream.aclose()


def refused(status: int, headers: object, body: bytes) -> UpstreamError:
    return UpstreamError(Fault.CREDENTIAL_REJECTED, f"{status} {headers} {body.decode()}")


async def ask_socket(url: str, proxy: str | None) -> str:
    headers = (("x-key", "k"),)
    request = UpstreamRequest("GET", f"ws{url}", headers, framing=Framing.WEBSOCKET, messages=("hello",))
    socket = await open_socket(request, connect_s=5, proxy=proxy, max_event_bytes=1000, refused=refused)
    try:
        return b"".join(await messages_of(socket)).decode()
    finally:
        await socket.aclose()


@pytest.fixture(params=[ask_http, ask_socket], ids=["http", "websocket"])
def ask(request: pytest.FixtureRequest) -> Ask:
    chosen: Ask = request.param
    return chosen


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """It is trusted in place of all others, as an operator would say it."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    websocket._tls.cache_clear()
    yield authority
    websocket._tls.cache_clear()


@dataclass
class Site:
    """An upstream in clear and over TLS."""

    port: int
    tls_port: int


@pytest.fixture
async def site(authority: Authority) -> AsyncIterator[Site]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    found = Site(free_port(), free_port())
    tls = authority.server(CLEAR, SECURE, "localhost")
    await web.TCPSite(runner, "127.0.0.1", found.port).start()
    await web.TCPSite(runner, "127.0.0.1", found.tls_port, ssl_context=tls).start()
    yield found
    await runner.cleanup()


@pytest.fixture
def proxy(site: Site) -> Proxy:
    return Proxy("us er", "p@ss", {CLEAR: site.port, SECURE: site.tls_port})


@pytest.mark.parametrize("secured", [False, True], ids=["http-proxy", "https-proxy"])
@pytest.mark.parametrize("url", [f"://{CLEAR}/a?b=c", f"s://{SECURE}/a?b=c"], ids=["clear", "tls"])
async def test_a_proxy_with_a_password_leads_to_the_upstream(
    ask: Ask, proxy: Proxy, authority: Authority, url: str, *, secured: bool
) -> None:
    """User and password of its URL are decoded; names are its to resolve; what is secret goes through a tunnel."""
    async with tcp_server(proxy.serve, authority.server("localhost") if secured else None) as port:
        address = f"http{'s' if secured else ''}://us%20er:p%40ss@localhost:{port}"
        assert await ask(url, address) == "/a?b=c k hello"
    tunnelled = url.startswith("s") or ask is ask_socket
    expected = f"CONNECT {SECURE}:443" if url.startswith("s") else f"CONNECT {CLEAR}:80"
    assert proxy.heads == [f"{expected} HTTP/1.1" if tunnelled else f"POST http{url} HTTP/1.1"]


@pytest.mark.parametrize("url", [f"://{CLEAR}/", f"s://{SECURE}/"], ids=["clear", "tls"])
async def test_a_proxy_that_refuses_is_named_without_its_password(ask: Ask, proxy: Proxy, url: str) -> None:
    """The upstream was not asked, nobody's key is to blame, and the error shows no secret."""
    async with tcp_server(proxy.serve) as port:
        with pytest.raises(UpstreamError, match="outbound proxy") as caught:
            await ask(url, f"http://user:hunter2@localhost:{port}")
    assert (caught.value.fault, caught.value.sent) == (Fault.UPSTREAM_FAULT, False)
    assert "hunter2" not in caught.value.message
    assert proxy.heads == []


async def test_a_proxy_that_is_not_there_was_not_asked(ask: Ask) -> None:
    with pytest.raises(UpstreamError, match="cannot be") as caught:
        await ask(f"s://{SECURE}/", f"http://u:hunter2@localhost:{free_port()}")
    assert not caught.value.sent
    assert "hunter2" not in caught.value.message


async def test_tls_is_spoken_with_whom_the_operator_trusts(ask: Ask, site: Site) -> None:
    assert await ask(f"s://localhost:{site.tls_port}/x", None) == "/x k hello"


async def test_a_certificate_of_nobody_known_is_refused(ask: Ask, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent to whoever it is."""
    monkeypatch.delenv("SSL_CERT_FILE")
    websocket._tls.cache_clear()
    with pytest.raises(UpstreamError, match="certificate") as caught:
        await ask(f"s://localhost:{site.tls_port}/x", None)
    assert not caught.value.sent


async def test_a_certificate_for_another_name_is_refused(ask: Ask, site: Site) -> None:
    with pytest.raises(UpstreamError, match="certificate"):
        await ask(f"s://127.0.0.1:{site.tls_port}/x", None)
