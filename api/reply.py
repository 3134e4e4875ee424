"""Gives a client its answer: SSE for a stream, one JSON body otherwise, and the truth when it fails."""

import time
from collections.abc import Callable
from typing import Any

import orjson
from starlette.types import Send

from api.errors import error_headers
from api.inbox import Delivery
from api.pending import Pending
from shared.catalogue import FrontPolicy
from shared.errors import GatewayError
from shared.frames import Kind

DONE = b"data: [DONE]\n\n"
_EVENT_END = b"\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
Header = tuple[bytes, bytes]
_STREAM_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Reply:
    """One response. Its status waits for the first content or error, so that early failures keep their own status.

    `write`, where the server has it (see Protocol), sends a part of a body that has begun without a task's help.
    """

    def __init__(self, send: Send, policy: FrontPolicy, write: Callable[[bytes], bool] | None = None) -> None:
        self.status = 0
        self.about: dict[str, Any] = {}
        self.end: dict[str, Any] = {}
        self.error: GatewayError | None = None
        self.own_fault_type = ""  # in place of OpenAI's type for failures that are not the client's
        self.first_content_at: float | None = None  # time.perf_counter()
        self._send = send
        self._write = write
        self._headers: list[Header] = []
        self._within_event = False  # of a large event, a part was sent
        self._policy = policy

    async def stream(self, pending: Pending) -> bool:
        """True when a terminal frame arrived; False when the client left or we gave up. Never raises GatewayError."""
        while True:
            try:
                timeout_s = self._policy.keep_alive_s if self.status else self._policy.commit_after_s
                deliveries = await pending.next(timeout_s, self._pass_chunks if self.first_content_at else None)
            except GatewayError as error:
                await self._fail(error, [])
                return False
            if pending.left:
                return False
            if not deliveries:
                if not self._within_event:
                    await self._send_events([KEEP_ALIVE])
            elif await self._pass_on(deliveries):
                return True

    def _pass_chunks(self, deliveries: list[Delivery]) -> bool:
        """True if they are no more than events, and the server has taken them at once."""
        if self._write is None or deliveries[-1][0] != Kind.CHUNK:  # what is none ends the answer
            return False
        body = deliveries[0][1] if len(deliveries) == 1 else b"".join([events for _, events in deliveries])
        if not self._write(body):
            return False
        self._within_event = not body.endswith(_EVENT_END)
        return True

    async def _pass_on(self, deliveries: list[Delivery]) -> bool:
        """True if that was the end."""
        events = []
        for kind, payload in deliveries:
            if kind == Kind.CHUNK:
                self._note_content()
                events.append(payload)
            elif kind == Kind.START:
                self.about = payload
            elif kind == Kind.END:
                self.end = payload
                if payload["done"]:
                    events.append(DONE)
                await self._send_events(events, last=True)
                return True
            elif kind == Kind.ERROR:
                await self._fail(GatewayError.from_data(payload), events)
                return True
        if events:
            await self._send_events(events)
        return False

    async def _send_events(self, events: list[bytes], *, last: bool = False) -> None:
        if not self.status:
            await self._start(200, _STREAM_HEADERS)
        body = events[0] if len(events) == 1 else b"".join(events)
        self._within_event = not body.endswith(_EVENT_END)
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def whole(self, pending: Pending) -> bool:
        """As `stream`, for a client that did not ask for one."""
        parts: list[bytes] = []
        while True:
            try:
                deliveries = await pending.next()
            except GatewayError as error:
                await self._fail(error, [])
                return False
            if pending.left:
                return False
            for kind, payload in deliveries:
                if kind == Kind.RESULT:
                    self._note_content()
                    parts.append(payload)
                elif kind == Kind.START:
                    self.about = payload
                elif kind == Kind.END:
                    self.end = payload
                    await self._send_json(200, b"".join(parts))
                    return True
                elif kind == Kind.ERROR:
                    await self._fail(GatewayError.from_data(payload), [])
                    return True

    def _note_content(self) -> None:
        if self.first_content_at is None:
            self.first_content_at = time.perf_counter()

    async def fail(self, error: GatewayError) -> None:
        """For what is refused before it is queued."""
        await self._fail(error, [])

    async def _fail(self, error: GatewayError, events: list[bytes]) -> None:
        """With its status while none was sent, else as an event that the OpenAI SDKs raise on; never with [DONE]."""
        self.error = error
        if self.own_fault_type and error.type == GatewayError.default_type:
            error.type = self.own_fault_type
        body = orjson.dumps(error.body())
        if self.status or events:
            within = self._within_event if not events else not events[-1].endswith(_EVENT_END)
            await self._send_events([*events, *([_EVENT_END] if within else []), b"data: %b\n\n" % body], last=True)
            return
        self._headers += [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
        await self._send_json(error.status, body)

    async def _send_json(self, status: int, body: bytes) -> None:
        await self._start(status, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))])
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, status: int, headers: list[Header]) -> None:
        self.status = status
        told = [
            (b"x-penstock-%b" % name.replace("_", "-").encode(), str(self.about[name]).encode())
            for name in ("provider", "attempts", "queue_ms")
            if name in self.about
        ]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *self._headers, *told]}
        )
