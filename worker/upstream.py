"""The only HTTP client: sends requests to upstreams, gives their bytes, says what went wrong as an UpstreamError.

httpx's request and response types over its aiohttp transport, called without httpx's client layer: nothing here follows
redirects, keeps cookies or decodes bodies. One connection pool per outbound proxy; accounts share connections, never
state.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from http import HTTPStatus

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from worker.faults import Fault, UpstreamError, not_connected
from worker.providers.contract import USER_AGENT, UpstreamRequest, UpstreamResponse

_ERROR_BODY_S = 10.0
_MOST_ERROR_BYTES = 256 * 1024
_url = lru_cache(maxsize=256)(httpx.URL)  # taking one to pieces costs as much as the rest of a request
_KEPT_ALIVE_S = 30.0
_OURS = (("accept-encoding", "identity"), ("user-agent", USER_AGENT))


class UpstreamBody:
    """An answer whose headers have arrived. `async for` gives bytes as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        try:
            async for data in stream:
                yield data
        except httpx.HTTPError as error:
            raise _translate(error) from error

    async def read(self, most_bytes: int) -> bytes:
        """The whole body. Raises UpstreamError above `most_bytes`."""
        parts, size = [], 0
        async for data in self:
            size += len(data)
            if size > most_bytes:
                raise UpstreamError(Fault.UPSTREAM_FAULT, f"The upstream's answer is larger than {most_bytes} bytes.")
            parts.append(data)
        return b"".join(parts)

    async def aclose(self) -> None:
        """Gives the connection back if the body was read to its end, else closes it, which tells the upstream."""
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        await stream.aclose()


class Upstream:
    """All connections to upstreams."""

    def __init__(self) -> None:
        self._transports: dict[str | None, AiohttpTransport] = {}
        self._tls = ssl.create_default_context()

    async def open(self, request: UpstreamRequest, *, connect_s: float, proxy: str | None = None) -> UpstreamBody:
        """Sends and awaits the headers. Raises UpstreamError; the caller bounds the wait for the headers."""
        timeout = {"connect": connect_s, "read": None, "write": None, "pool": None}
        headers = [*_missing(request), *request.headers]
        try:
            if proxy and request.url.startswith("http:"):  # no tunnel: the proxy reads the request's own headers
                headers += _authorization(httpx.URL(proxy))
            message = httpx.Request(
                request.method,
                _url(request.url),
                headers=headers,
                content=request.body,
                extensions={"timeout": timeout},
            )
            body = UpstreamBody(await self._transport(proxy).handle_async_request(message))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _translate(error) from error
        if body.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:  # told so only where no tunnel is needed
            await body.aclose()
            raise _proxy_failed()
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
        for transport in self._transports.values():
            await transport.aclose()

    def _transport(self, proxy: str | None) -> AiohttpTransport:
        transport = self._transports.get(proxy)
        if transport is None:
            transport = self._transports[proxy] = AiohttpTransport(
                verify=self._tls,
                trust_env=False,
                proxy=_proxy(httpx.URL(proxy)) if proxy else None,
                client=self._session(),
            )
        return transport

    def _session(self) -> aiohttp.ClientSession:
        """No limit on connections, for limits are the accounts' business, and no cookie jar, for accounts share it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=_KEPT_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


def _proxy(url: httpx.URL) -> httpx.Proxy:
    """Its user and password go into a header, for aiohttp's own argument for them is deprecated."""
    return httpx.Proxy(url.copy_with(userinfo=b""), headers=_authorization(url))


def _authorization(proxy: httpx.URL) -> list[tuple[str, str]]:
    if not proxy.userinfo:
        return []
    told = b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    return [("proxy-authorization", f"Basic {told}")]


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


def _proxy_failed() -> UpstreamError:
    return UpstreamError(Fault.UPSTREAM_FAULT, "The outbound proxy cannot be reached or refused.", sent=False)


def _translate(error: httpx.HTTPError | httpx.InvalidURL) -> UpstreamError:
    """By the transport's own exception: httpx-aiohttp shows a disconnect after a POST as ConnectTimeout."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return not_connected()
    if isinstance(cause, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return _proxy_failed()
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's TLS certificate is not valid.", sent=False)
    if isinstance(cause, aiohttp.ClientConnectorError):
        return UpstreamError(Fault.UPSTREAM_FAULT, "The upstream cannot be reached.", sent=False)
    if isinstance(cause, aiohttp.InvalidURL) or isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's address is not a valid URL.", sent=False)
    if isinstance(error, httpx.ReadError | httpx.ConnectTimeout | httpx.RemoteProtocolError):
        return UpstreamError(Fault.UPSTREAM_FAULT, "The upstream closed the connection before its answer was complete.")
    if isinstance(error, httpx.TimeoutException):
        return UpstreamError(Fault.TIMED_OUT, "The upstream timed out.")
    return UpstreamError(Fault.UPSTREAM_FAULT, f"The exchange with the upstream failed ({type(error).__name__}).")
