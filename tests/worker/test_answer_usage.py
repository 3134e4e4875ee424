"""Usage is always there: the upstream's own, or an estimate that says so."""

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.worker import answers
from tests.worker.answers import everything
from worker.answer import UpstreamAnswer
from worker.estimate import MARK
from worker.faults import UpstreamError

REPLY = "Hello there, world!"
EVENT = 'event:add\ndata:{"text":"Hello there, world!"}\n\n'
END = 'event:finish\ndata:{"text":""}\n\n'


def answering(body: str, *, stream: bool, include_usage: bool = True) -> AbstractAsyncContextManager[UpstreamAnswer]:
    """CodeGeeX, which tells no usage, answers with these events."""
    return answers.answering(
        "codegeex",
        {"token": "t"},
        body.encode(),
        "text/event-stream",
        stream=stream,
        include_usage=include_usage,
        question="Say hello",
    )


def events(sent: bytes) -> list[Any]:
    return [json.loads(event.removeprefix(b"data: ")) for event in sent.split(b"\n\n") if event]


async def test_a_stream_ends_with_an_estimate() -> None:
    """One more event, with the stream's own id and no choice."""
    async with answering(EVENT + END, stream=True) as answer:
        *_, finish, last = events(await everything(answer))
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert (last["id"], last["choices"]) == ("chatcmpl-1", [])
    assert last["usage"] == answer.usage
    assert last["usage"][MARK] is True
    assert last["usage"]["completion_tokens"] == 5


async def test_a_client_that_asked_for_no_usage_gets_none() -> None:
    """It is counted for accounting all the same."""
    async with answering(EVENT + END, stream=True, include_usage=False) as answer:
        sent = events(await everything(answer))
    assert all("usage" not in event for event in sent)
    assert answer.usage is not None
    assert answer.usage["completion_tokens"] == 5


async def test_a_whole_answer_has_an_estimate() -> None:
    """The same count as streamed."""
    async with answering(EVENT + END, stream=False) as answer:
        completion = json.loads(await everything(answer))
    assert completion["choices"][0]["message"]["content"] == REPLY
    assert completion["usage"]["completion_tokens"] == 5
    assert completion["usage"][MARK] is True


async def test_a_broken_stream_counts_what_came() -> None:
    """The upstream has worked, and so has the account."""
    async with answering(EVENT, stream=True) as answer:
        with pytest.raises(UpstreamError):
            await everything(answer)
    assert answer.usage is not None
    assert answer.usage["completion_tokens"] == pytest.approx(5, abs=1)


async def test_a_client_that_leaves_is_counted_too() -> None:
    """What was shown until then."""
    async with answering(EVENT + END, stream=True) as answer:
        await answer.first()
        await answer.aclose()
    assert answer.usage is not None
    assert answer.usage["completion_tokens"] == pytest.approx(5, abs=1)
