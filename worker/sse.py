"""Cuts an upstream's byte stream into events, wherever the network cut it into pieces. No I/O."""

import codecs
from typing import Final, Protocol

from worker.faults import Fault, UpstreamError
from worker.providers.contract import Event, Framing

# Numbers, as looking for one of them in bytes is several times as quick as looking for bytes.
_LINE_FEED: Final = 0x0A
_CARRIAGE_RETURN: Final = 0x0D


class Splitter(Protocol):
    def feed(self, data: bytes) -> list[Event]:
        """Raises UpstreamError for an event above the size limit."""

    def close(self) -> list[Event]:
        """What the end of the body completes. An SSE event without its blank line is not dispatched."""


def splitter(framing: Framing, max_event_bytes: int) -> Splitter:
    if framing is Framing.LINES:
        return LineSplitter(max_event_bytes)
    if framing is Framing.RAW:
        return TextSplitter()
    if framing is Framing.WEBSOCKET:
        return MessageSplitter()
    return EventSplitter(max_event_bytes)


def _too_long(limit: int) -> UpstreamError:
    return UpstreamError(Fault.UPSTREAM_FAULT, f"The upstream sent an event of more than {limit} bytes.")


class EventSplitter:
    """Server-sent events: blank-line separated, LF, CRLF or CR, comments ignored, several data lines joined.

    Source: the event stream section of the HTML living standard. Its one field of its own, `error`, has llama.cpp until
    September 2025 (ggml-org/llama.cpp pull request 16109): an event named so.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._rest = b""
        self._began = False

    def feed(self, data: bytes) -> list[Event]:
        rest = self._rest
        if rest:
            data = rest + data
        if not self._began:
            data, self._began = _without_mark(data)
        if _CARRIAGE_RETURN in data:
            data = _with_line_feeds(data)
        end = data.rfind(b"\n\n")
        if end < 0:
            blocks: list[bytes] = []
            self._rest = data
        else:
            blocks = data[:end].split(b"\n\n")
            self._rest = data[end + 2 :]
        if len(data) > self._limit and max(len(block) for block in (self._rest, *blocks)) > self._limit:
            raise _too_long(self._limit)
        return [event for block in blocks if (event := _parse(block)) is not None]

    def close(self) -> list[Event]:
        rest, self._rest = self._rest.replace(b"\r", b"\n"), b""
        if not rest.endswith(b"\n"):
            return []
        # The last blank line may be missing its second half only in the CR forms.
        event = _parse(rest[:-1]) if rest.endswith(b"\n\n") else None
        return [event] if event is not None else []


def _without_mark(data: bytes) -> tuple[bytes, bool]:
    """Removes a byte order mark at the very beginning; False while it could still be one."""
    if codecs.BOM_UTF8.startswith(data):
        return (b"", True) if data == codecs.BOM_UTF8 else (data, False)
    return data.removeprefix(codecs.BOM_UTF8), True


def _with_line_feeds(data: bytes) -> bytes:
    """LF for CRLF and CR, but a last CR stays: an LF may follow in the next piece."""
    if data.endswith(b"\r"):
        return data[:-1].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\r"
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _parse(block: bytes) -> Event | None:
    """The event of a block, or None where it has no data."""
    block = block.lstrip(b"\n")
    if block.startswith(b"data: ") and _LINE_FEED not in block:
        return Event(block[6:])
    name, data = b"", []
    for line in block.split(b"\n"):
        key, _, value = line.partition(b":")
        if key == b"data":
            data.append(value.removeprefix(b" "))
        elif key == b"event":
            name = value.removeprefix(b" ")
        elif key == b"error":
            name = key
            data.append(value.removeprefix(b" "))
    return Event(b"\n".join(data), name.decode("utf-8", "replace")) if data else None


class LineSplitter:
    """One event per line that is not blank."""

    def __init__(self, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise _too_long(self._limit)
        return [Event(stripped) for line in lines if (stripped := line.strip())]

    def close(self) -> list[Event]:
        rest, self._rest = self._rest.strip(), b""
        return [Event(rest)] if rest else []


class MessageSplitter:
    """What a WebSocket gives is cut already."""

    def feed(self, data: bytes) -> list[Event]:
        return [Event(data)]

    def close(self) -> list[Event]:
        return []


class TextSplitter:
    """Text as it comes, cut between characters. Raises UpstreamError for bytes that are not UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> list[Event]:
        return self._decode(data, final=False)

    def close(self) -> list[Event]:
        return self._decode(b"", final=True)

    def _decode(self, data: bytes, *, final: bool) -> list[Event]:
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream sent text that is not UTF-8.") from error
        return [Event(text.encode())] if text else []
