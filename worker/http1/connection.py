"""One HTTP/1.1 connection to an upstream: a request goes out, its answer's bytes go to whoever reads them.

They are handed over in the very call that brings them from the network. Waking a task for each chunk of a stream would
cost more than all else that is done with it. Source: RFC 9112; the parser is llhttp.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools

from worker.faults import Fault, UpstreamError

Take = Callable[[bytes], bool]
"""Gets a piece of a body; False says that no more is wanted now."""
_MOST_HEAD_BYTES = 64 * 1024
_MOST_WAITING_BYTES = 64 * 1024
"""More is not read from the network while nobody takes it."""


class Connection(asyncio.Protocol):
    """`exchange`, then `pump` to the end of the body; then, if it is `reusable`, from the beginning."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = True
        """The answer was read to its end."""
        self.idle_since = 0.0  # the loop's clock, s
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._head_read = False
        self._head_bytes = 0
        self._ends_with_connection = False
        self._keeps_alive = False
        self._failure: UpstreamError | None = None
        self._lost = False
        self._parts: list[bytes] = []
        self._waiting_bytes = 0
        self._paused = False
        self._take: Take | None = None
        self._taker_raised: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # ---- for whoever uses it

    async def exchange(self, head: bytes, body: bytes = b"") -> None:
        """Sends a request and awaits the head of its answer: `status` and `headers`. Raises UpstreamError."""
        self._parser = httptools.HttpResponseParser(self)
        # As browsers and other clients read what servers in the wild write.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self.complete = self._head_read = False
        self._head_bytes = 0
        self._failure = _broken_off() if self._lost else None
        if self._failure is None:
            self._transport.writelines([head, body])
        while not self._head_read:
            await self._news()

    async def pump(self, take: Take) -> bool:
        """Gives the body to `take`, piece by piece; True at its end, False when `take` wanted no more. Raises
        UpstreamError, and whatever `take` raises.
        """
        if self._parts and not take(self._taken()):
            return False
        while not self.complete:
            self._take = take
            try:
                await self._news()
            finally:
                wanted, self._take = self._take is not None, None
            if self._taker_raised is not None:
                error, self._taker_raised = self._taker_raised, None
                raise error
            if not wanted:
                return False
        return True

    @property
    def reusable(self) -> bool:
        sent = self.complete and not self._transport.get_write_buffer_size()
        return sent and self._keeps_alive and not (self._parts or self._lost or self._transport.is_closing())

    @property
    def transport(self) -> asyncio.Transport:
        return self._transport

    def abort(self) -> None:
        """At once, which tells the upstream that nobody wants its answer."""
        self._transport.abort()

    async def _news(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _taken(self) -> bytes:
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._waiting_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    # ---- what the network brings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class in truth

    def data_received(self, data: bytes) -> None:
        if self.complete:  # nobody asked for anything
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's answer is not valid HTTP."))
        if not self._head_read:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self._fail(UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's headers are too large."))
        elif self._parts:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._take is None:
            if self._waiting_bytes > _MOST_WAITING_BYTES and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            return
        try:
            if self._take(self._taken()):
                return
        except Exception as error:  # noqa: BLE001  it is raised where `take` came from
            self._taker_raised = error
        self._take = None
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self.complete:
            return
        if exc is None and self._head_read and self._ends_with_connection:
            self._end()
        else:
            self._fail(_broken_off())

    def _fail(self, error: UpstreamError) -> None:
        if not self.complete and self._failure is None:
            self._failure = error
            self._wake()
        self._transport.abort()

    def _end(self) -> None:
        self.complete = True
        self._wake()

    # ---- what the parser finds

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("an answer without a request")
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_read:  # later ones are trailers
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < HTTPStatus.OK:  # 100 or 103: the answer is still to come
            return
        self._keeps_alive = self._parser.should_keep_alive()
        framing = {name.lower(): value.lower() for name, value in self.headers}
        self._ends_with_connection = not (
            b"content-length" in framing or b"chunked" in framing.get(b"transfer-encoding", b"")
        )
        self._head_read = True
        self._wake()

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)
        self._waiting_bytes += len(data)

    def on_message_complete(self) -> None:
        if self._head_read:
            self._end()


def _broken_off() -> UpstreamError:
    return UpstreamError(Fault.UPSTREAM_FAULT, "The upstream closed the connection before its answer was complete.")
