"""The estimate of tokens against counts that OpenAI published, and its bounds."""

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk

from worker.estimate import MARK, MOST_CHARACTERS, TextLength, UsageEstimate, prompt_tokens

# The example of "How to count tokens with tiktoken" in OpenAI's cookbook, which gives 124 for gpt-4o.
COOKBOOK = [
    (
        "system",
        None,
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    ),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    (
        "system",
        "example_user",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
    ("user", None, "This late pivot means we don't have time to boil the ocean for the client deliverable."),
]


def tokens(text: str) -> int:
    length = TextLength()
    length.add(text)
    return length.tokens()


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("hello world", 2), ("tiktoken is great!", 6), ("antidisestablishmentarianism", 6), ("2 + 2 = 4", 7)],
)
def test_words_are_counted_as_gpt_4o_counts_them(text: str, count: int) -> None:
    """The cookbook's own examples of o200k_base."""
    assert tokens(text) == count


def test_a_chat_is_counted_within_a_twentieth_of_the_published_count() -> None:
    """The API's own usage for this chat is 124."""
    messages = [{"role": role, "content": text} | ({"name": name} if name else {}) for role, name, text in COOKBOOK]
    assert abs(prompt_tokens({"messages": messages}) - 124) <= 6


def test_a_quick_estimate_is_near_and_loads_nothing() -> None:
    """For hang-ups: within a third for prose, and without the vocabulary."""
    prose = " ".join(text for _, _, text in COOKBOOK)
    length = TextLength()
    length.add(prose)
    assert length.tokens(quick=True) == pytest.approx(tokens(prose), rel=0.34)


def test_special_tokens_are_plain_text() -> None:
    """A caller that writes one gets no other count than for other text."""
    assert tokens("<|endoftext|>") > 1


@given(st.text(max_size=200), st.integers(0, 200))
def test_pieces_make_no_difference(text: str, cut: int) -> None:
    """A streamed answer has the estimate of the whole one."""
    pieces = TextLength()
    pieces.add(text[:cut])
    pieces.add(text[cut:])
    assert pieces.tokens() == tokens(text)


def test_a_lone_surrogate_is_counted() -> None:
    """JSON can hold half a character."""
    assert tokens("a\ud800b") > 0


def test_a_long_text_is_sampled() -> None:
    """What lies beyond the limit counts like what came before it, and is not kept."""
    line = "All work and no play makes Jack a dull boy.\n"
    once = tokens(line * (MOST_CHARACTERS // len(line)))
    length = TextLength()
    tracemalloc.start()
    for _ in range(1000):
        length.add(line * 100)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = once * (100_000 * len(line)) / (MOST_CHARACTERS // len(line) * len(line))
    assert length.tokens() == pytest.approx(expected, rel=0.01)
    assert kept < 4 * MOST_CHARACTERS


def test_tools_and_pictures_count() -> None:
    """Both are part of the prompt."""
    text = {"messages": [{"role": "user", "content": "hi"}]}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert prompt_tokens({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, picture]}]}) > 700
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    assert prompt_tokens({**text, "tools": tools}) > prompt_tokens(text) + 5


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def test_usage_is_marked_and_readable_by_the_sdk() -> None:
    """The mark is an extra member of usage, so that every client goes on reading it."""
    estimate = UsageEstimate({"messages": [{"role": "user", "content": "hello world"}]})
    for delta in ({"role": "assistant", "content": "hello"}, {"reasoning_content": "so"}, {"content": " world"}):
        estimate.hear(chunk(**delta))
    estimate.hear({"choices": []})
    usage = CompletionUsage.model_validate_json(json.dumps(estimate.usage()))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (9, 3, 12)
    assert usage.model_extra == {MARK: True}


def test_the_usage_chunk_belongs_to_its_stream() -> None:
    """It has the frame of the chunks before it, and no choice."""
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    estimate = UsageEstimate({"messages": []})
    estimate.hear({**frame, **chunk(content="hi"), "system_fingerprint": "f"})
    last = ChatCompletionChunk.model_validate(estimate.chunk())
    assert estimate.chunk() == {**frame, "choices": [], "usage": estimate.usage()}
    assert last.usage is not None


def test_a_whole_completion_and_tool_calls_are_heard() -> None:
    """Names and arguments of calls are written by the model too."""
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
    whole = UsageEstimate({"messages": []})
    whole.hear({"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [call]}}]})
    streamed = UsageEstimate({"messages": []})
    streamed.hear(chunk(tool_calls=[{"index": 0, "function": {"name": "weather", "arguments": ""}}]))
    streamed.hear(chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}]))
    streamed.hear(chunk(tool_calls=[{"index": 0, "function": {"arguments": '"Ulm"}'}}]))
    assert whole.usage() == streamed.usage()
    assert whole.usage()["completion_tokens"] > 4


def test_the_vocabulary_is_loaded_with_the_first_estimate() -> None:
    """A worker whose upstreams all report usage pays nothing, and nothing is ever downloaded."""
    code = (
        "import socket, worker.estimate as e\n"
        "def refuse(*_): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "assert e.UsageEstimate({'messages': [{'content': 'hi'}]}).usage(quick=True)['prompt_tokens'] > 0\n"
        "assert e._tokenizer.cache_info().currsize == 0\n"
        "assert e.prompt_tokens({'messages': [{'content': 'hi'}]}) > 0\n"
        "assert e._tokenizer.cache_info().currsize == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
