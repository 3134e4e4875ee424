"""A new provider is what README says it is: a row, or a file and a folder of fixtures, and no other edit."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.servers import ROOT

pytestmark = pytest.mark.timeout(300)
PYTHON: Final = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
HI: Final = {"model": "example-1", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5}
HEADERS: Final = {"authorization": "Bearer test-api_key", "content-type": "application/json"}
ANSWER: Final = {
    "id": "chatcmpl-0123456789abcdef",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "example-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def golden(*, stream: bool) -> dict[str, Any]:
    body = {"model": "example-1", "prompt": "Hi", "stream": stream, "temperature": 0.5}
    request = {"method": "POST", "url": "https://api.example.com/complete", "headers": HEADERS, "body": body}
    return {**request, "streamed": True} if stream else request


FIXTURES: Final[dict[str, Any]] = {
    "errors.json": [
        {"status": 429, "headers": {"retry-after": "7"}, "body": {}, "fault": "rate_limited", "retry_after_s": 7}
    ],
    "text/chat.json": {"request": HI},
    "text/request.json": golden(stream=False),
    "text/stream_request.json": golden(stream=True),
    "text/response.json": {"text": "Hello!", "tokens": [1, 2]},
    "text/completion.json": ANSWER,
    "text/refusals.json": [{"request": {"seed": 1}, "param": "seed"}],
}
STREAM: Final = 'data: {"text": "Hel"}\n\ndata: {"text": "lo!"}\n\ndata: {"tokens": [1, 2]}\n\n'


class Copy:
    """The project's code and provider tests, elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("worker", "shared", "deploy", "tests/providers"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "tests/__init__.py"):
            shutil.copy(ROOT / name, folder / name)

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def run(self, *command: str) -> str:
        """What it printed. Raises AssertionError with it unless it succeeds."""
        environ = {**os.environ, "PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            [sys.executable, *command], cwd=self.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def suite(self) -> str:
        """The contract suite over all types, as far as the new one is concerned."""
        files = [f"tests/providers/test_{name}.py" for name in ("contract", "streams", "fields")]
        options = ["-p", "no:cacheprovider", "-o", "addopts=", "-v", "-k", "example or every_type"]
        return self.run("-m", "pytest", *options, *files)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_row_is_a_provider(copy: Copy) -> None:
    rows = (ROOT / "worker/providers/compatible_rows.py").read_text()
    (row,) = (text for text in PYTHON if text.startswith("Row("))
    head, end, _ = rows.rpartition(")\n")
    copy.write("worker/providers/compatible_rows.py", f"{head}{row.rstrip()},\n{end}")
    assert "example-row" in copy.run("-m", "deploy.cli", "providers")
    assert "failed" not in copy.suite()


def test_a_file_and_its_fixtures_are_a_provider(copy: Copy) -> None:
    """The suite sees the new one, over every part of its contract, without being told of it."""
    (code,) = (text for text in PYTHON if "class Example(" in text)
    copy.write("worker/providers/example.py", code)
    for name, data in FIXTURES.items():
        copy.write(f"tests/providers/example/{name}", json.dumps(data))
    copy.write("tests/providers/example/text/stream.sse", STREAM)
    copy.run("-m", "tests.providers.record", "example/text")
    assert "Example AI" in copy.run("-m", "deploy.cli", "providers")
    passed = set(re.findall(r"::(\w+)\[example\S* PASSED", copy.suite()))
    assert {
        "test_plain_request_is_golden",
        "test_answer_is_mapped",
        "test_error_is_classified",
        "test_what_an_upstream_cannot_do_is_refused",
        "test_no_field_is_lost",
        "test_any_split_of_the_bytes_gives_the_same_chunks",
        "test_a_stream_cut_at_any_byte_invents_nothing",
    } <= passed


def test_a_file_without_fixtures_is_noticed(copy: Copy) -> None:
    (code,) = (text for text in PYTHON if "class Example(" in text)
    copy.write("worker/providers/example.py", code)
    with pytest.raises(AssertionError, match="test_every_type_has_fixtures"):
        copy.suite()
