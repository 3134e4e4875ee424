"""One upstream's answer to one chat completion: sends the request, maps what comes, says how it ended.

A caller that asked for a stream gets ready SSE events, first the one with the first content: what comes before it waits
here, so that nothing is shown that another attempt would repeat. Other callers get the whole answer's JSON.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

import orjson

from worker.config.provider import Timeouts
from worker.deadline import BETWEEN_CHUNKS, FIRST_TOKEN, Deadline
from worker.estimate import UsageEstimate
from worker.exchange import Conversation
from worker.faults import MISSHAPEN, Fault, UpstreamError, mask, misshapen
from worker.joining import join, split
from worker.providers.contract import (
    ChatCall,
    Chunk,
    Credential,
    Event,
    Framing,
    JsonObject,
    LocalProvider,
    Provider,
    StreamMapper,
    UpstreamRequest,
)
from worker.sse import splitter
from worker.upstream import Upstream, UpstreamBody, error_body
from worker.websocket import Socket, open_socket

MOST_EVENT_BYTES = 4 * 1024 * 1024
_SPEAKS = ("content", "tool_calls", "function_call", "reasoning_content", "reasoning", "refusal", "audio")
_STREAMED_TYPES = ("text/event-stream", "text/plain", "application/octet-stream", "application/stream+json", "")


class UpstreamAnswer:
    """`pieces` is iterated once. After its end `usage`, `finish_reasons` (by choice) and `done` (the upstream's own end
    marker was seen) tell how it went, and `response_headers` what the upstream said of its limits.
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
        self.usage: JsonObject | None = None
        self.finish_reasons: dict[int, str] = {}
        self.done = False
        self.response_headers: Mapping[str, str] = {}
        self._upstream = upstream
        self._provider = provider
        self._call = call
        self._credential = credential
        self._timeouts = timeouts
        self._include_usage = include_usage
        self._most_bytes = most_bytes
        self._proxy = proxy
        self._speaking = False
        self._estimate = UsageEstimate(call.body)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Raises UpstreamError, or InvalidRequest for what this upstream cannot do. Close it (`aclosing`): that, and a
        cancellation, ends the upstream's work.
        """
        if isinstance(self._provider, LocalProvider):
            yield self._whole(self._provider.local_answer(self._call))
            return
        conversation = Conversation(
            self._upstream, self._provider, self._call, self._credential, self._timeouts, self._proxy
        )
        deadline = Deadline(self._timeouts.total_s)
        deadline.expect(FIRST_TOKEN, self._timeouts.first_token_s)
        body: UpstreamBody | Socket | None = None
        shown = False
        try:
            request = await conversation.request()
            body = await self._open(request, deadline)
            self.response_headers = body.headers
            plain = isinstance(body, UpstreamBody) and not request.streamed
            source = self._plain(body, deadline) if plain else self._streamed(body, request, deadline)
            try:
                async for piece in source:
                    shown = True
                    yield piece
            except MISSHAPEN as error:
                raise misshapen() from error
        except UpstreamError as error:
            error.shown = shown
            mask(error, self._credential.values.values())
            raise
        finally:
            if self.usage is None and self._estimate.heard:  # broken off: what came until then counts all the same
                self.usage = self._estimate.usage(quick=True)
            deadline.close()
            try:
                if body is not None:
                    await body.aclose()
            finally:
                conversation.end()

    # ---- reading

    async def _open(self, request: UpstreamRequest, deadline: Deadline) -> UpstreamBody | Socket:
        connect_s = self._timeouts.connect_s
        try:
            async with asyncio.timeout(deadline.remaining_s):
                if request.framing is Framing.WEBSOCKET:
                    return await self._open_socket(request)
                body = await self._upstream.open(request, connect_s=connect_s, proxy=self._proxy)
        except TimeoutError:
            raise deadline.error() from None
        if body.status // 100 != 2:  # noqa: PLR2004  a class of status codes
            try:
                self.response_headers = body.headers
                raise self._refusal(body.status, body.headers, await error_body(body, deadline.remaining_s))
            finally:
                await body.aclose()
        return body

    async def _open_socket(self, request: UpstreamRequest) -> Socket:
        return await open_socket(
            request,
            connect_s=self._timeouts.connect_s,
            proxy=self._proxy,
            max_event_bytes=MOST_EVENT_BYTES,
            refused=self._refusal,
        )

    async def _streamed(
        self, body: UpstreamBody | Socket, request: UpstreamRequest, deadline: Deadline
    ) -> AsyncIterator[bytes]:
        mapper = self._provider.stream_mapper(self._call)
        chunks = self._chunks(body, request, mapper, deadline)
        if not self._call.stream:
            whole = []
            async for group in chunks:
                for chunk in group:
                    self._estimate.hear(chunk.data)
                whole += group
            yield self._json(join(whole))
            return
        held: list[bytes] = []
        async for group in chunks:
            held += self._shown(group)
            if held and self._speaking:
                yield b"".join(held)
                held.clear()
        held += self._owed_usage()
        if held:
            yield b"".join(held)

    async def _chunks(
        self, body: UpstreamBody | Socket, request: UpstreamRequest, mapper: StreamMapper, deadline: Deadline
    ) -> AsyncIterator[list[Chunk]]:
        """The mapped chunks of each read. Raises UpstreamError where the answer is cut, broken or too large."""
        if isinstance(body, UpstreamBody):
            await self._check_type(body, request, deadline)
        cutter = splitter(request.framing, MOST_EVENT_BYTES)
        pieces = aiter(body)
        size = 0
        while not mapper.ended and (data := await deadline.read(pieces)) is not None:
            size += len(data)
            if size > self._most_bytes:
                raise _too_large(self._most_bytes)
            group = _map(mapper, cutter.feed(data))
            if not self._speaking and self._speaks(group):
                deadline.expect(BETWEEN_CHUNKS, self._timeouts.between_chunks_s)
            if group:
                yield group
        if not size and isinstance(body, UpstreamBody):
            raise self._refusal(body.status, body.headers, b"")
        group = [] if mapper.ended else _map(mapper, cutter.close())
        group += _map_end(mapper)
        self.done = mapper.ended
        if group:
            yield group
        if isinstance(body, UpstreamBody):
            await _read_end(pieces)

    async def _check_type(self, body: UpstreamBody, request: UpstreamRequest, deadline: Deadline) -> None:
        """A stream that is announced as something else (an error's JSON, a sign-in page) is no answer."""
        media = body.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.framing is Framing.SSE and media not in _STREAMED_TYPES:
            raise self._refusal(body.status, body.headers, await error_body(body, deadline.remaining_s))

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        try:
            return self._provider.parse_error(status, headers, body)
        except MISSHAPEN:
            return misshapen()

    async def _plain(self, body: UpstreamBody | Socket, deadline: Deadline) -> AsyncIterator[bytes]:
        parts, size = [], 0
        pieces = aiter(body)
        while (data := await deadline.read(pieces)) is not None:
            parts.append(data)
            size += len(data)
            deadline.expect(BETWEEN_CHUNKS, self._timeouts.between_chunks_s)
            if size > self._most_bytes:
                raise _too_large(self._most_bytes)
        try:
            completion = self._provider.parse_response(self._call, b"".join(parts))
        except MISSHAPEN as error:
            raise misshapen() from error
        self.done = True
        yield self._whole(split(completion)) if self._call.stream else self._json(completion)

    # ---- showing

    def _whole(self, chunks: Iterable[Chunk]) -> bytes:
        """A whole answer that came at once, in the form that the caller asked for."""
        chunks = list(chunks)
        self.done = True
        if self._call.stream:
            return b"".join(self._shown(chunks) + self._owed_usage())
        return self._json(join(chunks))

    def _json(self, completion: JsonObject) -> bytes:
        if not completion.get("usage"):
            if not self._estimate.heard:
                self._estimate.hear(completion)
            completion["usage"] = self._estimate.usage()
        self.usage = completion["usage"]
        for choice in completion["choices"]:
            self.finish_reasons[choice["index"]] = choice["finish_reason"]
        return orjson.dumps(completion)

    def _shown(self, chunks: Iterable[Chunk]) -> list[bytes]:
        """The SSE events that the client gets: all but a usage that it did not ask for."""
        shown = []
        for chunk in chunks:
            data = chunk.data
            self._estimate.hear(data)
            if data.get("usage"):
                self.usage = data["usage"]
            if not data["choices"] and "usage" in data and not self._include_usage:
                continue
            for choice in data["choices"]:
                if choice.get("finish_reason"):
                    self.finish_reasons[choice["index"]] = choice["finish_reason"]
            event = chunk.raw or b"data: %b\n\n" % orjson.dumps(data)
            shown.append(event)
        return shown

    def _owed_usage(self) -> list[bytes]:
        """The last event of a stream whose upstream told no usage."""
        return [] if self.usage else self._shown([Chunk(self._estimate.chunk())])

    def _speaks(self, group: Iterable[Chunk]) -> bool:
        """Is there content, which a client would see? A role alone is none."""
        self._speaking = any(
            choice.get("finish_reason") or any((choice.get("delta") or {}).get(name) for name in _SPEAKS)
            for chunk in group
            for choice in chunk.data["choices"]
        )
        return self._speaking


def _map(mapper: StreamMapper, events: Iterable[Event]) -> list[Chunk]:
    group: list[Chunk] = []
    try:
        for event in events:
            group += mapper.feed(event)
            if mapper.ended:
                break
    except MISSHAPEN as error:
        raise misshapen() from error
    return group


def _map_end(mapper: StreamMapper) -> Iterable[Chunk]:
    try:
        return mapper.finish()
    except MISSHAPEN as error:
        raise misshapen() from error


async def _read_end(pieces: AsyncIterator[bytes]) -> None:
    """What follows the end marker is the end of the body; a connection read to there can be used again."""
    try:
        async with asyncio.timeout(0.2):
            async for _ in pieces:
                return
    except (TimeoutError, UpstreamError):
        return


def _too_large(most_bytes: int) -> UpstreamError:
    return UpstreamError(Fault.UPSTREAM_FAULT, f"The upstream's answer is larger than {most_bytes} bytes.")
