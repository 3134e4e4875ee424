"""The HTTP client towards upstreams: sends requests, gives their answers' bytes, says what went wrong as UpstreamError.

Nothing here follows redirects, keeps cookies or decodes bodies. One connection pool per outbound proxy; accounts share
connections, never state.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus

import httpx

from worker.faults import Fault, UpstreamError
from worker.http1.connection import Connection
from worker.http1.dial import Dialer, Origin, Proxy, proxy_failed
from worker.http1.pool import Pool
from worker.providers.contract import USER_AGENT, UpstreamRequest, UpstreamResponse

_ERROR_BODY_S = 10.0
_MOST_ERROR_BYTES = 256 * 1024
_url = lru_cache(maxsize=256)(httpx.URL)  # taking one to pieces costs as much as the rest of a request
_OURS = (("accept", "*/*"), ("accept-encoding", "identity"), ("user-agent", USER_AGENT))
_SCHEMES = ("http", "https")
_NOT_IN_A_HEADER = re.compile(rb"[\r\n\0]")


class UpstreamBody:
    """An answer whose headers have arrived."""

    def __init__(self, pool: Pool, origin: Origin, connection: Connection) -> None:
        self._pool = pool
        self._origin = origin
        self._connection: Connection | None = connection
        self.pump = connection.pump
        """Gives the body to a function, piece by piece; see Connection.pump."""
        self.status = connection.status
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in connection.headers
        }

    async def read(self, most_bytes: int, heard: Callable[[], None] = lambda: None) -> bytes:
        """The whole body; calls `heard` for each piece. Raises UpstreamError above `most_bytes`."""
        whole = bytearray()

        def take(data: bytes) -> bool:
            whole.extend(data)
            if len(whole) > most_bytes:
                raise too_large(most_bytes)
            heard()
            return True

        await self.pump(take)
        return bytes(whole)

    async def read_end(self) -> None:
        """What follows the end marker is the end of the body; a connection read to there can be used again."""
        if self._connection is not None and not self._connection.complete:
            try:
                async with asyncio.timeout(0.2):
                    await self.pump(lambda _: False)
            except (TimeoutError, UpstreamError):
                return

    async def aclose(self) -> None:
        """Gives the connection back if the body was read to its end, else closes it, which tells the upstream."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(self._origin, connection)


class Upstream:
    """All connections to upstreams."""

    def __init__(self) -> None:
        self._pools: dict[str | None, tuple[Dialer, Pool]] = {}
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def open(self, request: UpstreamRequest, *, connect_s: float, proxy: str | None = None) -> UpstreamBody:
        """Sends and awaits the headers. Raises UpstreamError; the caller bounds the wait for the headers."""
        try:
            url = _url(request.url)
            origin = _origin(url)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise _invalid("The upstream's address is not a valid URL.") from error
        if origin.scheme not in _SCHEMES or not origin.host:
            raise _invalid("The upstream's address is not a valid URL.")
        dialer, pool = self._pool(proxy)
        # Without a tunnel the proxy reads the request's own head.
        head = _head(request, url, dialer.proxy if origin.scheme == "http" else None)
        connection = await pool.take(origin, connect_s)
        body: UpstreamBody | None = None
        try:
            await connection.exchange(head, request.body)
            body = UpstreamBody(pool, origin, connection)
        finally:
            if body is None:
                connection.abort()
        if body.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:  # told so only where no tunnel is needed
            await body.aclose()
            raise proxy_failed()
        return body

    async def fetch(
        self, request: UpstreamRequest, *, connect_s: float, total_s: float, most_bytes: int, proxy: str | None = None
    ) -> UpstreamResponse:
        """A whole answer, whatever its status. Raises UpstreamError."""
        try:
            async with asyncio.timeout(total_s):
                body = await self.open(request, connect_s=connect_s, proxy=proxy)
                try:
                    return UpstreamResponse(body.status, body.headers, await body.read(most_bytes))
                finally:
                    await body.aclose()
        except TimeoutError as error:
            raise UpstreamError(Fault.TIMED_OUT, f"The upstream did not answer within {total_s:g} s.") from error

    async def aclose(self) -> None:
        for _, pool in self._pools.values():
            pool.close()

    def _pool(self, proxy: str | None) -> tuple[Dialer, Pool]:
        found = self._pools.get(proxy)
        if found is None:
            dialer = Dialer(self._tls, _proxy(httpx.URL(proxy)) if proxy else None)
            found = self._pools[proxy] = dialer, Pool(dialer)
        return found


def _origin(url: httpx.URL) -> Origin:
    return Origin(url.scheme, url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80))


def _proxy(url: httpx.URL) -> Proxy:
    told = b64encode(f"{url.username}:{url.password}".encode())
    return Proxy(_origin(url), b"proxy-authorization: Basic %b\r\n" % told if url.userinfo else b"")


def _head(request: UpstreamRequest, url: httpx.URL, proxy: Proxy | None) -> bytes:
    """The request up to its body, in absolute form where a proxy forwards it. httpx adds Host and Content-Length."""
    message = httpx.Request(request.method, url, headers=[*_missing(request), *request.headers], content=request.body)
    target = url.raw_path if proxy is None else b"%b://%b%b" % (url.raw_scheme, url.netloc, url.raw_path)
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method.encode(), target)]
    for name, value in message.headers.raw:
        if _NOT_IN_A_HEADER.search(value) or _NOT_IN_A_HEADER.search(name):
            raise _invalid(f"The header {name.decode('latin-1')!r} cannot be sent: there is a line break in it.")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join([*lines, proxy.authorization if proxy else b"", b"\r\n"])


def _missing(request: UpstreamRequest) -> list[tuple[str, str]]:
    """Our headers, where the provider did not set them itself."""
    given = {name.lower() for name, _ in request.headers}
    return [(name, value) for name, value in _OURS if name not in given]


async def error_body(body: UpstreamBody, within_s: float) -> bytes:
    """What an error answer says: at most 256 KiB, and nothing where it breaks off or stalls. Its status tells then."""
    try:
        async with asyncio.timeout(min(within_s, _ERROR_BODY_S)):
            return await body.read(_MOST_ERROR_BYTES)
    except (UpstreamError, TimeoutError):
        return b""


def too_large(most_bytes: int) -> UpstreamError:
    return UpstreamError(Fault.UPSTREAM_FAULT, f"The upstream's answer is larger than {most_bytes} bytes.")


def _invalid(said: str) -> UpstreamError:
    return UpstreamError(Fault.UPSTREAM_FAULT, said, sent=False)
