"""A chunk that was not parsed is what parsing it would have given, or it is parsed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.cases import FOLDER, Case
from worker.faults import UpstreamError
from worker.providers.contract import Chunk, Event, StreamMapper

FIRST = {"role": "assistant", "content": ""}


def new_mapper() -> StreamMapper:
    case = Case(FOLDER / "openai" / "text")
    return case.provider.stream_mapper(case.call(stream=True))


def chunk_with(delta: Any, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps({**frame, **more}, ensure_ascii=False).encode()


def mapped(mapper: StreamMapper, data: bytes) -> Chunk:
    (chunk,) = mapper.feed(Event(data))
    return chunk


def begun(*texts: str) -> StreamMapper:
    """A mapper that has seen these."""
    mapper = new_mapper()
    for delta in (FIRST, *({"content": text} for text in texts)):
        mapped(mapper, chunk_with(delta))
    return mapper


@given(st.lists(st.text(), max_size=8))
def test_whatever_is_said_is_what_parsing_it_gives(texts: list[str]) -> None:
    mapper = begun("a")
    for text in texts:
        data = chunk_with({"content": text})
        chunk = mapped(mapper, data)
        assert chunk.data == json.loads(data)
        assert chunk.raw == b"data: " + data + b"\n\n"
        assert chunk.text in {None, text}


def test_a_chunk_like_the_one_before_is_not_parsed() -> None:
    mapper = begun("Hel")
    assert [mapped(mapper, chunk_with({"content": text})).text for text in ("lo ", "日本", "Größe 3")] == [
        "lo ",
        "日本",
        "Größe 3",
    ]


@pytest.mark.parametrize(
    "data",
    [
        chunk_with({"content": 'a "word"'}),
        chunk_with({"content": "a\\b"}),
        chunk_with({"content": "line\n"}),
        chunk_with({"content": "x"}, "stop"),
        chunk_with({"content": "x", "refusal": "no"}),
        chunk_with({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
        chunk_with({"reasoning_content": "x"}),
        chunk_with({"content": 'x"},"finish_reason":null},{"index":1,"delta":{"content":"y'}),
    ],
    ids=["quote", "backslash", "control", "end", "beside", "usage", "reasoning", "injected"],
)
def test_a_chunk_that_says_more_is_parsed(data: bytes) -> None:
    mapper = begun("a", "b")
    (chunk, *_) = mapper.feed(Event(data))
    assert chunk.text is None


@pytest.mark.parametrize("said", [b"\xff", b"\xc3", b"\x00", b"\n", b"\x1f"], ids=repr)
def test_what_no_string_may_hold_is_an_error_as_ever(said: bytes) -> None:
    mapper = begun("a", "b")
    with pytest.raises(UpstreamError, match="not valid JSON"):
        mapper.feed(Event(chunk_with({"content": "SAID"}).replace(b"SAID", said)))


def test_a_choice_that_has_ended_says_no_more() -> None:
    mapper = begun("a", "b")
    mapped(mapper, chunk_with({}, "stop"))
    (late,) = mapper.feed(Event(chunk_with({"content": "late"})))
    assert late.text is None


def test_an_error_event_is_one_however_it_looks() -> None:
    mapper = begun("a", "b")
    with pytest.raises(UpstreamError):
        mapper.feed(Event(chunk_with({"content": "c"}), "error"))


def test_an_upstream_whose_chunks_all_differ_is_not_learned_for_ever() -> None:
    """As OpenAI's do where they are padded against eavesdroppers."""
    mapper = begun("a")
    for number in range(20):
        mapped(mapper, chunk_with({"content": "a"}, obfuscation=str(number)))
    mapped(mapper, chunk_with({"content": "a"}))
    assert mapped(mapper, chunk_with({"content": "b"})).text is None
