"""Whatever a request wishes is said to the upstream, or refused with the field's name: nothing is lost in silence."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from shared.errors import InvalidRequest
from tests.providers import sdk_types
from tests.providers.cases import Case, cases
from tests.providers.checks import walk
from tests.providers.wishes import FIELDS, HELLO, MESSAGES, Wish
from worker.providers.contract import LocalProvider, Status

HARMLESS: Final = {
    "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
}  # fmt: skip
FRAME: Final = {"model", "messages", "stream_options"}
"""Fields that are no wish of their own: the usage that `stream_options` asks for is asked of every upstream."""


SO_ANYWAY: Final = tuple(
    (name, {"reasoning_effort": "none"}) for name in ("dashscope/text", "gemini/gemma", "moonshot/text")
)
"""A model that never thinks need not be told."""
TOLD_OTHERWISE: Final = {"gptomni/last"}
"""The operator's own wish: only the last message is sent."""


class Bare(Case):
    """A case without its wishes: whom it asks, and nothing more."""

    @property
    def chat(self) -> Mapping[str, Any]:
        chat = super().chat
        return {**chat, "request": {"model": chat["request"]["model"], "messages": [HELLO]}}

    def asked(self, changes: Mapping[str, Any], *, drop_params: bool = False) -> list[dict[str, Any]]:
        """All that the upstream is asked."""
        stream = self.path("request.json", "exchange.json") is None
        steps = self.json("stream_exchange.json" if stream else "exchange.json") or [{}]
        call = self.call(stream=stream, changes=changes, drop_params=drop_params)
        sdk_types.check_request(dict(call.body))
        return walk(self.provider.exchange(call, self.credential), steps)


def bare_cases() -> list[Bare]:
    """Each model and each way of speaking of the types that have an upstream."""
    found: dict[str, Bare] = {}
    for case in map(Bare, (case.folder for case in cases())):
        asks = not isinstance(case.provider, LocalProvider) and case.provider.status is not Status.NOT_OFFERED
        if asks and case.name not in TOLD_OTHERWISE:
            chat = case.chat
            ways = [chat.get(name) for name in ("options", "base_url", "credential", "model")]
            found.setdefault(json.dumps([case.provider.type_name, chat["request"]["model"], ways]), case)
    return list(found.values())


BARE: Final = bare_cases()


def lost(case: Bare, wish: Wish) -> bool:
    """Whether nobody hears of this wish: neither the upstream nor, by a refusal that names it, the client."""
    try:
        before = case.asked(wish.beside)
    except InvalidRequest:
        return False  # it cannot come to this wish
    try:
        after = case.asked({**wish.beside, **wish.change})
    except InvalidRequest as refused:
        return not (refused.param or "").startswith(wish.name)
    return after == before and (case.name, wish.change) not in SO_ANYWAY


@pytest.mark.parametrize("case", BARE, ids=lambda case: case.name)
def test_no_field_is_lost(case: Bare) -> None:
    assert {wish.name for wish in FIELDS if lost(case, wish)} <= HARMLESS


@pytest.mark.parametrize("case", BARE, ids=lambda case: case.name)
def test_nothing_in_a_message_is_lost(case: Bare) -> None:
    assert [json.dumps(wish.change) for wish in MESSAGES if lost(case, wish)] == []


@pytest.mark.parametrize("case", BARE, ids=lambda case: case.name)
def test_with_drop_params_every_request_is_sent(case: Bare) -> None:
    """What the upstream cannot do is left out, whatever it is."""
    for wish in (*FIELDS, *MESSAGES):
        assert case.asked({**wish.beside, **wish.change}, drop_params=True)


def test_every_field_of_the_sdk_is_wished_for() -> None:
    """A field that OpenAI adds is noticed here."""
    assert {wish.name for wish in FIELDS} >= set(CompletionCreateParamsBase.__annotations__) - FRAME
