"""The official Node SDK."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.clients.conftest import HERE, Gateway, node_folder
from tests.system import CLIENT_KEY

# The first of them installs the SDK.
pytestmark = [pytest.mark.needs("node", "npm"), pytest.mark.timeout(300)]
SAID = "It was a bright cold day"


def call(gateway: Gateway, name: str) -> Any:
    folder = node_folder()
    shutil.copy(HERE / "node" / "calls.mjs", folder)
    done = subprocess.run(
        ["node", "calls.mjs", name],
        cwd=folder,
        env={**os.environ, "GATEWAY_URL": gateway.url, "GATEWAY_KEY": CLIENT_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_plain_answer(gateway: Gateway) -> None:
    answer = call(gateway, "plain")
    assert answer.pop("requestId").startswith("req_")
    assert answer.pop("tokens") > 0
    assert answer == {"content": SAID, "finishReason": "stop", "provider": "echo"}


def test_a_streamed_answer_with_usage(gateway: Gateway) -> None:
    answer = call(gateway, "stream")
    assert answer["content"] == SAID
    assert answer["chunks"] > 3
    assert answer["tokens"] > 0


def test_a_tool_round_trip(gateway: Gateway) -> None:
    answer = call(gateway, "tool")
    assert answer["call"] == {"name": "note", "arguments": json.dumps({"text": SAID}, separators=(",", ":"))}
    assert answer["content"] == "noted"


def test_a_streamed_tool_call_is_put_together_by_the_sdks_own_helper(gateway: Gateway) -> None:
    assert json.loads(call(gateway, "streamedTool")["call"]["arguments"]) == {"text": SAID}


def test_a_refusal_is_the_sdks_own_class(gateway: Gateway) -> None:
    answer = call(gateway, "refused")
    assert answer.pop("requestId").startswith("req_")
    assert answer == {"kind": "NotFoundError", "status": 404, "code": "model_not_found"}


def test_leaving_a_stream_ends_the_call_upstream(gateway: Gateway) -> None:
    assert call(gateway, "leave") == {"left": True}
    gateway.wait_for_hang_up("node-left")
