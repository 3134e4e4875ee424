"""A conversation that ends with the assistant's turn: older models go on with it, newer ones refuse it."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InvalidRequest
from tests.providers.cases import FOLDER, Case

SAID: Final = [{"role": "user", "content": "Tell a tale."}, {"role": "assistant", "content": "Once "}]


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-4-5-20251101", "somebody-elses-model"])
def test_an_older_model_goes_on_with_its_answer(model: str) -> None:
    assert turns(model, SAID)[-1] == {"role": "assistant", "content": [{"type": "text", "text": "Once"}]}


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-sonnet-4-6", "claude-sonnet-5", "claude-fable-5-1"])
def test_a_newer_model_is_not_asked_to(model: str) -> None:
    """The refusal names the message; with drop_params the turn is left out."""
    with pytest.raises(InvalidRequest, match="continues no answer") as refused:
        turns(model, SAID)
    assert refused.value.param == "messages[1]"
    assert [turn["role"] for turn in turns(model, SAID, drop_params=True)] == ["user"]


def test_an_answer_alone_leaves_nothing_to_ask() -> None:
    with pytest.raises(InvalidRequest) as refused:
        turns("claude-opus-4-6", SAID[1:], drop_params=True)
    assert refused.value.param == "messages"


def turns(model: str, messages: list[Any], *, drop_params: bool = False) -> list[dict[str, Any]]:
    case = Case(FOLDER / "anthropic" / "text")
    call = case.call(drop_params=drop_params)
    request = case.provider.build_request(
        replace(call, model=model, body={"model": model, "messages": messages}), case.credential
    )
    found: list[dict[str, Any]] = json.loads(request.body)["messages"]
    return found
