"""One answer over a WebSocket: the same chunks, limits, errors and hang-ups as over HTTP, against a real server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.worker.answers import everything
from worker.answer import UpstreamAnswer
from worker.config.provider import Timeouts
from worker.faults import Fault, UpstreamError
from worker.providers.contract import ChatCall, Credential, Settings
from worker.providers.registry import providers
from worker.upstream import Upstream

Handler = Callable[[ServerConnection], Awaitable[None]]
KEYS = {"app_id": "a", "api_key": "k", "api_secret": "s"}


def frame(status: int, content: str, **payload: Any) -> str:
    choices = {"status": status, "seq": 0, "text": [{"content": content, "role": "assistant", "index": 0}]}
    header = {"code": 0, "message": "Success", "sid": "cht1", "status": status}
    return json.dumps({"header": header, "payload": {"choices": choices, **payload}})


USAGE = {"text": {"question_tokens": 1, "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


@contextlib.asynccontextmanager
async def answering(
    handler: Handler, *, stream: bool = True, respond: Callable[..., Response | None] | None = None, **timeouts: float
) -> AsyncIterator[UpstreamAnswer]:
    provider = providers()["spark"]
    upstream = Upstream()
    async with serve(handler, "127.0.0.1", 0, process_request=respond) as server:
        port = server.sockets[0].getsockname()[1]
        settings = Settings("spark", f"http://127.0.0.1:{port}", provider.options())
        body = {"model": "generalv3.5", "messages": [{"role": "user", "content": "hi"}]}
        call = ChatCall(body, "generalv3.5", stream=stream, completion_id="chatcmpl-1", created=1, settings=settings)
        yield UpstreamAnswer(
            upstream,
            provider,
            call,
            Credential("c", KEYS),
            Timeouts(**timeouts),
            include_usage=True,
            most_bytes=1 << 20,
        )
    await upstream.aclose()


async def speak(connection: ServerConnection) -> None:
    asked = json.loads(await connection.recv())
    assert asked["payload"]["message"]["text"] == [{"role": "user", "content": "hi"}]
    for message in (frame(0, "Hel"), frame(1, "lo ü"), frame(2, "", usage=USAGE)):
        await connection.send(message)
    await connection.wait_closed()


async def test_a_streamed_answer() -> None:
    """SSE events, ready for the client, with the usage that the upstream told."""
    async with answering(speak) as answer:
        sent = await everything(answer)
    events = [json.loads(event.removeprefix(b"data: ")) for event in sent.split(b"\n\n") if event]
    texts = [choice["delta"].get("content") for event in events for choice in event["choices"]]
    assert texts == ["Hel", "lo ü", None]
    assert answer.done
    assert [choice["finish_reason"] for event in events for choice in event["choices"]] == [None, None, "stop"]
    assert answer.usage == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


async def test_a_whole_answer() -> None:
    """The upstream only streams; the client gets one body."""
    async with answering(speak, stream=False) as answer:
        completion = json.loads(await everything(answer))
    assert completion["choices"][0]["message"]["content"] == "Hello ü"
    assert completion["usage"]["total_tokens"] == 5


async def test_a_refused_signature_is_a_bad_credential() -> None:
    """The handshake's status and body go through the provider."""

    def respond(_: ServerConnection, __: Request) -> Response:
        return Response(401, "Unauthorized", Headers(), b'{"message":"HMAC signature does not match"}')

    async with answering(speak, respond=respond) as answer:
        with pytest.raises(UpstreamError) as caught:
            await everything(answer)
    assert caught.value.fault is Fault.CREDENTIAL_REJECTED


async def test_an_error_code_is_classified() -> None:
    """A frame whose header has a code."""

    async def refuse(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"header": {"code": 11202, "message": "too fast", "status": 2}}))

    async with answering(refuse) as answer:
        with pytest.raises(UpstreamError) as caught:
            await everything(answer)
    assert caught.value.fault is Fault.RATE_LIMITED


async def test_a_close_before_the_last_frame_is_no_end() -> None:
    """An orderly close says nothing about the answer: status 2 does."""

    async def leave(connection: ServerConnection) -> None:
        await connection.send(frame(0, "Hel"))

    async with answering(leave, stream=False) as answer:
        with pytest.raises(UpstreamError, match="before the answer was complete") as caught:
            await everything(answer)
    assert caught.value.fault is Fault.UPSTREAM_FAULT
    assert not answer.done


async def hold(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def test_silence_before_the_first_token_times_out() -> None:
    """Named by the limit that passed."""
    async with answering(hold, first_token_s=0.2) as answer:
        with pytest.raises(UpstreamError) as caught:
            await everything(answer)
    assert (caught.value.fault, caught.value.code) == (Fault.TIMED_OUT, "first_token_timeout")


async def test_silence_between_chunks_times_out() -> None:
    """The other limit, after the first content."""

    async def stall(connection: ServerConnection) -> None:
        await connection.send(frame(0, "Hel"))
        await connection.wait_closed()

    async with answering(stall, between_chunks_s=0.2) as answer:
        with pytest.raises(UpstreamError) as caught:
            await everything(answer)
    assert (caught.value.fault, caught.value.code) == (Fault.TIMED_OUT, "between_chunks_timeout")


async def test_a_client_that_leaves_ends_the_upstreams_work() -> None:
    """In the midst of the answer."""
    hung_up = asyncio.Event()

    async def write_on(connection: ServerConnection) -> None:
        try:
            while True:
                await connection.send(frame(1, "more "))
                await asyncio.sleep(0.001)
        except ConnectionClosed:
            hung_up.set()

    async with answering(write_on) as answer:
        assert b"more" in (await answer.first() or b"")
        await answer.aclose()
        async with asyncio.timeout(5):
            await hung_up.wait()


async def test_an_answer_that_never_ends_is_cut_at_the_limit() -> None:
    """`most_bytes` holds for the sum of the messages."""

    async def flood(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send(frame(1, "x" * 10_000))

    async with answering(flood) as answer:
        with pytest.raises(UpstreamError, match="larger than"):
            await everything(answer)
