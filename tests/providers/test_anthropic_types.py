"""The fixtures of `anthropic` are right by the official package's own types, not by ours alone."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, ModelInfo, RawMessageStreamEvent, StopReason
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from anthropic.types.shared import ErrorDetails, ErrorType
from pydantic import TypeAdapter

from tests.providers.cases import FOLDER, Case, split_events
from worker.providers.anthropic_errors import _TYPES
from worker.providers.contract import Event, Framing

# API version 2023-06-01 has them; the package speaks 2026-10-21, which does not.
_SAMPLING: Final = {"temperature", "top_p", "top_k"}
_PLAIN: Final[TypeAdapter[Any]] = TypeAdapter(MessageCreateParamsNonStreaming)
_STREAMED: Final[TypeAdapter[Any]] = TypeAdapter(MessageCreateParamsStreaming)
_EVENT: Final[TypeAdapter[Any]] = TypeAdapter(RawMessageStreamEvent)
_FOLDER: Final = FOLDER / "anthropic"
CASES: Final = [Case(chat.parent) for chat in sorted(_FOLDER.glob("*/chat.json"))]
ANSWERED: Final = [case for case in CASES if (case.folder / "response.json").exists()]


def whole(value: Any) -> Any:
    """Reads the lazy iterables that pydantic checks only when asked."""
    if isinstance(value, Mapping):
        return {name: whole(member) for name, member in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [whole(item) for item in value]
    return value


@pytest.mark.parametrize("name", ["request.json", "stream_request.json"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_request_has_only_what_the_package_knows(case: Case, name: str) -> None:
    """Validation leaves unknown members out, so what comes back equal had none."""
    body = {key: value for key, value in case.json(name)["body"].items() if key not in _SAMPLING}
    adapter = _STREAMED if body.get("stream") else _PLAIN
    assert whole(adapter.validate_python(body)) == body


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_answer_is_a_message_of_the_package(case: Case) -> None:
    """The package reads the fixture and keeps every member of it."""
    data = case.json("response.json")
    assert json.loads(Message.model_validate(data).model_dump_json(exclude_unset=True)) == data


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_stream_adds_up_to_the_answer_in_the_package(case: Case) -> None:
    """The package's own accumulation of the streamed fixture gives the whole fixture."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in split_events(Framing.SSE, case.stream_parts):
        data = json.loads(event.data)
        if data["type"] != "ping":
            parsed = _EVENT.validate_python(data)
            snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=buffers)
    found = json.loads(Message.model_validate(snapshot.model_dump()).model_dump_json(exclude_none=True))
    expected = {name: value for name, value in case.json("response.json").items() if value is not None}
    assert without_parsed(found) == expected


def without_parsed(message: Any) -> Any:
    for block in message["content"]:
        block.pop("parsed_output", None)
    return message


def test_errors_and_models_are_those_of_the_package() -> None:
    """The package knows every error type and code of the fixtures, and reads the list of models."""
    errors = [entry["body"]["error"] for entry in read("errors.json") if isinstance(entry["body"], dict)]
    # This one stands in the API's documentation alone.
    assert {error["type"] for error in errors} <= {*get_args(ErrorType), "request_too_large"}
    details: TypeAdapter[Any] = TypeAdapter(ErrorDetails)
    for error in errors:
        if "details" in error:
            details.validate_python(error["details"])
    for row in read("models.json")["body"]["data"]:
        ModelInfo.model_validate(row)


def test_every_error_type_of_the_package_has_a_place() -> None:
    """A type that is missing would fall back on the status without a word."""
    foreign = {"memory_precondition_failed_error", "memory_path_conflict_error"}  # of an API that is not used here
    assert set(get_args(ErrorType)) - foreign <= set(_TYPES)


TOLD: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


@pytest.mark.parametrize("reason", get_args(StopReason))
def test_every_stop_reason_of_the_package_is_told_truly(reason: str) -> None:
    """Whole and streamed; one that the package adds has no place here, and fails."""
    case = Case(_FOLDER / "text")
    whole_answer = {**case.json("response.json"), "stop_reason": reason}
    completion = case.provider.parse_response(case.call(), json.dumps(whole_answer).encode())
    assert completion["choices"][0]["finish_reason"] == TOLD[reason]
    assert finish_reasons(streamed(case, reason=reason)) == [TOLD[reason]]


@pytest.mark.parametrize(
    "extra",
    [
        [{"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}],
        [
            {
                "type": "content_block_start",
                "index": 7,
                "content_block": {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            },
            {
                "type": "content_block_delta",
                "index": 7,
                "delta": {"type": "input_json_delta", "partial_json": '{"query": "x"}'},
            },
            {"type": "content_block_stop", "index": 7},
        ],
        [{"type": "an_event_of_tomorrow", "anything": 1}],
        [{"type": "content_block_delta", "index": 0, "delta": {"type": "a_delta_of_tomorrow"}}],
    ],
    ids=["citation", "server-tool", "event", "delta"],
)
def test_what_has_no_place_in_openais_answer_is_passed_over(extra: list[Any]) -> None:
    """The API's documentation asks clients to bear with kinds that they do not know."""
    case = Case(_FOLDER / "text")
    assert streamed(case, extra=extra) == streamed(case)


def streamed(case: Case, *, reason: str | None = None, extra: Iterable[Any] = ()) -> list[Any]:
    """The chunks of the streamed fixture, with another stop reason or with more events in its first block."""
    mapper = case.provider.stream_mapper(case.call(stream=True))
    chunks: list[Any] = []
    for event in split_events(Framing.SSE, case.stream_parts):
        data = json.loads(event.data)
        if reason and data["type"] == "message_delta":
            data["delta"]["stop_reason"] = reason
        more = extra if data["type"] == "content_block_start" and data["index"] == 0 else ()
        for told in (data, *more):
            chunks += [chunk.data for chunk in mapper.feed(Event(json.dumps(told).encode()))]
    return chunks


def finish_reasons(chunks: Iterable[Any]) -> list[str]:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


def read(name: str) -> Any:
    return json.loads((_FOLDER / name).read_bytes())
