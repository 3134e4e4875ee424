"""uvicorn's HTTP protocol, with bounds on what a client may do, and refusals in OpenAI's shape."""

from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.errors import GatewayError, InvalidRequest

WRITE: Final = "penstock.write"
"""An ASGI extension, this server's own: `{"write": function}`, see Protocol._write."""
_LINGER_S: Final = 1.0
_MOST_AHEAD: Final = 8
_FRAMING: Final = {b"content-length", b"transfer-encoding"}


class Protocol(HttpToolsProtocol):
    """uvicorn bounds neither a head's size and time nor a client that does not read, and refuses in plain text."""

    most_head_bytes: ClassVar[int] = 64 * 1024
    head_timeout_s: ClassVar[float] = 30.0
    stall_timeout_s: ClassVar[float] = 60.0
    _head_bytes: int | None = None  # of the head that is coming in; None between heads
    _head_timer: TimerHandle | None = None
    _stall_timer: TimerHandle | None = None
    _shared = False  # what was read last is of an earlier request as well
    _refused = False
    _told = False  # the parser reads a head that we wrote
    _answered: Any = None  # the request whose answer is under way or was last; `cycle` is the one that was read last

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._shared = False
        self._feed(data)
        # A head that came whole has ended by now.
        if self._head_bytes is not None:
            self._watch_head(0 if self._shared else len(data))

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(
                InvalidRequest("This is no valid HTTP request: check its headers and framing.", code="invalid_http")
            )

    def _decline_upgrade(self, rest: bytes) -> None:
        """Goes on in HTTP/1.1, as a server may that does not want to change.

        The parser takes what follows such a head for another protocol. Java's client and `curl --http2` offer one with
        each POST, and their bodies would be lost; so a new parser is told of the body, then gets it.
        """
        self.parser = httptools.HttpRequestParser(self)
        self._told = True
        framing = [b"%b: %b\r\n" % item for item in self.headers if item[0] in _FRAMING]
        self.cycle.more_body = True
        self._feed(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
        self._told = False
        self._feed(rest)

    def _watch_head(self, size: int) -> None:
        assert self._head_bytes is not None
        self._head_bytes += size
        if self._head_bytes > self.most_head_bytes:
            self._refuse(
                InvalidRequest(
                    f"The request's headers are larger than {self.most_head_bytes} bytes. Send fewer or shorter ones.",
                    status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    code="headers_too_large",
                )
            )
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._refuse_slow_head)

    def on_message_begin(self) -> None:
        if not self._told:
            self._head_bytes = 0
            super().on_message_begin()

    def on_message_complete(self) -> None:
        self._shared = True
        super().on_message_complete()

    def on_url(self, url: bytes) -> None:
        if not self._told:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._told:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._told:
            self._end_head()
            self.scope["extensions"] = {WRITE: {"write": self._write}}
            super().on_headers_complete()
            if 0 < len(self.pipeline) < _MOST_AHEAD:
                self.flow.resume_reading()  # where nothing is read, nobody sees the client leave

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _write(self, body: bytes) -> bool:
        """A part of a body in chunks that has begun, sent at once. False, and nothing is done, where `send` would wait:
        ASGI's own `send` is a coroutine, and a task that is woken for each chunk costs more than sending it.
        """
        cycle = self._answered
        if not cycle.chunked_encoding or cycle.response_complete or cycle.disconnected or self.flow.write_paused:
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._end_stall()
        self._end_answer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Closed at once, as uvicorn does it, an idle connection loses the request that may be on its way."""
        self.timeout_keep_alive = self.config.timeout_keep_alive
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_stall()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_stall()

    def _watch_stall(self) -> None:
        unread: int = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self.stall_timeout_s, self._end_stalled, unread)

    def _end_stalled(self, unread: int) -> None:
        """A client that takes nothing for so long would hold its part of the answer in our memory for ever."""
        if self.transport.get_write_buffer_size() >= unread:
            self.transport.abort()
        else:
            self._watch_stall()

    def _end_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _end_head(self) -> None:
        self._head_bytes = None
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_slow_head(self) -> None:
        self._refuse(
            InvalidRequest(
                "The request's headers did not arrive in time. Send them whole.",
                status=HTTPStatus.REQUEST_TIMEOUT,
                code="request_timeout",
            )
        )

    def _refuse(self, error: GatewayError) -> None:
        self._refused = True
        self._end_head()
        if self._end_answer():
            self.transport.close()  # a second answer in the midst of the first would be taken for a part of it
            return
        body = orjson.dumps(error.body())
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[error.status] + head + body)
        # Closing while the client still sends would reset the connection before it has read this.
        self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _end_answer(self) -> bool:
        """Tells the application that its client has left. True if an answer had begun."""
        cycle = self._answered
        if cycle is None or cycle.response_complete:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        return bool(cycle.response_started)
