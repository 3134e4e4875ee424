"""Our requests to Azure beside those of the official client."""

import json

import httpx2
import openai
import pytest

from tests.providers.cases import FOLDER, Case
from worker.faults import UpstreamError
from worker.providers.azure_openai import AzureOpenAI
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


@pytest.mark.parametrize("name", ["tenant_id", "client_id", "client_secret"])
def test_a_part_of_an_app_registration_asks_for_the_rest(name: str) -> None:
    call = Case(FOLDER / "azure-openai" / "text").call()
    with pytest.raises(UpstreamError, match="needs all of"):
        AzureOpenAI().build_request(call, Credential("main", {name: "x"}))
