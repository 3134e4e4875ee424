"""Answers whose shape is not what it was: an upstream that changes its protocol makes an error, never a crash.

The worker turns MISSHAPEN into an UpstreamError wherever it has an answer read; nothing else may be raised.
"""

import contextlib
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.providers.cases import Case, cases, map_stream, response
from worker.faults import MISSHAPEN, UpstreamError
from worker.providers.contract import Answer, Framing, LocalProvider

BORNE = (UpstreamError, *MISSHAPEN)
CASES = [case for case in cases() if not isinstance(case.provider, LocalProvider)]
STRANGE: list[Any] = [None, True, 17, "text", [], {}, [17], [None], {"strange": 1}]


def mutations(data: Any) -> Iterator[Any]:
    """`data` with one of its values replaced by something strange, or left out."""
    for path in paths(data):
        for strange in STRANGE:
            changed = deepcopy(data)
            holder_of(changed, path)[path[-1]] = strange
            yield changed
        if isinstance(path[-1], str):
            changed = deepcopy(data)
            del holder_of(changed, path)[path[-1]]
            yield changed


def holder_of(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path[:-1]:
        data = data[step]
    return data


def paths(data: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in items:
        yield (*before, step)
        yield from paths(value, (*before, step))


def assert_bears(case: Case, stream: bytes | list[bytes]) -> None:
    """Maps the stream to its end, which may be an UpstreamError."""
    mapper = case.provider.stream_mapper(case.call(stream=True))
    with contextlib.suppress(*BORNE):
        for chunk in map_stream(mapper, case.framing, [stream] if isinstance(stream, bytes) else stream):
            assert_texts(case, chunk.data)


def assert_texts(case: Case, data: Any) -> None:
    """Text is text: a client's own code would fail over anything else. OpenAI's own shape passes as it came."""
    if b'"choices"' in case.stream_parts[0] and case.framing is Framing.SSE:
        return
    for choice in data["choices"]:
        for name in ("content", "reasoning_content"):
            assert isinstance(choice["delta"].get(name, ""), str | None), name


def events(stream: bytes) -> list[tuple[bytes, Any]]:
    """Each event's head (its name, if any) and its data where that is JSON."""
    found = []
    for block in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        head, data, text = block.partition(b"data:")
        try:
            found.append((head + data, json.loads(text)))
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("case", [case for case in CASES if case.path("stream.sse")], ids=lambda case: case.name)
def test_a_strange_event_is_borne(case: Case) -> None:
    """Each event of a streamed answer, with each of its values replaced in turn."""
    (stream,) = case.stream_parts
    before = b""
    for head, data in events(stream):
        for strange in mutations(data):
            assert_bears(case, before + head + json.dumps(strange).encode() + b"\n\n")
        before += head + json.dumps(data).encode() + b"\n\n"


@pytest.mark.parametrize("case", [case for case in CASES if case.path("stream.ws.json")], ids=lambda case: case.name)
def test_a_strange_message_is_borne(case: Case) -> None:
    """The same for the messages of a WebSocket, whose records may end with U+001E."""
    messages = case.stream_parts
    for place, message in enumerate(messages):
        *records, rest = message.split(b"\x1e")
        for record in filter(None, [*records, rest]):
            for strange in mutations(json.loads(record)):
                end = b"\x1e" if records else b""
                assert_bears(case, [*messages[:place], json.dumps(strange).encode() + end])


@pytest.mark.parametrize("case", [case for case in CASES if case.path("response.json")], ids=lambda case: case.name)
def test_a_strange_answer_is_borne(case: Case) -> None:
    """A whole answer, with each of its values replaced in turn."""
    for strange in mutations(case.json("response.json")):
        with contextlib.suppress(*BORNE):
            case.provider.parse_response(case.call(), json.dumps(strange).encode())


@pytest.mark.parametrize("case", [case for case in CASES if case.path("exchange.json")], ids=lambda case: case.name)
def test_a_strange_side_answer_is_borne(case: Case) -> None:
    """The calls before the answer, with each value of their responses replaced in turn."""
    steps = [step for step in case.json("exchange.json") if "ask" in step]
    for place, step in enumerate(steps):
        for strange in mutations(step["response"].get("body")):
            exchange = case.provider.exchange(case.call(), case.credential)
            replies = [each["response"] for each in steps[:place]] + [{**step["response"], "body": strange}]
            with contextlib.suppress(*BORNE, StopIteration):
                asked = next(exchange)
                for reply in replies:
                    if isinstance(asked, Answer):
                        break
                    asked = exchange.send(response(reply))


@pytest.mark.parametrize("name", sorted({case.folder.parent.name for case in CASES}))
def test_a_strange_error_is_borne(name: str) -> None:
    """The bodies of errors, with each of their values replaced in turn."""
    case = next(case for case in CASES if case.folder.parent.name == name)
    errors = case.folder.parent / "errors.json"
    for entry in json.loads(errors.read_bytes()) if errors.exists() else ():
        if isinstance(entry["body"], dict):
            for strange in mutations(entry["body"]):
                answer = response({**entry, "body": strange})
                with contextlib.suppress(*MISSHAPEN):
                    assert case.provider.parse_error(entry["status"], answer.headers, answer.body).message
