"""What comes where a stream was asked for and is none: a whole answer, an error's JSON, a page.

Seen of lemonade (lemonade-sdk/lemonade issue 2826) and of older llama.cpp (ggml-org/llama.cpp pull request 16109).
"""

import json

import pytest

from tests.worker.answers import answer_to
from worker.faults import Fault, UpstreamError

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
REFUSAL = b'{"error": {"message": "no such field", "type": "invalid_request_error", "param": "x", "code": null}}'


async def test_a_whole_answer_is_told_as_a_stream() -> None:
    """An upstream that cannot stream serves clients that want one."""
    events = (await answer_to(json.dumps(COMPLETION).encode(), "application/json", stream=True)).split(b"\n\n")
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events if event]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [choice["delta"].get("role") for choice in choices].count("assistant") == 1
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "Hi"
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]


@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("end", [b"", b"\n\n"], ids=["bare", "blank line"])
async def test_an_error_says_what_it_is(media: str, end: bytes) -> None:
    """Also where a proxy in front passes it on as it came, behind the headers of a stream."""
    with pytest.raises(UpstreamError) as caught:
        await answer_to(REFUSAL + end, media, stream=True)
    assert (caught.value.fault, caught.value.param) == (Fault.INVALID_REQUEST, "x")


async def test_the_error_field_of_older_llama_cpp_is_read() -> None:
    """It stands where a data line would."""
    told = b'error: {"code":400,"message":"the request exceeds the available context size","type":"x"}\n\n'
    with pytest.raises(UpstreamError) as caught:
        await answer_to(told + b"data: [DONE]\n\n", "text/event-stream", stream=True)
    assert caught.value.fault is Fault.CONTEXT_TOO_LONG


@pytest.mark.parametrize("body", [b'data: {"id"', b": keep-alive\n\n", b"<html>no</html>", b'{"id": "c"'])
async def test_what_breaks_off_or_is_a_page_is_the_upstreams_fault(body: bytes) -> None:
    """Nothing is made of it."""
    with pytest.raises(UpstreamError) as caught:
        await answer_to(body, "text/event-stream", stream=True)
    assert caught.value.fault is Fault.UPSTREAM_FAULT
