"""Opens connections to upstreams: TCP to the first address that answers, TLS, and outbound proxies."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import aiohappyeyeballs

from worker.faults import Fault, UpstreamError, not_connected
from worker.http1.connection import Connection

_KNOWN_S: Final = 10.0
_NEXT_ADDRESS_S: Final = 0.25


class Origin(NamedTuple):
    """`host` without the brackets of an IPv6 address."""

    scheme: str
    host: str
    port: int


class Proxy(NamedTuple):
    """`authorization` is a whole header line, or nothing: what it wants to see in each request that it reads itself."""

    origin: Origin
    authorization: bytes


LookUp = Callable[[Origin], Coroutine[Any, Any, Sequence[Any]]]
"""What getaddrinfo says of an origin. Raises OSError."""


class Dialer:
    """With a `proxy`, http:// goes through it in the clear and https:// through a tunnel (CONNECT)."""

    def __init__(self, tls: ssl.SSLContext, proxy: Proxy | None = None, look_up: LookUp | None = None) -> None:
        self.proxy = proxy
        self._tls = tls
        self._ask_resolver = look_up or _ask_resolver
        self._found: dict[Origin, asyncio.Task[Sequence[Any]]] = {}

    async def dial(self, origin: Origin, connect_s: float) -> Connection:
        """Raises UpstreamError; nothing was sent then."""
        try:
            async with asyncio.timeout(connect_s):
                return await (self._connect(origin) if self.proxy is None else self._through(self.proxy, origin))
        except TimeoutError:
            raise not_connected() from None
        except ssl.SSLCertVerificationError as error:
            raise _unreached("The upstream's TLS certificate is not valid.") from error
        except UnicodeError as error:  # a name that is none
            raise _unreached("The upstream's address is not a valid URL.") from error
        except OSError as error:
            raise _unreached("The upstream cannot be reached.") from error

    async def _connect(self, origin: Origin) -> Connection:
        address = await aiohappyeyeballs.start_connection(
            await self._look_up(origin), happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1
        )
        secured: dict[str, Any] = {}
        if origin.scheme == "https":
            secured = {"ssl": self._tls, "server_hostname": origin.host}
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, sock=address, **secured)
        return connection

    async def _look_up(self, origin: Origin) -> Sequence[Any]:
        """Once in ten seconds, however many connections are opened meanwhile."""
        loop = asyncio.get_running_loop()
        looking = self._found.get(origin)
        if looking is None:
            looking = self._found[origin] = loop.create_task(self._ask_resolver(origin))
            looking.add_done_callback(partial(self._forget_later, origin))
        return await asyncio.shield(looking)

    def _forget_later(self, origin: Origin, looked_up: asyncio.Task[Sequence[Any]]) -> None:
        failed = looked_up.cancelled() or looked_up.exception() is not None
        asyncio.get_running_loop().call_later(0 if failed else _KNOWN_S, self._found.pop, origin, None)

    async def _through(self, proxy: Proxy, origin: Origin) -> Connection:
        try:
            connection = await self._connect(proxy.origin)
            if origin.scheme == "http":
                return connection
            await _open_tunnel(connection, origin, proxy.authorization)
        except TimeoutError:
            raise
        except (OSError, UnicodeError, UpstreamError) as error:
            raise proxy_failed() from error
        secured = Connection()
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(connection.transport, secured, self._tls, server_hostname=origin.host)
        assert transport is not None
        secured.connection_made(transport)
        return secured


async def _ask_resolver(origin: Origin) -> Sequence[Any]:
    return await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)


async def _open_tunnel(connection: Connection, origin: Origin, authorization: bytes) -> None:
    """Raises UpstreamError where the proxy refuses."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    place = f"{host}:{origin.port}".encode()
    try:
        await connection.exchange(b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (place, place, authorization))
    except BaseException:
        connection.abort()
        raise
    if connection.status != HTTPStatus.OK:
        connection.abort()
        raise proxy_failed()


def proxy_failed() -> UpstreamError:
    return _unreached("The outbound proxy cannot be reached or refused.")


def _unreached(said: str) -> UpstreamError:
    return UpstreamError(Fault.UPSTREAM_FAULT, said, sent=False)
