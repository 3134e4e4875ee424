"""The fixtures of `anthropic` are right by the official package's own types, not by ours alone."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, ModelInfo, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from anthropic.types.shared import ErrorDetails, ErrorType
from pydantic import TypeAdapter

from tests.providers.cases import FOLDER, Case, split_events
from worker.providers.anthropic_errors import _TYPES
from worker.providers.contract import Framing

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


def read(name: str) -> Any:
    return json.loads((_FOLDER / name).read_bytes())
