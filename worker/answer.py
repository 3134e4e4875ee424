"""One upstream's answer to one chat completion: sends the request, maps what comes, says how it ended.

A caller that asked for a stream gets ready SSE events, first the one with the first content: what comes before it waits
here, so that nothing is shown that another attempt would repeat. Other callers get the whole answer's JSON.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Protocol

from shared.frames import PART_BYTES
from worker.config.provider import Timeouts
from worker.deadline import BETWEEN_CHUNKS, FIRST_TOKEN, Deadline
from worker.exchange import Conversation
from worker.faults import MISSHAPEN, UNCERTAIN, UpstreamError, mask, misshapen
from worker.joining import join, split
from worker.providers.contract import (
    ChatCall,
    Chunk,
    Credential,
    Framing,
    JsonObject,
    LocalProvider,
    Provider,
    UpstreamRequest,
)
from worker.reading import MOST_EVENT_BYTES, Reading, is_stream, speaks
from worker.showing import Showing
from worker.upstream import Upstream, UpstreamBody, error_body
from worker.websocket import Socket, open_socket


class Sink(Protocol):
    """Where the rest of a stream goes; an Outlet is one."""

    @property
    def full(self) -> bool: ...

    def emit(self, events: bytes) -> None:
        """Ready SSE events, PART_BYTES of them at most."""

    async def stream(self, events: bytes) -> None:
        """Ready SSE events, as many as there are; returns when there is room for more."""

    async def drain(self) -> None:
        """Returns when there is room for more."""


class UpstreamAnswer:
    """`first`, then `rest`; and `aclose`, however they ended: that, and a cancellation, ends the upstream's work.
    When all is read, `usage` and `done` (the upstream's own end marker was seen) tell how it went, and
    `response_headers` what the upstream said of its limits. From the first content on, or the first of a whole answer,
    it is `speaking`.
    """

    def __init__(
        self,
        upstream: Upstream,
        provider: Provider,
        call: ChatCall,
        credential: Credential,
        timeouts: Timeouts,
        *,
        include_usage: bool,
        most_bytes: int,
        proxy: str | None = None,
    ) -> None:
        self.done = False
        self.response_headers: Mapping[str, str] = {}
        self._upstream = upstream
        self._provider = provider
        self._call = call
        self._credential = credential
        self._timeouts = timeouts
        self._out: Sink
        self._most_bytes = most_bytes
        self._proxy = proxy
        self.speaking = False
        self._held: list[bytes] = []  # events that are still to be given out
        self._showing = Showing(call, include_usage=include_usage)
        self._deadline: Deadline
        self._course = self._run()

    @property
    def usage(self) -> JsonObject | None:
        return self._showing.usage

    async def first(self) -> bytes | None:
        """The first content of a stream, or the whole answer; None if there is none. Raises UpstreamError, or
        InvalidRequest for what this upstream cannot do.
        """
        return await anext(self._course, None)

    async def rest(self, out: Sink) -> None:
        """Gives what follows to `out`. Raises UpstreamError."""
        self._out = out
        async for events in self._course:
            await out.stream(events)

    async def aclose(self) -> None:
        await self._course.aclose()

    async def _run(self) -> AsyncGenerator[bytes, None]:
        if isinstance(self._provider, LocalProvider):
            answer = self._showing.at_once(self._provider.local_answer(self._call))
            self.done = True
            yield answer
            return
        conversation = Conversation(
            self._upstream, self._provider, self._call, self._credential, self._timeouts, self._proxy
        )
        self._deadline = Deadline(self._timeouts.total_s)
        self._deadline.expect(FIRST_TOKEN, self._timeouts.first_token_s)
        body: UpstreamBody | Socket | None = None
        shown = left = False  # left: the upstream may answer on, though nobody listens
        try:
            request = await conversation.request()
            left = True
            body = await self._open(request)
            self.response_headers = body.headers
            try:
                async for events in self._read(body, request):
                    shown = True
                    yield events
            except MISSHAPEN as error:
                raise misshapen() from error
            left = False
        except UpstreamError as error:
            left = left and error.fault in UNCERTAIN
            self.response_headers = self.response_headers or conversation.refusal_headers
            error.shown = shown
            mask(error, self._credential.values.values())
            raise
        finally:
            self._showing.close()
            self._deadline.close()
            try:
                if body is not None:
                    await body.aclose()
            finally:
                conversation.end(left=left and not self.done)

    # ---- opening

    async def _open(self, request: UpstreamRequest) -> UpstreamBody | Socket:
        connect_s = self._timeouts.connect_s
        try:
            async with asyncio.timeout(self._deadline.remaining_s):
                if request.framing is Framing.WEBSOCKET:
                    return await self._open_socket(request)
                body = await self._upstream.open(request, connect_s=connect_s, proxy=self._proxy)
        except TimeoutError:
            raise self._deadline.error() from None
        if body.status // 100 != 2:  # noqa: PLR2004  a class of status codes
            try:
                self.response_headers = body.headers
                raise await self._refusal(body)
            finally:
                await body.aclose()
        return body

    async def _open_socket(self, request: UpstreamRequest) -> Socket:
        return await open_socket(
            request,
            connect_s=self._timeouts.connect_s,
            proxy=self._proxy,
            max_event_bytes=MOST_EVENT_BYTES,
            refused=self._classified,
        )

    async def _refusal(self, body: UpstreamBody) -> UpstreamError:
        return self._classified(body.status, body.headers, await error_body(body, self._deadline.remaining_s))

    def _classified(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        try:
            return self._provider.parse_error(status, headers, body)
        except MISSHAPEN:
            return misshapen()

    # ---- reading

    async def _read(self, body: UpstreamBody | Socket, request: UpstreamRequest) -> AsyncIterator[bytes]:
        if isinstance(body, UpstreamBody):
            if not request.streamed:
                yield await self._plain(body)
                return
            if request.framing is Framing.SSE and not is_stream(body.headers):
                yield await self._unstreamed(body)
                return
        mapper = self._provider.stream_mapper(self._call)
        reading = Reading(body, request.framing, mapper, self._deadline, self._most_bytes)
        if self._call.stream:
            async for events in self._flow(reading):
                yield events
        else:
            yield await self._joined(reading)

    async def _plain(self, body: UpstreamBody) -> bytes:
        return self._completed(await self._whole(body))

    async def _unstreamed(self, body: UpstreamBody) -> bytes:
        """For an upstream that was asked for a stream: it cannot stream and answers at once, or refuses."""
        whole = await self._whole(body)
        try:
            return self._completed(whole)
        except (UpstreamError, *MISSHAPEN):
            raise self._classified(body.status, body.headers, whole) from None

    async def _whole(self, body: UpstreamBody) -> bytes:
        def heard() -> None:
            self.speaking = True
            self._deadline.expect(BETWEEN_CHUNKS, self._timeouts.between_chunks_s)

        return await self._deadline.bound(body.read(self._most_bytes, heard))

    def _completed(self, whole: bytes) -> bytes:
        completion = self._provider.parse_response(self._call, whole)
        self.done = True
        return self._showing.at_once(split(completion)) if self._call.stream else self._showing.whole(completion)

    async def _joined(self, reading: Reading) -> bytes:
        """For a caller that wants the whole from an upstream that only streams."""
        whole: list[Chunk] = []

        def gather(group: list[Chunk]) -> bool:
            for chunk in group:
                self._showing.hear(chunk.data)
            whole.extend(group)
            self._note_content(group)
            return True

        await reading.run(gather)
        gather(self._last(reading))
        await reading.read_end()
        return self._showing.whole(join(whole))

    async def _flow(self, reading: Reading) -> AsyncIterator[bytes]:
        """Yields what has the first content; what follows goes to `out` as it comes; yields what comes at the end."""
        ended = await reading.run(self._await_content)
        if self._held and self.speaking:
            yield self._released()
        while not ended:
            ended = await reading.run(self._pass_on)
            await (self._out.stream(self._released()) if self._held else self._out.drain())
        self._held += self._showing.events(self._last(reading))
        if self._held:
            yield self._released()
        await reading.read_end()
        if owed := self._showing.owed_usage():
            yield owed[0]

    def _await_content(self, group: list[Chunk]) -> bool:
        self._held += self._showing.events(group)
        self._note_content(group)
        return not self.speaking

    def _pass_on(self, group: list[Chunk]) -> bool:
        events = b"".join(self._showing.events(group))
        if len(events) > PART_BYTES:
            self._held.append(events)
            return False
        if events:
            self._out.emit(events)
        return not self._out.full

    def _last(self, reading: Reading) -> list[Chunk]:
        """What is still owed at the end. Raises UpstreamError where the answer was cut."""
        unframed = reading.unframed
        if unframed is not None and isinstance(reading.body, UpstreamBody):
            raise self._classified(reading.body.status, reading.body.headers, unframed)
        last = reading.finish()
        self.done = reading.ended
        return last

    def _released(self) -> bytes:
        events = b"".join(self._held)
        self._held.clear()
        return events

    def _note_content(self, group: Iterable[Chunk]) -> None:
        """Is there content, which a client would see? A role alone is none. From then on silence is another limit's."""
        if not self.speaking and any(map(speaks, group)):
            self.speaking = True
            self._deadline.expect(BETWEEN_CHUNKS, self._timeouts.between_chunks_s)
