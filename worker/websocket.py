"""The driver for upstreams that speak over a WebSocket: opens, sends the request's messages, gives theirs.

It follows no redirects, keeps no cookies and logs nothing, for its library's debug log would show prompts.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Mapping
from functools import cache

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.frames import CloseCode

from worker.faults import Fault, UpstreamError, not_connected
from worker.http1.connection import Take
from worker.providers.contract import USER_AGENT, UpstreamRequest

_GOODBYE_S = 0.5
_SILENT = logging.getLogger("worker.websocket.library")
_SILENT.disabled = True

Refused = Callable[[int, Mapping[str, str], bytes], UpstreamError]
"""A provider's `parse_error`, asked when the handshake is answered with a status other than 101."""


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Where an upstream wants us to go is its answer, not our way: a redirect could carry secrets along."""
        return exc


class Socket:
    """An open connection on which the request was sent."""

    def __init__(self, connection: ClientConnection, max_event_bytes: int) -> None:
        self._connection = connection
        self._max_event_bytes = max_event_bytes
        answer = connection.response
        assert answer is not None
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in answer.headers.raw_items()}

    async def pump(self, take: Take) -> bool:
        """Gives the bytes of each message to `take`; True when the upstream has closed in order, False when `take`
        wanted no more. Raises UpstreamError for any other end, and whatever `take` raises.
        """
        while True:
            try:
                message = await self._connection.recv(decode=False)
            except ConnectionClosedOK:
                return True
            except ConnectionClosed as error:
                raise self._broken(error) from error
            if not take(message):
                return False

    async def aclose(self) -> None:
        """Says goodbye, which ends the upstream's work, and waits at most half a second for its answer."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._connection.close()
        except TimeoutError:
            pass
        finally:
            self._connection.transport.abort()

    async def send(self, messages: tuple[str, ...]) -> None:
        """Sends them all, unless the upstream closes: then what it sent before says why, and is still to be read."""
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                await self._connection.send(message)

    def _broken(self, error: ConnectionClosed) -> UpstreamError:
        if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
            said = f"The upstream sent a message of more than {self._max_event_bytes} bytes."
        elif error.rcvd is None:
            said = "The upstream broke the connection off."
        else:
            said = f"The upstream closed the connection with code {int(error.rcvd.code)}."
        return UpstreamError(Fault.UPSTREAM_FAULT, said)


async def open_socket(
    request: UpstreamRequest, *, connect_s: float, proxy: str | None, max_event_bytes: int, refused: Refused
) -> Socket:
    """Connects within `connect_s`, through `proxy` ("http://user:password@host:port") if given, and sends the messages.

    Raises UpstreamError: what `refused` makes of a handshake that is answered with another status than 101, and a
    fault with `sent` False where the upstream was not reached.
    """
    headers = [(name, value) for name, value in request.headers if name.lower() != "user-agent"]
    try:
        connection = await _Connect(
            request.url,
            additional_headers=headers,
            user_agent_header=USER_AGENT,
            proxy=proxy,
            compression=None,
            open_timeout=connect_s,
            ping_interval=None,
            close_timeout=_GOODBYE_S,
            max_size=max_event_bytes,
            logger=_SILENT,
            ssl=_tls() if request.url.startswith("wss:") else None,
        )
    except InvalidStatus as error:
        answer = error.response
        told = {name.lower(): value for name, value in answer.headers.raw_items()}
        raise refused(answer.status_code, told, bytes(answer.body or b"")) from error
    except (TimeoutError, OSError, InvalidHandshake, InvalidProxy, InvalidURI, ImportError, EOFError) as error:
        raise _unopened(error) from None  # its text may hold the address, which is signed, or the proxy's password
    socket = Socket(connection, max_event_bytes)
    try:
        await socket.send(request.messages)
    except BaseException:
        with contextlib.suppress(asyncio.CancelledError):
            await socket.aclose()
        raise
    return socket


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _unopened(error: Exception) -> UpstreamError:
    """Nothing of the request was sent. ImportError: a SOCKS proxy, which needs a further package."""
    if isinstance(error, TimeoutError):
        return not_connected()
    if isinstance(error, ProxyError | InvalidProxy | ImportError):
        said = "The outbound proxy cannot be used or refused."
    elif isinstance(error, InvalidURI):
        said = "The upstream's address is not a valid WebSocket URL."
    elif isinstance(error, InvalidHandshake | EOFError):
        said = "The upstream does not speak WebSocket at this address."
    elif isinstance(error, ssl.SSLCertVerificationError):
        said = "The upstream's TLS certificate is not valid."
    else:
        said = "The upstream cannot be reached."
    return UpstreamError(Fault.UPSTREAM_FAULT, said, sent=False)
