"""Our native requests to DashScope beside those of the official SDK, which is asked for the same over a real socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dashscope
import pytest
from dashscope.api_entities.http_request import close_shared_sync_session

from tests.providers.cases import FOLDER, Case

NATIVE = ["text", "old", "tools", "image", "filtered"]
PREFIX = "/api/v1"


class Recorder(HTTPServer):
    """Keeps what it is asked and answers with one fixture."""

    answer: bytes
    asked: tuple[str, dict[str, str], Any]


class Recording(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked = self.path, {name.lower(): value for name, value in self.headers.items()}, body
        self.send_response(200)
        self.send_header("content-type", "application/json" if self.server.answer[:1] == b"{" else "text/event-stream")
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the base class
        """Says nothing."""


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with Recorder(("127.0.0.1", 0), Recording) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setattr(dashscope, "base_http_api_url", f"http://127.0.0.1:{server.server_port}{PREFIX}")
        yield server
        server.shutdown()
        close_shared_sync_session()


@pytest.mark.parametrize("name", NATIVE)
def test_we_ask_what_the_official_sdk_asks(name: str, recorder: Recorder) -> None:
    """Same path, same body, and streaming switched on by the same header; the SDK reads the fixture's answer."""
    case = Case(FOLDER / "dashscope" / name)
    ours = case.json("stream_request.json")
    (recorder.answer,) = case.stream_parts
    multimodal = "multimodal" in ours["url"]
    sdk: Any = dashscope.MultiModalConversation if multimodal else dashscope.Generation
    body = ours["body"]
    events = list(
        sdk.call(
            model=body["model"],
            messages=body["input"]["messages"],
            api_key="sk-test",
            stream=True,
            **body["parameters"],
        )
    )
    path, headers, theirs = recorder.asked
    assert ours["url"].endswith(path)
    assert theirs == body
    assert headers["x-dashscope-sse"] == ours["headers"]["x-dashscope-sse"]
    assert any((event.output and event.output.choices) or event.output.text for event in events if event.output)


@pytest.mark.parametrize("name", ["text", "old", "tools", "image"])
def test_the_official_sdk_reads_the_fixtures(name: str, recorder: Recorder) -> None:
    """A whole answer of the fixtures is one to the SDK too, with the same reason to finish and the same counts."""
    case = Case(FOLDER / "dashscope" / name)
    recorder.answer = json.dumps(case.json("response.json")).encode()
    sdk: Any = dashscope.MultiModalConversation if name == "image" else dashscope.Generation
    answer = sdk.call(model="m", messages=[{"role": "user", "content": "x"}], api_key="sk-test")
    expected = case.json("completion.json")
    finish_reason = answer.output.choices[0].finish_reason if answer.output.choices else answer.output.finish_reason
    assert finish_reason == expected["choices"][0]["finish_reason"]
    assert answer.usage.input_tokens == expected["usage"]["prompt_tokens"]
    assert answer.usage.output_tokens == expected["usage"]["completion_tokens"]
