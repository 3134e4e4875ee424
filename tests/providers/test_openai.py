"""What OpenAI's own answers need: nothing."""

import orjson
import pytest

from tests.providers.cases import FOLDER, Case, map_stream, split_events
from worker.providers.contract import Chunk, Event

PASSED_ON = ["text", "tools", "image", "structured", "everything"]


@pytest.mark.parametrize("name", PASSED_ON)
def test_a_stream_of_openai_passes_byte_for_byte(name: str) -> None:
    """Not one event is written anew; only the end marker, which is the gateway's to send, is taken off."""
    case = Case(FOLDER / "openai" / name)
    (body,) = case.stream_parts
    assert b"".join(chunk.raw or b"written anew" for chunk in case.mapped([body])) == body.removesuffix(
        b"data: [DONE]\n\n"
    )


def test_only_what_must_change_is_written_anew() -> None:
    """A clone's event that departs from OpenAI's form is mended; those beside it pass as they came."""
    case = Case(FOLDER / "openai-compatible" / "text")
    events = [
        orjson.loads(event.data) for event in split_events(case.framing, case.stream_parts) if event.data[:1] == b"{"
    ]
    assert events[1]["choices"][0]["delta"].pop("role", None) is None
    events[1]["choices"][0]["delta"]["role"] = "assistant"  # as some clones say it in every event
    chunks = mapped(case, [Event(orjson.dumps(event)) for event in events])
    assert [chunk.raw is None for chunk in chunks] == [False, True, False, False, False]


def mapped(case: Case, events: list[Event]) -> list[Chunk]:
    body = b"".join(b"data: " + event.data + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    return list(map_stream(case.provider.stream_mapper(case.call(stream=True)), case.framing, [body]))


def test_a_stream_without_end_marker_says_so() -> None:
    """All finish reasons came, so the answer is whole; whoever maps it can still tell that the marker was missing."""
    case = Case(FOLDER / "openai" / "text")
    (body,) = case.stream_parts
    for end, ended in ((b"data: [DONE]\n\n", True), (b"", False)):
        mapper = case.provider.stream_mapper(case.call(stream=True))
        list(map_stream(mapper, case.framing, [body.removesuffix(b"data: [DONE]\n\n") + end]))
        assert mapper.ended is ended


def test_nothing_after_the_end_marker_is_read() -> None:
    """What follows [DONE] is not the answer's."""
    case = Case(FOLDER / "openai" / "text")
    (body,) = case.stream_parts
    found, expected = case.mapped([body + b"data: {broken\n\n"]), case.mapped([body])
    assert [chunk.data for chunk in found] == [chunk.data for chunk in expected]
