"""Our requests to Azure beside those of the official client."""

import json

import httpx2
import openai
import pytest

from tests.providers.cases import FOLDER, Case


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
