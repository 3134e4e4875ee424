"""The Python SDK before its rewrite."""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.clients.conftest import HERE, Gateway, python_with
from tests.system import CLIENT_KEY

# The first of them makes the SDK's environment.
pytestmark = pytest.mark.timeout(300)
SAID = "It was a bright cold day"


def call(gateway: Gateway, name: str) -> Any:
    done = subprocess.run(
        [python_with("openai-0.28"), HERE / "legacy.py", name],
        env={**os.environ, "GATEWAY_URL": gateway.url, "GATEWAY_KEY": CLIENT_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_plain_answer(gateway: Gateway) -> None:
    answer = call(gateway, "plain")
    assert answer["content"] == SAID
    assert answer["tokens"] > 0


def test_a_streamed_answer(gateway: Gateway) -> None:
    assert call(gateway, "stream") == {"content": SAID, "finish_reason": "stop"}


def test_a_refusal_is_the_sdks_own_class(gateway: Gateway) -> None:
    assert call(gateway, "refused") == {"kind": "AuthenticationError", "code": "invalid_api_key", "status": 401}


def test_models_are_listed(gateway: Gateway) -> None:
    assert {"echo", "echo-tool", "echo-error"} <= set(call(gateway, "models"))
