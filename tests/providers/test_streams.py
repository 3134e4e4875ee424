"""What every provider type's streams must do, checked over its fixtures (see `cases.py` for their layout)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from tests.providers import sdk_types
from tests.providers.cases import FOLDER, STREAMS, Case, map_stream, parts, split_events
from tests.providers.checks import assert_promises, assert_raised, each, each_entry
from worker.faults import UpstreamError
from worker.joining import join
from worker.providers.compatible_stream import ChunkMapper
from worker.providers.contract import Chunk, Framing


@each(*STREAMS)
def test_stream_is_mapped(case: Case) -> None:
    """A streamed answer becomes the chunks of the fixture, and `raw` says what `data` says."""
    chunks = case.mapped(case.stream_parts)
    assert [chunk.data for chunk in chunks] == case.json("chunks.json")
    for chunk in chunks:
        assert chunk.raw is None or chunk_of(chunk.raw) == chunk.data


def chunk_of(raw: bytes) -> Any:
    (event,) = split_events(Framing.SSE, [raw])
    return json.loads(event.data)


@each(*STREAMS)
def test_joined_stream_equals_the_answer(case: Case) -> None:
    """A client gets the same answer streamed and whole."""
    joined = join(case.mapped(case.stream_parts))
    assert plain(joined) == plain(case.json("stream_completion.json") or case.json("completion.json"))
    sdk_types.check_completion(joined)


def plain(completion: Mapping[str, Any]) -> Any:
    """Without the members that say nothing, and without an upstream's own beside OpenAI's: one form may lack them."""
    choices = [{**told(choice), "message": told(choice["message"])} for choice in completion["choices"]]
    own = {name: value for name, value in told(completion).items() if name in ChatCompletion.model_fields}
    return {**own, "choices": choices}


def told(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None and value != []}


@each(*STREAMS)
def test_stream_keeps_its_promises(case: Case) -> None:
    """One id and model, one role in front and one finish reason per choice, usage last."""
    assert_promises(case.mapped(case.stream_parts))


@each(*STREAMS)
def test_a_whole_stream_is_known_as_ended(case: Case) -> None:
    """Clients that wait for `[DONE]` get it also where the upstream's protocol has no end marker of its own; where a
    clone of OpenAI leaves it out, none is invented. What moderation stopped has ended, too.
    """
    mapper = case.provider.stream_mapper(case.call(stream=True))
    list(map_stream(mapper, case.framing, case.stream_parts))
    body = b"".join(case.stream_parts)
    left_out = isinstance(mapper, ChunkMapper) and b"[DONE]" not in body and b'"error":{' not in body
    assert mapper.ended is not left_out


@each("stream.sse", "stream.lines", "stream.raw")
@given(data=st.data())
def test_any_split_of_the_bytes_gives_the_same_chunks(case: Case, data: st.DataObject) -> None:
    """Where the network cuts makes no difference; raw text may be cut into other pieces, never into other text."""
    (body,) = case.stream_parts
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    found, expected = case.mapped(pieces), case.mapped([body])
    if case.framing is Framing.RAW:
        assert join(found) == join(expected)
    else:
        assert [(chunk.data, chunk.raw) for chunk in found] == [(chunk.data, chunk.raw) for chunk in expected]


@each("stream.sse", "stream.lines", "stream.raw")
def test_a_stream_cut_at_any_byte_invents_nothing(case: Case) -> None:
    """A cut stream gives a prefix of the whole one, and raises unless every finish reason had come."""
    (body,) = case.stream_parts
    whole = case.mapped([body])
    for length in range(len(body)):
        assert_cut(case, [body[:length]], whole)


@each("stream.ws.json")
def test_a_socket_closed_after_any_message_invents_nothing(case: Case) -> None:
    """The same for a WebSocket, which is cut between messages."""
    messages = case.stream_parts
    whole = case.mapped(messages)
    for count in range(len(messages)):
        assert_cut(case, messages[:count], whole)


def assert_cut(case: Case, pieces: list[bytes], whole: list[Chunk]) -> None:
    chunks: list[Chunk] = []
    ended = False
    try:
        for chunk in map_stream(case.provider.stream_mapper(case.call(stream=True)), case.framing, pieces):
            chunks.append(chunk)  # noqa: PERF402  what came before an error is wanted
        ended = True
    except UpstreamError:
        pass
    said = [chunk.data for chunk in chunks if chunk.data["choices"]]
    expected = [chunk.data for chunk in whole if chunk.data["choices"]]
    if case.framing is Framing.RAW:
        assert text_of(expected).startswith(text_of(said))
    else:
        assert said == expected[: len(said)]
    if ended:
        assert finish_reasons(said) == finish_reasons(expected), "a cut stream looks complete"


def text_of(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def finish_reasons(chunks: list[Any]) -> list[tuple[int, str]]:
    return [
        (choice["index"], choice["finish_reason"])
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]


@each_entry("broken_streams.json")
def test_a_broken_stream_raises(case: Case, entry: Mapping[str, Any]) -> None:
    """An error event, or anything that is no event of the upstream's, is an error."""
    mapper = case.provider.stream_mapper(case.call(stream=True))
    with pytest.raises(UpstreamError) as caught:
        list(map_stream(mapper, case.framing, parts(entry["stream"])))
    assert_raised(caught.value, entry)


@each_entry("broken_streams.json")
def test_a_stream_that_breaks_bit_by_bit_raises_the_same(case: Case, entry: Mapping[str, Any]) -> None:
    """A page in the place of an answer is recognised before its beginning is shown, whatever the pieces."""
    pieces = parts(entry["stream"])
    if case.framing is not Framing.WEBSOCKET:
        pieces = [bytes([byte]) for piece in pieces for byte in piece]
    mapper = case.provider.stream_mapper(case.call(stream=True))
    with pytest.raises(UpstreamError) as caught:
        list(map_stream(mapper, case.framing, pieces))
    assert_raised(caught.value, entry)


@each("stream.sse", "stream.lines", "stream.ws.json")
def test_garbage_is_no_event(case: Case) -> None:
    """An event that is not the upstream's ends the stream with an error."""
    if (FOLDER / case.folder.parent.name / "garbage.json").exists():
        return
    for body in (b"<html>no</html>", b"\xff\xfe", b"17", b"[1]", b'{"truncated": '):
        piece = body if case.framing is Framing.WEBSOCKET else b"data: " + body + b"\n\n"
        mapper = case.provider.stream_mapper(case.call(stream=True))
        with pytest.raises(UpstreamError):
            list(map_stream(mapper, case.framing, [body + b"\n" if case.framing is Framing.LINES else piece]))
