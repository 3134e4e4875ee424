"""An answer whose members have the wrong types is the upstream's fault, wherever that is noticed."""

import json
from typing import Any

import pytest
from aiohttp import web

from tests.worker.answers import everything
from worker.answer import UpstreamAnswer
from worker.config.provider import Timeouts
from worker.faults import Fault, UpstreamError
from worker.providers.contract import ChatCall, Credential, Settings
from worker.providers.registry import providers
from worker.upstream import Upstream

DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]


async def answer_with(said: dict[str, Any], *, stream: bool) -> None:
    """Raises what the answer raises."""
    choice = {"index": 0, ("delta" if stream else "message"): said, "finish_reason": "stop"}
    data = json.dumps({"id": "c", "object": "x", "created": 1, "model": "m", "choices": [choice]}).encode()

    async def handle(_: web.Request) -> web.Response:
        body, media = (
            (b"data: %b\n\ndata: [DONE]\n\n" % data, "text/event-stream") if stream else (data, "application/json")
        )
        return web.Response(body=body, content_type=media)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider, upstream = providers()["openai-compatible"], Upstream()
    settings = Settings("test", f"http://127.0.0.1:{runner.addresses[0][1]}", provider.options())
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    call = ChatCall(asked, "m", stream=stream, completion_id="chatcmpl-1", created=1, settings=settings)
    answer = UpstreamAnswer(
        upstream, provider, call, Credential("c", {"api_key": "k"}), Timeouts(), include_usage=True, most_bytes=1 << 20
    )
    try:
        assert await everything(answer)
    finally:
        await upstream.aclose()
        await runner.cleanup()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    "said",
    [{"content": 5}, {"content": {"a": 1}}, {"reasoning_content": [1]}, {"content": "a", "x": DEEP}],
    ids=["number", "object", "list", "deep"],
)
async def test_wrong_types_are_the_upstreams_fault(said: dict[str, Any], *, stream: bool) -> None:
    """Anything else would be a failure of the gateway, and no other account would be tried."""
    with pytest.raises(UpstreamError) as caught:
        await answer_with(said, stream=stream)
    assert caught.value.fault is Fault.UPSTREAM_FAULT
