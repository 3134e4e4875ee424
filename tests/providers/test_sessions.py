"""What the fixtures of web sessions and signed upstreams cannot show: signatures, ids, honest names, dead services."""

import calendar
import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.providers.cases import FOLDER, Case, cases, response
from worker.faults import Fault, UpstreamError, to_client
from worker.providers.contract import USER_AGENT, ChatCall, Credential, Event, Settings
from worker.providers.registry import providers
from worker.providers.sessions import derived_uuid
from worker.providers.spark import signed_url

# The worked example of xfyun.cn/doc/spark/general_url_authentication.html, keys included.
EXAMPLE_KEYS = {"api_key": "addd2272b6d8b7c8abdd79531420ca3b", "api_secret": "MjlmNzkzNmZkMDQ2OTc0ZDdmNGE2ZTZi"}
EXAMPLE_TIME = calendar.timegm((2023, 5, 5, 10, 43, 39))
EXAMPLE_AUTHORIZATION = (
    "YXBpX2tleT0iYWRkZDIyNzJiNmQ4YjdjOGFiZGQ3OTUzMTQyMGNhM2IiLCBhbGdvcml0aG09ImhtYWMtc2hhMjU2IiwgaGVhZGVycz0iaG9zdCBk"
    "YXRlIHJlcXVlc3QtbGluZSIsIHNpZ25hdHVyZT0iejVnSGR1M3B4VlY0QURNeWs0Njd3T1dEUTlxNkJRelIzbmZNVGpjL0RhUT0i"
)


def call(type_name: str, **more: Any) -> ChatCall:
    provider = providers()[type_name]
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    settings = Settings("test", more.get("base_url", ""), provider.options())
    return ChatCall(body, "m", stream=True, completion_id="chatcmpl-1", created=1, settings=settings)


def test_sparks_signature_is_that_of_the_documentation() -> None:
    """The official worked example, byte for byte."""
    url = signed_url("wss://spark-api.xf-yun.com/v1.1/chat", EXAMPLE_KEYS, EXAMPLE_TIME)
    assert parse_qs(urlsplit(url).query) == {
        "authorization": [EXAMPLE_AUTHORIZATION],
        "date": ["Fri, 05 May 2023 10:43:39 GMT"],
        "host": ["spark-api.xf-yun.com"],
    }


def test_spark_says_which_keys_are_missing() -> None:
    """A credential has one of two forms, which the list of its fields cannot tell."""
    with pytest.raises(UpstreamError, match="api_password or all of app_id, api_key and api_secret") as caught:
        providers()["spark"].build_request(call("spark"), Credential("c", {"app_id": "a", "api_key": "k"}))
    assert caught.value.fault is Fault.CREDENTIAL_REJECTED
    assert not caught.value.sent


def test_spark_says_which_models_need_a_password() -> None:
    """The credential is as good as before for all others, so only this model is missing."""
    case = Case(FOLDER / "spark" / "x2.5")
    with pytest.raises(UpstreamError, match="set api_password") as caught:
        case.provider.build_request(case.call(), Credential("c", {"app_id": "a", **EXAMPLE_KEYS}))
    assert caught.value.fault is Fault.MODEL_NOT_FOUND
    assert not caught.value.sent


def test_codegeex_says_that_a_role_is_a_number() -> None:
    """Values of credentials are texts, so nothing else has looked at it."""
    with pytest.raises(UpstreamError, match="user_role must be a number"):
        providers()["codegeex"].build_request(call("codegeex"), Credential("c", {"token": "t", "user_role": "admin"}))


