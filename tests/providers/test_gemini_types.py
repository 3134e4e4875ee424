"""The fixtures of `gemini` and `gemini-cli` are right by the google-genai package's own types, not by ours alone."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from google.genai.errors import APIError
from google.genai.types import (
    BlockedReason,
    Content,
    FinishReason,
    GenerateContentResponse,
    GenerationConfig,
    Model,
    SafetySetting,
    Tool,
    ToolConfig,
)

from tests.providers.cases import FOLDER, Case, split_events
from worker.faults import Fault, UpstreamError
from worker.providers import gemini_answer
from worker.providers.contract import Event, Framing

CASES: Final = [
    Case(chat.parent) for name in ("gemini", "gemini-cli") for chat in sorted(FOLDER.glob(f"{name}/*/chat.json"))
]
ANSWERED: Final = [case for case in CASES if (case.folder / "response.json").exists()]
_OTHERS: Final = {"cachedContent", "session_id"}


def contained(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the envelope of Code Assist holds, or the thing itself."""
    inner = data.get("request", data.get("response", data))
    assert isinstance(inner, Mapping)
    return inner


@pytest.mark.parametrize("name", ["request.json", "stream_request.json"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_request_has_only_what_the_package_knows(case: Case, name: str) -> None:
    """The package's types forbid members that they do not know."""
    body = dict(contained(case.json(name)["body"]))
    for content in [*body.pop("contents"), *([body.pop("systemInstruction")] if "systemInstruction" in body else ())]:
        parsed = Content.model_validate(content)
        # A part is one thing: what the package reads as nothing would have been lost.
        assert all(part.model_dump(exclude_none=True) for part in parsed.parts or ())
    for tool in body.pop("tools", ()):
        Tool.model_validate(tool)
    for setting in body.pop("safetySettings", ()):
        SafetySetting.model_validate(setting)
    ToolConfig.model_validate(body.pop("toolConfig", {}))
    config = body.pop("generationConfig", {})
    found = GenerationConfig.model_validate(config).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert found == config
    assert set(body) <= _OTHERS


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_answer_and_frames_are_those_of_the_package(case: Case) -> None:
    """The package reads the whole answer and each frame, and what it reads has the text that we tell."""
    GenerateContentResponse.model_validate(contained(case.json("response.json")))
    text = ""
    for event in split_events(Framing.SSE, case.stream_parts):
        frame = GenerateContentResponse.model_validate(contained(json.loads(event.data)))
        first = [candidate for candidate in frame.candidates or () if not candidate.index]
        parts = [part for candidate in first if candidate.content for part in candidate.content.parts or ()]
        text += "".join(part.text or "" for part in parts if not part.thought)
    assert text == (case.json("completion.json")["choices"][0]["message"]["content"] or "")


@pytest.mark.parametrize("name", ["gemini", "gemini-cli"])
def test_errors_are_those_of_the_package(name: str) -> None:
    """The package finds message and status in every error body."""
    for entry in json.loads((FOLDER / name / "errors.json").read_bytes()):
        if not isinstance(entry["body"], str):
            error = APIError(entry["status"], entry["body"])
            assert error.message
            assert error.status


def test_models_are_those_of_the_package() -> None:
    """The list's rows, whose `supportedGenerationMethods` the package renames."""
    for row in json.loads((FOLDER / "gemini" / "models.json").read_bytes())["body"]["models"]:
        known = {key: value for key, value in row.items() if key != "supportedGenerationMethods"}
        Model.model_validate({**known, "supportedActions": row["supportedGenerationMethods"]})


def test_every_finish_reason_of_the_package_is_told_truly() -> None:
    """Only STOP is "stop"; a reason that is no answer raises."""
    case = next(case for case in CASES if case.name == "gemini/text")
    for reason in FinishReason:
        mapper = case.provider.stream_mapper(case.call(stream=True))
        frame = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": reason.value}]}
        try:
            chunks = [*mapper.feed(Event(json.dumps(frame).encode())), *mapper.finish()]
        except UpstreamError:
            assert reason.value in {*gemini_answer._NO_ANSWER, "FINISH_REASON_UNSPECIFIED"}
            continue
        told = chunks[-1].data["choices"][0]["finish_reason"]
        assert told == {"STOP": "stop", "MAX_TOKENS": "length"}.get(reason.value, "content_filter")


@pytest.mark.parametrize("reason", BlockedReason)
def test_every_block_of_the_package_is_told_as_a_filter(reason: BlockedReason) -> None:
    case = next(case for case in CASES if case.name == "gemini/text")
    frame = json.dumps({"promptFeedback": {"blockReason": reason.value}}).encode()
    with pytest.raises(UpstreamError) as raised:
        case.provider.stream_mapper(case.call(stream=True)).feed(Event(frame))
    assert raised.value.fault is Fault.CONTENT_FILTERED


def test_a_part_after_the_finish_reason_is_not_lost() -> None:
    """Gemini has been seen to say STOP before its last call; finish reasons wait for the end of the body."""
    case = next(case for case in CASES if case.name == "gemini/text")
    mapper = case.provider.stream_mapper(case.call(stream=True))
    early = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]}
    late = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]}
    chunks = [*mapper.feed(Event(json.dumps(early).encode())), *mapper.feed(Event(json.dumps(late).encode()))]
    chunks += mapper.finish()
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk.data["choices"]] == [
        None,
        None,
        "tool_calls",
    ]
