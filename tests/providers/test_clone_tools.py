"""Tools of OpenAI's that its clones do not have: refused, or said in their own way."""

from typing import Any, Final

import orjson
import pytest

from shared.errors import InvalidRequest
from tests.providers.cases import credential, settings
from tests.providers.wishes import CUSTOM_CALL, HELLO, RESULT
from worker.providers.compatible import CompatibleProvider
from worker.providers.contract import ChatCall
from worker.providers.registry import providers

CLONES: Final = [
    name
    for name, provider in providers().items()
    if type(provider) is CompatibleProvider and not provider.row.custom_tools
] + ["qianfan", "spark"]
CUSTOM: Final = {"type": "custom", "custom": {"name": "c"}}


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def asked(name: str, *, drop: bool = False, **wished: Any) -> dict[str, Any]:
    """What goes to the upstream. Raises InvalidRequest."""
    provider = providers()[name]
    body = {"model": "m", "messages": [HELLO], **wished}
    chat = ChatCall(body, "m", False, "chatcmpl-1", 1, settings(provider, {}, drop_params=drop))
    given = {"credential": {"api_password": "over HTTP"}} if name == "spark" else {}
    sent: dict[str, Any] = orjson.loads(provider.build_request(chat, credential(provider, given)).body)
    return sent


@pytest.mark.parametrize("name", CLONES)
def test_a_custom_tool_is_refused_by_its_place(name: str) -> None:
    """Some clones would ignore it without a word."""
    with pytest.raises(InvalidRequest) as caught:
        asked(name, tools=[function("f"), CUSTOM])
    assert caught.value.param == "tools[1]"
    assert asked(name, drop=True, tools=[function("f"), CUSTOM])["tools"] == [function("f")]
    assert "tools" not in asked(name, drop=True, tools=[CUSTOM])


def test_a_choice_of_a_custom_tool_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked("deepseek", tools=[function("f")], tool_choice=CUSTOM)
    assert caught.value.param == "tool_choice"
    assert "tool_choice" not in asked("deepseek", drop=True, tools=[function("f")], tool_choice=CUSTOM)


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_a_choice_among_some_tools_leaves_out_the_others(mode: str) -> None:
    """Which is what it means, but for what a cache would keep."""
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [function("b")]}}
    sent = asked("deepseek", tools=[function("a"), function("b")], tool_choice=choice)
    assert (sent["tools"], sent["tool_choice"]) == ([function("b")], mode)


def test_a_choice_among_no_tools_is_none() -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("z")]}}
    assert asked("deepseek", tools=[function("a")], tool_choice=choice).keys() == {"model", "messages"}


def test_a_custom_call_of_another_upstream_is_told_as_a_functions() -> None:
    """A conversation may change its upstream in the middle."""
    said = {"role": "assistant", "content": None, "tool_calls": [CUSTOM_CALL]}
    call = asked("deepseek", messages=[HELLO, said, RESULT])["messages"][1]["tool_calls"][0]
    assert call == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "c", "arguments": '{"input":"i"}'},
    }


def test_a_tool_of_the_upstreams_own_goes_on() -> None:
    """Clients cannot ask for one; an operator's overrides may."""
    own = {"type": "builtin_function", "function": {"name": "$web_search"}}
    assert asked("moonshot", tools=[own])["tools"] == [own]


def test_openai_gets_both_as_they_are() -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("a")]}}
    for name in ("openai", "openai-compatible"):
        sent = asked(name, tools=[function("a"), CUSTOM], tool_choice=choice)
        assert (sent["tools"], sent["tool_choice"]) == ([function("a"), CUSTOM], choice)
