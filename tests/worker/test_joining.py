"""A stream and a whole answer are two forms of one thing."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.providers.sdk_types import check_chunk, check_completion
from worker.joining import join, split
from worker.providers.contract import Chunk

TEXT = st.text(max_size=20)
FILLED = st.text(min_size=1, max_size=20)
TOKENS = st.lists(
    st.builds(lambda token: {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []}, TEXT),
    min_size=1,
    max_size=3,
)


@st.composite
def choices(draw: st.DrawFn, index: int) -> dict[str, Any]:
    """A choice as OpenAI answers it: text, or a refusal, or tool calls with or without text."""
    message: dict[str, Any] = {"role": "assistant"}
    kind = draw(st.sampled_from(["text", "refusal", "calls"]))
    message["content"] = draw({"text": TEXT, "refusal": st.none(), "calls": st.none() | FILLED}[kind])
    if kind == "refusal":
        message["refusal"] = draw(FILLED)
    if kind == "calls":
        functions = draw(st.lists(st.tuples(FILLED, TEXT), min_size=1, max_size=3))
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(functions)
        ]
    if draw(st.booleans()):
        message["reasoning_content"] = draw(FILLED)
    if draw(st.booleans()):
        message["annotations"] = [{"type": "url_citation", "url_citation": draw(st.just(CITATION))}]
    reason = "tool_calls" if kind == "calls" else draw(st.sampled_from(["stop", "length", "content_filter"]))
    choice: dict[str, Any] = {"index": index, "message": message, "finish_reason": reason}
    if draw(st.booleans()):
        choice["logprobs"] = {"content": draw(TOKENS), "refusal": None}
    return choice


CITATION = {"start_index": 0, "end_index": 1, "title": "t", "url": "https://example.com"}


@st.composite
def completions(draw: st.DrawFn) -> dict[str, Any]:
    completion: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [draw(choices(index)) for index in range(draw(st.integers(1, 3)))],
    }
    if draw(st.booleans()):
        completion["usage"] = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    if draw(st.booleans()):
        completion["service_tier"] = "default"
    return completion


@given(completions())
def test_joining_what_was_split_gives_the_answer_back(completion: dict[str, Any]) -> None:
    """Nothing is lost, added or moved between choices."""
    chunks = split(completion)
    assert join(chunks) == completion
    check_completion(completion)
    for chunk in chunks:
        check_chunk(chunk.data)


@given(completions())
def test_a_split_answer_looks_like_a_stream_of_openai(completion: dict[str, Any]) -> None:
    """The role comes first and once, each finish reason once and after its choice's content, usage at the end."""
    chunks = [chunk.data for chunk in split(completion)]
    for expected in completion["choices"]:
        own = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == expected["index"]]
        assert [choice["delta"].get("role") for choice in own] == ["assistant"] + [None] * (len(own) - 1)
        assert [choice["finish_reason"] for choice in own] == [None] * (len(own) - 1) + [expected["finish_reason"]]
    assert [bool(chunk.get("usage")) for chunk in chunks[:-1]] == [False] * (len(chunks) - 1)
    assert bool(chunks[-1].get("usage")) == ("usage" in completion)


@given(completions(), st.data())
def test_pieces_may_be_as_small_as_they_like(completion: dict[str, Any], data: st.DataObject) -> None:
    """Cutting texts and arguments into more pieces changes nothing."""
    chunks = [piece for chunk in split(completion) for piece in crumbled(chunk, data)]
    assert join(chunks) == completion


def crumbled(chunk: Chunk, data: st.DataObject) -> list[Chunk]:
    """The chunk, or two chunks between which its text or its arguments are divided."""
    for choice in chunk.data["choices"]:
        text = choice["delta"].get("content")
        if text:
            return divided(chunk, choice, data.draw(st.integers(0, len(text))), text)
        for call in choice["delta"].get("tool_calls") or ():
            arguments = call["function"]["arguments"]
            at = data.draw(st.integers(0, len(arguments)))
            first = {**call, "function": {**call["function"], "arguments": arguments[:at]}}
            rest = {"index": call["index"], "function": {"arguments": arguments[at:]}}
            return [
                with_choice(chunk, {**choice, "delta": {**choice["delta"], "tool_calls": [first]}}),
                with_choice(chunk, {"index": choice["index"], "delta": {"tool_calls": [rest]}, "finish_reason": None}),
            ]
    return [chunk]


def divided(chunk: Chunk, choice: dict[str, Any], at: int, text: str) -> list[Chunk]:
    rest = {"index": choice["index"], "delta": {"content": text[at:]}, "finish_reason": None}
    return [
        with_choice(chunk, {**choice, "delta": {**choice["delta"], "content": text[:at]}}),
        with_choice(chunk, rest),
    ]


def with_choice(chunk: Chunk, choice: dict[str, Any]) -> Chunk:
    return Chunk({**chunk.data, "choices": [choice]})


def test_old_function_calls_and_audio_are_joined_too() -> None:
    """Members of OpenAI's older and rarer answers."""
    pieces: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "function_call": {"name": "f", "arguments": ""},
            "audio": {"id": "a", "transcript": "Hel"},
        },
        {"function_call": {"arguments": "{}"}, "audio": {"transcript": "lo", "data": "UklG"}},
        {"audio": {"data": "Rg==", "expires_at": 9}},
    ]
    chunks = [Chunk({"choices": [{"index": 0, "delta": piece, "finish_reason": None}]}) for piece in pieces]
    message = join(chunks)["choices"][0]["message"]
    assert message["function_call"] == {"name": "f", "arguments": "{}"}
    assert message["audio"] == {"id": "a", "transcript": "Hello", "data": "UklGRg==", "expires_at": 9}
    assert message["content"] is None
