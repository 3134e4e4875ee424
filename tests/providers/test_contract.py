"""What every provider type must do, checked over its fixtures (see `cases.py` for their layout)."""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from shared.errors import InvalidRequest
from tests.providers import sdk_types
from tests.providers.cases import (
    FOLDER,
    STREAMS,
    Case,
    as_golden,
    credential,
    has_quirks,
    response,
    settings,
    type_folders,
)
from tests.providers.checks import CASES, assert_promises, assert_raised, each, each_entry, walk
from worker.faults import UpstreamError
from worker.joining import join
from worker.providers.contract import Answer, LocalProvider, Status
from worker.providers.registry import providers

FOLDERS = [folder.name for folder in type_folders()]
NAMES = [name for name, provider in sorted(providers().items()) if name in FOLDERS or has_quirks(provider)]


def entries(file: str) -> list[Any]:
    """Every entry of this file in the types' folders."""
    return [
        pytest.param(folder.name, entry, id=f"{folder.name}-{n}")
        for folder in type_folders()
        if folder.name in providers() and (folder / file).exists()
        for n, entry in enumerate(json.loads((folder / file).read_bytes()))
    ]


def test_every_type_has_fixtures_and_every_folder_is_a_type() -> None:
    """A provider without fixtures would pass everything below."""
    with_cases = {case.folder.parent.name for case in CASES}
    assert sorted(with_cases) == NAMES
    assert FOLDERS == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_type_has_an_answer_and_a_stream(name: str) -> None:
    """At least one case shows a finished answer, and one a streamed answer where the type streams.

    A type that is not offered shows how it refuses.
    """
    own = [case for case in CASES if case.folder.parent.name == name]
    if providers()[name].status is Status.NOT_OFFERED:
        assert any(case.path("exchange_errors.json") for case in own)
        return
    assert any(case.path("completion.json", "stream_completion.json") for case in own)
    local = isinstance(providers()[name], LocalProvider)
    assert local or any(case.path(*STREAMS) for case in own) or not providers()[name].capabilities.streaming


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_chat_is_a_request_of_the_sdk(case: Case) -> None:
    """A fixture that no client could send would prove nothing."""
    sdk_types.check_request(dict(case.call().body))


@each("request.json", "exchange.json")
def test_plain_request_is_golden(case: Case) -> None:
    """The plain call asks exactly what the fixture says."""
    assert_golden(case, "request.json", "exchange.json", stream=False)


@each("stream_request.json", "stream_exchange.json")
def test_streamed_request_is_golden(case: Case) -> None:
    """The streamed call asks exactly what the fixture says."""
    assert_golden(case, "stream_request.json", "stream_exchange.json", stream=True)


def assert_golden(case: Case, single: str, several: str, *, stream: bool) -> None:
    chat = case.call(stream=stream)
    before = deepcopy(dict(chat.body))
    steps = case.json(several) if case.path(several) else [{"answer": case.json(single)}]
    asked = [without_response(step) for step in steps]
    assert walk(case.provider.exchange(chat, case.credential), steps) == asked
    assert dict(chat.body) == before, "the chat's body was changed"


def without_response(step: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: request for kind, request in step.items() if kind != "response"}


@each_entry("exchange_errors.json")
def test_a_failing_exchange_raises(case: Case, entry: Mapping[str, Any]) -> None:
    """A side call that fails is classified like any other failure."""
    exchange = case.provider.exchange(case.call(stream=True), case.credential)
    with pytest.raises(UpstreamError) as caught:  # noqa: PT012  which call raises is the exchange's own business
        next(exchange)
        for reply in entry["responses"]:
            assert not isinstance(exchange.send(response(reply)), Answer), "the exchange went on to its answer"
    assert_raised(caught.value, entry)


@each("response.json", "response.txt")
def test_answer_is_mapped(case: Case) -> None:
    """A whole answer becomes the chat completion of the fixture, valid for the SDK."""
    path = case.path("response.json", "response.txt")
    assert path is not None
    completion = case.provider.parse_response(case.call(), path.read_bytes())
    assert completion == case.json("completion.json")
    sdk_types.check_completion(completion)


@each_entry("broken_answers.json")
def test_an_answer_that_is_none_is_refused(case: Case, entry: Mapping[str, Any]) -> None:
    """Status 200 alone makes no answer."""
    with pytest.raises(UpstreamError) as caught:
        case.provider.parse_response(case.call(), response(entry).body)
    assert_raised(caught.value, entry)


