"""Events are the same wherever the network cut the bytes, and however the upstream ends its lines."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.faults import Fault, UpstreamError
from worker.providers.contract import Event, Framing
from worker.sse import EventSplitter, LineSplitter, Splitter, TextSplitter, splitter

LIMIT = 4 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff"), max_size=12).map(str.encode)


def comment(text: bytes) -> bytes:
    return b":" + text


lines = st.one_of(
    words.map(lambda word: b"data: " + word),
    words.map(lambda word: b"data:" + word),
    words.map(lambda word: b"event: " + word),
    words.map(comment),
    words.map(lambda word: b"id: " + word),
    st.sampled_from([b"data", b"event", b"retry: 1000", b"unknown: x"]),
)
blocks = st.lists(lines, min_size=1, max_size=5)


def expected(block: Sequence[bytes]) -> Event | None:
    """What the HTML living standard makes of one block, line by line."""
    name, data = b"", []
    for line in block:
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(b"\n".join(data), name.decode()) if data else None


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(bounds)] or [b""]


def read(made: Splitter, pieces: Sequence[bytes]) -> list[Event]:
    events = [event for piece in pieces for event in made.feed(piece)]
    return events + list(made.close())


cuts = st.lists(st.integers(0, 10_000), max_size=30)


@given(st.lists(blocks, max_size=6), st.sampled_from([b"\n", b"\r\n", b"\r"]), cuts, st.sampled_from([b"", BOM]))
def test_events_are_those_of_the_standard(
    written: list[list[bytes]], ending: bytes, places: list[int], mark: bytes
) -> None:
    body = b"".join(b"".join(line + ending for line in block) + ending for block in written)
    pieces = cut(mark + body, places)
    assert read(EventSplitter(LIMIT), pieces) == [event for block in written if (event := expected(block))]


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"data: x", b"data", b": c", b"event: e", b" ", BOM]), max_size=30), cuts
)
def test_any_cut_gives_the_same_events(tokens: list[bytes], places: list[int]) -> None:
    """Also of bytes that mix all line ends."""
    body = b"".join(tokens)
    whole = read(EventSplitter(LIMIT), [body])
    assert read(EventSplitter(LIMIT), cut(body, places)) == whole
    assert read(EventSplitter(LIMIT), [body[i : i + 1] for i in range(len(body))]) == whole


@given(blocks, cuts)
def test_an_event_without_its_blank_line_is_not_given(block: list[bytes], places: list[int]) -> None:
    """The upstream broke off: half an event is none."""
    body = b"data: whole\n\n" + b"\n".join(block)
    assert read(EventSplitter(LIMIT), cut(body, places)) == [Event(b"whole")]


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=10), cuts)
def test_lines_are_those_between_line_feeds(written: list[bytes], places: list[int]) -> None:
    given_lines = [Event(line.strip()) for line in written if line.strip()]
    assert read(LineSplitter(LIMIT), cut(b"\n".join(written), places)) == given_lines


@given(st.text(), cuts)
def test_text_is_cut_between_characters(text: str, places: list[int]) -> None:
    events = read(TextSplitter(), cut(text.encode(), places))
    assert "".join(event.data.decode() for event in events) == text


@pytest.mark.parametrize("data", [b"\xff", b"abc\xe2\x82", b"\xed\xa0\x80"])
def test_what_is_no_text_is_a_fault(data: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        read(TextSplitter(), [data])
    assert raised.value.fault is Fault.UPSTREAM_FAULT


@pytest.mark.parametrize("make", [EventSplitter, LineSplitter])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_endless_event_is_a_fault_soon_after_the_limit(make: Callable[[int], Any], size: int) -> None:
    made = make(100)
    pieces = 100 // size
    for _ in range(pieces):
        made.feed(b"x" * size)
    with pytest.raises(UpstreamError):
        made.feed(b"x" * size)


@pytest.mark.parametrize("framing", [Framing.SSE, Framing.LINES])
def test_many_events_in_one_piece_may_be_longer_than_the_limit_together(framing: Framing) -> None:
    piece = b"data: 0123456789\n\n" * 100
    assert len(read(splitter(framing, 50), [piece])) == 100


def test_messages_pass_as_they_are() -> None:
    assert read(splitter(Framing.WEBSOCKET, 1), [b"a\n\nb", b""]) == [Event(b"a\n\nb"), Event(b"")]
