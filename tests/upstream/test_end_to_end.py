"""The official SDK through front, queue and worker to the fake upstream of every provider type."""

import json
from collections.abc import Mapping
from typing import Any

import openai
import pytest

from tests.providers.cases import STREAMS, response
from tests.servers import wait_until
from tests.upstream.conftest import CRUMBLED, HELD, REFUSED, REFUSED_IN_STREAMS, SCENES, Ended, Scene, Stage, request_of
from worker.faults import Fault, UpstreamError, to_client
from worker.joining import join
from worker.providers.contract import Chunk


def by_name(scene: Scene) -> str:
    return scene.name


@pytest.mark.parametrize("scene", SCENES, ids=by_name)
def test_a_whole_answer_comes_through(scene: Scene, stage: Stage) -> None:
    """The client gets the completion of the fixture, whether its upstream answers whole or only streams."""
    answer = stage.client.chat.completions.with_raw_response.create(**request_of(scene))
    expected = scene.case.json("completion.json")
    if scene.case.path("response.json", "response.txt") is None:
        expected = scene.case.json("stream_completion.json") or expected
    assert_same(answer.text, answer.headers["x-request-id"], expected, scene)


STREAMED = [scene for scene in SCENES if scene.case.path(*STREAMS)]


@pytest.mark.parametrize("scene", [*STREAMED, *CRUMBLED], ids=by_name)
def test_a_stream_comes_through(scene: Scene, stage: Stage) -> None:
    """The chunks that the SDK reads join to the fixture's completion; usage comes because it was asked for."""
    with stage.client.chat.completions.create(
        **request_of(scene, stream_options={"include_usage": True}), stream=True
    ) as stream:
        chunks = [Chunk(chunk.to_dict()) for chunk in stream]
        request_id = stream.response.headers["x-request-id"]
    expected = scene.case.json("stream_completion.json") or scene.case.json("completion.json")
    assert_same(json.dumps(join(chunks)), request_id, expected, scene)


def assert_same(answer: str, request_id: str, expected: Mapping[str, Any], scene: Scene) -> None:
    """Choices, and usage where the upstream counts, are the fixture's; ids that were made here are its own."""
    made = scene.case.call().completion_id.removeprefix("chatcmpl-")
    found = json.loads(answer.replace(request_id, made))
    assert told(found) == told(expected)
    assert found["usage"] == expected.get("usage", found["usage"])


def told(completion: Mapping[str, Any]) -> list[Any]:
    """What was answered, without the members that say nothing."""
    return [
        {
            "index": choice["index"],
            "finish_reason": choice["finish_reason"],
            "message": {name: value for name, value in choice["message"].items() if value not in (None, [])},
        }
        for choice in completion["choices"]
    ]


@pytest.mark.parametrize("scene", HELD, ids=by_name)
def test_a_hang_up_reaches_the_upstream(scene: Scene, stage: Stage) -> None:
    """The upstream sees that the client has left in the middle of the stream."""
    stage.forget()
    with stage.client.chat.completions.create(**request_of(scene), stream=True) as stream:
        next(iter(stream))
    wait_until("the hang-up", Ended(stage, scene, "hung up"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("scene", REFUSED, ids=by_name)
def test_an_error_comes_through(scene: Scene, stage: Stage, *, stream: bool) -> None:
    """An upstream's refusal has its true status and code, streamed or not."""
    entry = scene.errors[int(scene.behaviour.rpartition("-")[2])]
    refusal = response(entry)
    expected = to_client(scene.case.provider.parse_error(entry["status"], refusal.headers, refusal.body))
    with pytest.raises(openai.APIStatusError) as caught:
        stage.client.chat.completions.create(**request_of(scene), stream=stream)
    assert caught.value.status_code == expected.status
    assert caught.value.code == expected.code


@pytest.mark.parametrize("scene", REFUSED_IN_STREAMS, ids=by_name)
def test_an_error_in_a_streams_first_event_comes_through(scene: Scene, stage: Stage) -> None:
    """The upstream has said 200 by then; the client has not heard of it, and gets the status that the error has."""
    entry = scene.case.json("broken_streams.json")[int(scene.behaviour.rpartition("-")[2])]
    expected = to_client(UpstreamError(Fault(entry["fault"]), "", code=entry.get("code"), param=entry.get("param")))
    with pytest.raises(openai.APIStatusError) as caught:
        stage.client.chat.completions.create(**request_of(scene), stream=True)
    told = caught.value
    assert (told.status_code, told.type, told.param) == (expected.status, expected.type, expected.param)