def test_claude_ai_says_that_a_cookie_has_no_session() -> None:
    """Other cookies of the site sign nobody in."""
    credential = Credential("c", {"cookie": "lastActiveOrg=o; x=1"})
    with pytest.raises(UpstreamError, match="must have a sessionKey") as caught:
        next(providers()["claude-web"].exchange(call("claude-web"), credential))
    assert caught.value.fault is Fault.CREDENTIAL_REJECTED
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("max_conversation_length", "length"),
        ("cyber_refusal", "content_filter"),
        ("prompt_injection_risk", "content_filter"),
        ("pause_turn", "stop"),
        (None, "stop"),
    ],
)
def test_claude_ai_tells_why_it_stopped(told: str | None, reason: str) -> None:
    """What its fixtures do not show; whatever else it says is a stop."""
    mapper = providers()["claude-web"].stream_mapper(call("claude-web"))
    mapper.feed(Event(json.dumps({"type": "message_delta", "delta": {"stop_reason": told}}).encode()))
    (last,) = mapper.feed(Event(b'{"type": "message_stop"}'))
    assert last.data["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize("data", [b"the service is busy", b'{"msg": "the service is busy"}'])
def test_codegeex_quotes_an_error_event(data: bytes) -> None:
    """Its error events are undocumented, so what they say is all that there is to go by."""
    with pytest.raises(UpstreamError, match="the service is busy"):
        providers()["codegeex"].stream_mapper(call("codegeex")).feed(Event(data, "error"))


@pytest.mark.parametrize("name", ["bing-sydney", "dangbei"])
def test_a_service_that_is_gone_answers_410_and_why(name: str) -> None:
    """The caller learns what to use instead, before anything is sent."""
    with pytest.raises(UpstreamError) as caught:
        next(providers()[name].exchange(call(name), Credential("c", {})))
    error = to_client(caught.value)
    assert (error.status, error.code) == (410, "service_discontinued")
    assert "azure-openai" in error.message or "official APIs" in error.message
    assert not caught.value.sent


def test_derived_uuids_are_stable_and_look_random() -> None:
    """The same request has the same ids in each worker; different requests and accounts never share one."""
    one = derived_uuid("chatcmpl-1", "ann")
    assert one == derived_uuid("chatcmpl-1", "ann")
    assert one not in {derived_uuid("chatcmpl-2", "ann"), derived_uuid("chatcmpl-1", "bob")}
    assert one[14] == "4"
    assert one[19] in "89ab"


def requests(case: Case) -> list[Any]:
    """All requests in a case's golden files."""
    files = ("request.json", "stream_request.json", "exchange.json", "stream_exchange.json")
    found = [json.loads((case.folder / name).read_bytes()) for name in files if (case.folder / name).exists()]
    return [each for golden in found for each in (golden if isinstance(golden, list) else [golden])]


def test_no_provider_pretends_to_be_a_browser() -> None:
    """The drivers send our own User-Agent; a provider that names a browser's would override it."""
    golden = json.dumps([requests(case) for case in cases()]).lower()
    assert "http" in golden, "no golden requests were found"
    for mark in ("mozilla", "user-agent", "sec-fetch", "sec-ch-ua", "bx-ua", "bx-umidtoken"):
        assert mark not in golden


def test_the_user_agent_names_this_version() -> None:
    """One constant, kept equal to the package's version."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert f"{project['name']}/{project['version']}" == USER_AGENT


def test_every_session_case_names_its_source() -> None:
    """There is no SDK to check these dialects against, so each fixture says where its fields come from."""
    for name in ("claude-web", "qwen-web", "codegeex", "gptomni", "bing-sydney", "dangbei", "spark", "qwen-code"):
        for chat in (FOLDER / name).glob("*/chat.json"):
            assert json.loads(chat.read_bytes())["source"], chat


@pytest.mark.parametrize(
    ("effort", "enabled", "budget"),
    [
        (None, True, None),
        ("none", False, None),
        ("minimal", True, 1024),
        ("low", True, 4096),
        ("medium", True, 16384),
        ("high", True, 38912),
        ("xhigh", True, 81920),
        ("max", True, 81920),
    ],
)
def test_qwen_thinks_as_much_as_was_asked_for(effort: str | None, *, enabled: bool, budget: int | None) -> None:
    """The site knows a budget in tokens; 38912 and 81920 are those that it uses itself."""
    case = Case(FOLDER / "qwen-web" / "text")
    exchange = case.provider.exchange(case.call(changes={"reasoning_effort": effort}), case.credential)
    next(exchange)
    answer = exchange.send(response({"body": {"success": True, "data": {"id": "chat-7"}}}))
    features = json.loads(answer.request.body)["messages"][0]["feature_config"]
    assert features["thinking_enabled"] is enabled
    assert features.get("thinking_budget") == budget


def test_qwen_codes_end_is_told_inside_a_stream_too() -> None:
    """Whoever meets it there learns what to use instead."""
    case = Case(FOLDER / "qwen-code" / "text")
    with pytest.raises(UpstreamError, match="use a DashScope API key") as caught:
        case.provider.stream_mapper(case.call(stream=True)).feed(
            Event(b'{"error":{"code":"insufficient_quota","message":"Free allocated quota exceeded."}}')
        )
    assert caught.value.fault is Fault.QUOTA_EXHAUSTED
