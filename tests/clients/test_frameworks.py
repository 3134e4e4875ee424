"""Frameworks that programs speak to us through: LangChain's ChatOpenAI and LlamaIndex's OpenAILike."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import HERE, Gateway, python_with
from tests.clients.dialects import MODELS
from tests.system import CLIENT_KEY

# The first of them makes the frameworks' environment.
pytestmark = pytest.mark.timeout(600)
SAID = "It was a bright cold day"


@pytest.fixture
def call(gateway: Gateway, tmp_path: Path) -> Any:
    """Runs one function of frameworks.py."""

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [python_with("frameworks"), HERE / "frameworks.py", *arguments],
            env={**os.environ, "GATEWAY_URL": gateway.url, "GATEWAY_KEY": CLIENT_KEY, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_langchain_gets_a_plain_answer_with_usage(call: Any) -> None:
    answer = call("langchain_plain")
    assert answer["content"] == SAID
    assert answer["tokens"] > 0


@pytest.mark.parametrize("framework", ["langchain", "llama"])
def test_a_streamed_answer_comes_in_parts(call: Any, framework: str) -> None:
    parts = call(f"{framework}_stream")["parts"]
    assert "".join(filter(None, parts)) == SAID
    assert len([part for part in parts if part]) > 3


def test_llama_index_gets_a_plain_answer(call: Any) -> None:
    assert call("llama_plain") == {"content": SAID}


@pytest.mark.parametrize("framework", ["langchain", "llama"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_a_tool_round_trip(call: Any, framework: str, model: str) -> None:
    """The model calls a tool, the program runs it, the model hears of its result."""
    answer = call(f"{framework}_tool", model)
    assert answer == {"call": {"text": "cold"}, "content": "The tool says: noted: cold"}


@pytest.mark.parametrize("framework", ["langchain", "llama"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_a_structured_answer_is_an_object_of_the_programs_own(call: Any, framework: str, model: str) -> None:
    assert call(f"{framework}_structured", model) == {"text": "cold", "times": 3}
