"""A streamed answer as it is read: bytes in, groups of mapped chunks out."""

from collections.abc import Callable, Iterable, Mapping

from worker.deadline import Deadline
from worker.faults import MISSHAPEN, misshapen
from worker.providers.contract import Chunk, Event, Framing, StreamMapper
from worker.sse import splitter
from worker.upstream import UpstreamBody, too_large
from worker.websocket import Socket

MOST_EVENT_BYTES = 4 * 1024 * 1024
_MOST_UNFRAMED_BYTES = 256 * 1024
_SPEAKS = ("content", "tool_calls", "function_call", "reasoning_content", "reasoning", "refusal", "audio")
_STREAMED_TYPES = ("text/event-stream", "text/plain", "application/octet-stream", "application/stream+json", "")
_NO_FIELD = (b"{", b"[", b"<")
Listen = Callable[[list[Chunk]], bool]
"""Gets the chunks of one read; False says that no more is wanted now."""


class Reading:
    """`run` until it says that the end is reached, then `finish`."""

    def __init__(
        self,
        body: UpstreamBody | Socket,
        framing: Framing,
        mapper: StreamMapper,
        deadline: Deadline,
        most_bytes: int,
    ) -> None:
        self.size = 0  # bytes
        self.body = body
        self._beginning = b""  # of what comes before the first event
        self._began = framing is not Framing.SSE
        self._mapper = mapper
        self._cutter = splitter(framing, MOST_EVENT_BYTES)
        self._deadline = deadline
        self._most_bytes = most_bytes
        self._listen: Listen

    async def run(self, listen: Listen) -> bool:
        """True at the end, False when `listen` wanted no more. Raises UpstreamError where the answer is cut, broken or
        too large, and whatever `listen` raises.
        """
        self._listen = listen
        if self._mapper.ended:
            return True
        return await self._deadline.bound(self.body.pump(self._take)) or self._mapper.ended

    def _take(self, data: bytes) -> bool:
        self.size += len(data)
        if self.size > self._most_bytes:
            raise too_large(self._most_bytes)
        self._deadline.heard()
        events = self._cutter.feed(data)
        if not self._began:
            self._began = bool(events)
            self._beginning = b"" if self._began else (self._beginning + data)[:_MOST_UNFRAMED_BYTES]
        group = _map(self._mapper, events)
        return (not group or self._listen(group)) and not self._mapper.ended

    @property
    def ended(self) -> bool:
        """The upstream's own end marker was seen."""
        return self._mapper.ended

    @property
    def unframed(self) -> bytes | None:
        """What came instead of events: nothing, or JSON or a page behind the headers of a stream. None for a stream."""
        if not self.size:
            return b""
        return self._beginning if self._beginning.lstrip()[:1] in _NO_FIELD else None

    async def read_end(self) -> None:
        if isinstance(self.body, UpstreamBody):
            await self.body.read_end()

    def finish(self) -> list[Chunk]:
        """What was still owed. Raises UpstreamError where the upstream had not finished."""
        group = [] if self._mapper.ended else _map(self._mapper, self._cutter.close())
        try:
            return [*group, *self._mapper.finish()]
        except MISSHAPEN as error:
            raise misshapen() from error


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


def speaks(chunk: Chunk) -> bool:
    """Is there content, which a client would see? A role alone is none."""
    return any(
        choice.get("finish_reason") or any((choice.get("delta") or {}).get(name) for name in _SPEAKS)
        for choice in chunk.data["choices"]
    )


def is_stream(headers: Mapping[str, str]) -> bool:
    """What is announced as something else (an error's JSON, a sign-in page) is no answer."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() in _STREAMED_TYPES
