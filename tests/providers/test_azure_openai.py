"""Our requests to Azure beside those of the official client."""

import json
from dataclasses import replace
from typing import Any, Final

import httpx2
import openai
import pytest

from shared.errors import InvalidRequest
from tests.providers.cases import FOLDER, Case
from worker.faults import UpstreamError
from worker.providers.azure_openai import AzureOpenAI, AzureOptions
from worker.providers.contract import Credential


@pytest.mark.parametrize("name", ["dated", "old"])
def test_the_dated_style_asks_what_the_official_client_asks(name: str) -> None:
    """Same URL and way to log in; same body but for the model, which stands in the URL, and a role that came later."""
    case = Case(FOLDER / "azure-openai" / name)
    ours, theirs = case.json("request.json"), asked_by_official_client(case)
    assert ours["url"] == str(theirs.url)
    body = json.loads(theirs.content)
    assert body.pop("model") == case.call().model
    assert body["messages"][0].pop("role") == "developer"
    assert ours["body"]["messages"][0].pop("role") == "system"
    assert ours["body"] == body
    for header in ("api-key", "authorization"):
        assert ours["headers"].get(header) == theirs.headers.get(header)


def asked_by_official_client(case: Case) -> httpx2.Request:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=case.json("completion.json"))

    with openai.AzureOpenAI(
        azure_endpoint=case.call().settings.base_url.removesuffix("/openai/v1"),
        api_version=case.chat["options"]["api_version"],
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        api_key=case.credential.values.get("api_key"),
        azure_ad_token=case.credential.values.get("token"),
    ) as client:
        client.chat.completions.create(**{**case.chat["request"], "model": case.call().model})
    return asked[0]


@pytest.mark.parametrize(
    ("values", "header"),
    [
        ({"api_key": "k"}, ("api-key", "k")),
        ({"api_key": "k", "token": "t"}, ("authorization", "Bearer t")),
        (
            {"tenant_id": "a", "client_id": "b", "client_secret": "c", "access_token": "e"},
            ("authorization", "Bearer e"),
        ),
    ],
)
def test_each_way_to_log_in_has_its_header(values: dict[str, str], header: tuple[str, str]) -> None:
    """An app registration's own values are for the sign-in service alone."""
    call = Case(FOLDER / "azure-openai" / "text").call()
    request = AzureOpenAI().build_request(call, Credential("main", values))
    assert [named for named in request.headers if named[0] in {"api-key", "authorization"}] == [header]


@pytest.mark.parametrize("name", ["tenant_id", "client_id", "client_secret", "federated_token_file"])
def test_a_part_of_an_app_registration_asks_for_the_rest(name: str) -> None:
    call = Case(FOLDER / "azure-openai" / "text").call()
    with pytest.raises(UpstreamError, match="needs tenant_id, client_id and client_secret, or federated_token_file"):
        AzureOpenAI().build_request(call, Credential("main", {name: "x"}))


TOOL: Final = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
SCHEMA: Final = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("version", "before", "wish"),
    [
        ("2023-07-01-preview", "2023-06-01-preview", {"functions": [TOOL["function"]]}),
        ("2023-12-01-preview", "2023-10-01-preview", {"tools": [TOOL]}),
        ("2023-12-01-preview", "2023-10-01-preview", {"seed": 7}),
        ("2024-02-01", "2023-12-01-preview", {"data_sources": [{"type": "azure_search", "parameters": {}}]}),
        ("2024-06-01", "2024-02-01", {"logprobs": True, "top_logprobs": 2}),
        ("2024-07-01-preview", "2024-06-01", {"tool_choice": "required", "tools": [TOOL]}),
        ("2024-10-21", "2024-06-01", {"response_format": SCHEMA}),
        ("2024-09-01-preview", "2024-08-01-preview", {"parallel_tool_calls": False, "tools": [TOOL]}),
        ("2024-12-01-preview", "2024-10-21", {"reasoning_effort": "low"}),
        ("2025-01-01-preview", "2024-12-01-preview", {"prediction": {"type": "content", "content": "x"}}),
    ],
)
def test_a_field_is_sent_from_its_first_version_on(version: str, before: str, wish: dict[str, Any]) -> None:
    """The first version that has it sends it; the one before names it and both versions, or leaves it out when told."""
    name = next(iter(wish))
    assert body_of(version, wish)[name] == wish[name]
    with pytest.raises(InvalidRequest) as refused:
        body_of(before, wish)
    assert refused.value.param == name
    assert before in refused.value.message
    assert "came with api-version 20" in refused.value.message
    assert name not in body_of(before, wish, drop_params=True)


@pytest.mark.parametrize(
    ("version", "wish", "told"),
    [
        ("2024-06-01", {"max_completion_tokens": 77}, {"max_tokens": 77}),
        ("2024-06-01", {"max_completion_tokens": 77, "max_tokens": 88}, {"max_tokens": 88}),
        ("2024-06-01", {"max_completion_tokens": 77, "max_tokens": None}, {"max_tokens": 77}),
        ("2024-10-21", {"max_completion_tokens": 77}, {"max_completion_tokens": 77}),
        ("2024-08-01-preview", {"store": True, "metadata": {"a": "b"}}, {}),
        ("2024-10-21", {"store": True, "metadata": {"a": "b"}}, {"store": True, "metadata": {"a": "b"}}),
        (
            "2023-05-15",
            {"tools": [], "n": 1, "parallel_tool_calls": True, "response_format": {"type": "text"}},
            {"n": 1},
        ),
        ("2025-04-01-preview", {"verbosity": "low"}, {"verbosity": "low"}),
        (
            "preview",
            {"prediction": {"type": "content", "content": "x"}},
            {"prediction": {"type": "content", "content": "x"}},
        ),
    ],
)
def test_what_an_older_version_says_otherwise(version: str, wish: dict[str, Any], told: dict[str, Any]) -> None:
    body = body_of(version, wish)
    assert {name: value for name, value in body.items() if name != "messages"} == told


@pytest.mark.parametrize("version", ["2023-05-15", "2024-06-01", "2024-08-01-preview"])
def test_usage_is_not_asked_of_versions_that_cannot_tell_it(version: str) -> None:
    """The worker estimates it then."""
    assert "stream_options" not in body_of(version, {"stream": True, "stream_options": {"include_usage": True}})


@pytest.mark.parametrize("version", ["2024-09-01-preview", "2024-10-21"])
def test_usage_is_asked_of_versions_that_tell_it(version: str) -> None:
    assert body_of(version, {"stream": True})["stream_options"] == {"include_usage": True}


def test_usage_is_not_asked_of_an_answer_from_ones_own_data() -> None:
    """Azure refuses the two together, in every version."""
    wish = {"stream": True, "data_sources": [{"type": "azure_search", "parameters": {}}]}
    assert "stream_options" not in body_of("2024-10-21", wish)
    assert "stream_options" in body_of("2024-10-21", {**wish, "data_sources": []})


def body_of(version: str, wish: dict[str, Any], *, drop_params: bool = False) -> dict[str, Any]:
    call = Case(FOLDER / "azure-openai" / "text").call(stream=wish.get("stream", False), drop_params=drop_params)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **wish}
    settings = replace(call.settings, options=AzureOptions(api_version=version))
    request = AzureOpenAI().build_request(
        replace(call, body=body, settings=settings), Credential("main", {"api_key": "k"})
    )
    asked: dict[str, Any] = json.loads(request.body)
    return asked
