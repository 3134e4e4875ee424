"""What the client gets of an answer's chunks, and what they tell of its usage on the way."""

from collections.abc import Iterable

import orjson

from worker.estimate import UsageEstimate
from worker.joining import join
from worker.providers.contract import ChatCall, Chunk, JsonObject


class Showing:
    """`usage` is what the upstream told so far, or at the end an estimate of it."""

    def __init__(self, call: ChatCall, *, include_usage: bool) -> None:
        self.usage: JsonObject | None = None
        self._streams = call.stream
        self._include_usage = include_usage
        self._estimate = UsageEstimate(call.body)

    def events(self, chunks: Iterable[Chunk]) -> list[bytes]:
        """The SSE events that the client gets: all but a usage that it did not ask for."""
        shown = []
        for chunk in chunks:
            if chunk.text is not None and chunk.raw is not None:
                self._estimate.say(chunk.text)
                shown.append(chunk.raw)
                continue
            data = chunk.data
            self._estimate.hear(data)
            if data.get("usage"):
                self.usage = data["usage"]
            if not data["choices"] and "usage" in data and not self._include_usage:
                continue
            shown.append(chunk.raw or b"data: %b\n\n" % orjson.dumps(data))
        return shown

    def owed_usage(self) -> list[bytes]:
        """The last event of a stream whose upstream told no usage."""
        return [] if self.usage else self.events([Chunk(self._estimate.chunk())])

    def at_once(self, chunks: Iterable[Chunk]) -> bytes:
        """A whole answer that came at once, in the form that the caller asked for."""
        chunks = list(chunks)
        if self._streams:
            return b"".join(self.events(chunks) + self.owed_usage())
        return self.whole(join(chunks))

    def whole(self, completion: JsonObject) -> bytes:
        """A `chat.completion` for who asked for no stream; one without usage gets the estimated one."""
        if not completion.get("usage"):
            if not self._estimate.heard:
                self._estimate.hear(completion)
            completion["usage"] = self._estimate.usage()
        self.usage = completion["usage"]
        return orjson.dumps(completion)

    def hear(self, data: JsonObject) -> None:
        """Takes a chunk of an answer that will be shown as a whole, or not at all if it breaks off."""
        self._estimate.hear(data)

    def close(self) -> None:
        """What came of an answer that was broken off counts all the same."""
        if self.usage is None and self._estimate.heard:
            self.usage = self._estimate.usage(quick=True)
