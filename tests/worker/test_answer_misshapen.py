"""An answer whose members have the wrong types is the upstream's fault, wherever that is noticed."""

import json
from typing import Any

import pytest

from tests.worker.answers import answer_to
from worker.faults import Fault, UpstreamError

DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]


async def answer_with(said: dict[str, Any], *, stream: bool) -> None:
    """Raises what the answer raises."""
    choice = {"index": 0, ("delta" if stream else "message"): said, "finish_reason": "stop"}
    data = json.dumps({"id": "c", "object": "x", "created": 1, "model": "m", "choices": [choice]}).encode()
    if stream:
        assert await answer_to(b"data: %b\n\ndata: [DONE]\n\n" % data, "text/event-stream", stream=True)
    else:
        assert await answer_to(data, "application/json", stream=False)


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