@each_entry("refusals.json")
def test_what_an_upstream_cannot_do_is_refused(case: Case, entry: Mapping[str, Any]) -> None:
    """A 400 names the field; with drop_params the request goes without it."""
    with pytest.raises(InvalidRequest) as caught:
        list(asked(case, entry["request"], drop_params=False))
    assert caught.value.param == entry["param"]
    if entry.get("drops", True):
        assert list(asked(case, entry["request"], drop_params=True))


def asked(case: Case, changes: Mapping[str, Any], *, drop_params: bool) -> list[Any]:
    chat = case.call(changes=changes, drop_params=drop_params)
    if isinstance(case.provider, LocalProvider):
        return list(case.provider.local_answer(chat))
    return [next(case.provider.exchange(chat, case.credential))]


@pytest.mark.parametrize(("name", "entry"), entries("errors.json"))
def test_error_is_classified(name: str, entry: Mapping[str, Any]) -> None:
    """Every error of the upstream has its place in the vocabulary."""
    answer = response(entry)
    assert_raised(providers()[name].parse_error(entry["status"], answer.headers, answer.body), entry)


GARBAGE = [b"", b"null", b"[]", b"{}", b"17", b'"text"', b"<html>no</html>", b'{"choices": []}', b'{"choices": [{}]}']
GARBAGE += [b"\xff\xfe", b'{"choices": [{"message": null}]}', b'{"error": null}', b"[" * 2000]


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:20]))
@each("response.json")
def test_garbage_is_no_answer(case: Case, body: bytes) -> None:
    """Whatever stands between us and the upstream may answer 200."""
    with pytest.raises(UpstreamError):
        case.provider.parse_response(case.call(), body)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 418, 429, 500, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("name", NAMES)
def test_any_body_of_any_status_is_an_error(name: str, status: int) -> None:
    """`parse_error` itself never fails."""
    provider = providers()[name]
    if not isinstance(provider, LocalProvider):
        for body in GARBAGE:
            assert provider.parse_error(status, {}, body).message


@pytest.mark.parametrize("name", [name for name in NAMES if (FOLDER / name / "models.json").exists()])
def test_models_are_listed(name: str) -> None:
    """The list call is golden, and its answer gives the ids and what to ask for the rest of them."""
    provider = providers()[name]
    fixture = json.loads((FOLDER / name / "models.json").read_bytes())
    request = provider.models_request(settings(provider, fixture), credential(provider, fixture))
    assert request is not None
    assert as_golden(request) == fixture["request"]
    body = response(fixture).body
    assert provider.parse_models(body) == fixture["models"]
    further = provider.next_models_request(request, body)
    assert (further and as_golden(further)) == fixture.get("next")
    for body in GARBAGE[4:7]:
        with pytest.raises(UpstreamError):
            provider.parse_models(body)


@pytest.mark.parametrize(
    "case", [case for case in CASES if isinstance(case.provider, LocalProvider)], ids=lambda c: c.name
)
def test_a_local_answer_is_golden(case: Case) -> None:
    """A provider without an upstream keeps the same promises."""
    assert isinstance(case.provider, LocalProvider)
    for entry in case.json("local_errors.json") or ():
        with pytest.raises(UpstreamError) as caught:
            case.provider.local_answer(case.call(changes=entry["request"]))
        assert_raised(caught.value, entry)
    if case.path("chunks.json"):
        chunks = list(case.provider.local_answer(case.call()))
        assert [chunk.data for chunk in chunks] == case.json("chunks.json")
        assert_promises(chunks)
        assert join(chunks) == case.json("completion.json")


def shows(capability: str, body: Mapping[str, Any]) -> bool:
    """Whether a request uses a capability."""
    if capability == "tools":
        return bool(body.get("tools")) and any(message.get("tool_calls") for message in body["messages"])
    if capability == "images":
        contents = [message["content"] for message in body["messages"] if isinstance(message.get("content"), list)]
        return any(part["type"] == "image_url" for content in contents for part in content)
    if capability == "json_schema":
        return (body.get("response_format") or {}).get("type") == "json_schema"
    return "reasoning_effort" in body


@pytest.mark.parametrize("capability", ["tools", "images", "json_schema", "reasoning"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_type_claims_is_shown(name: str, capability: str) -> None:
    """The table of `penstock providers` is no promise without a case: its own, or one that it is like."""
    provider = providers()[name]
    own = [case for case in CASES if case.folder.parent.name == name]
    if not getattr(provider.capabilities, capability) or isinstance(provider, LocalProvider):
        return
    likes = {case.chat.get("like", "").partition("/")[0] for case in own}
    shown = [case for case in CASES if case.folder.parent.name in {name, *likes}]
    assert any(shows(capability, case.chat["request"]) for case in shown)
