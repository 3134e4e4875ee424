"""The rows of OpenAI-shaped upstreams beside the official packages: what their types know is sent, and nothing else."""

from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final

import pytest
from cerebras.cloud.sdk.types.chat.completion_create_params import CompletionCreateParams as Cerebras
from cerebras.cloud.sdk.types.chat.completion_create_params import MessageAssistantMessageRequest as CerebrasSaid
from fireworks.types.chat.completion_create_params import CompletionCreateParamsBase as Fireworks
from groq.types.chat import ChatCompletionAssistantMessageParam as GroqSaid
from groq.types.chat.completion_create_params import CompletionCreateParams as Groq
from mistralai.client.models import AssistantMessage as MistralSaid
from mistralai.client.models import ChatCompletionRequest as Mistral
from perplexity.types.chat.completion_create_params import CompletionCreateParamsBase as Perplexity

from shared.errors import InvalidRequest
from tests.providers.cases import FOLDER, Case
from tests.providers.wishes import FIELDS, HELLO, Wish
from worker.providers.compatible import CompatibleProvider

KNOWN: Final[dict[str, AbstractSet[str]]] = {
    "cerebras": Cerebras.__annotations__.keys(),
    "fireworks": Fireworks.__annotations__.keys(),
    "groq": Groq.__annotations__.keys(),
    "mistral": Mistral.model_fields.keys(),
    "perplexity": Perplexity.__annotations__.keys(),
}
SAID: Final[dict[str, AbstractSet[str]]] = {
    "cerebras": CerebrasSaid.__annotations__.keys(),
    "groq": GroqSaid.__annotations__.keys(),
    "mistral": MistralSaid.model_fields.keys(),
}
ALWAYS: Final = {"stream", "stream_options"}
"""Every one of them streams; some packages keep these out of their types."""
REFUSED: Final = {
    # "Not yet supported by any of our models", or an error.
    "groq": {
        "frequency_penalty", "logit_bias", "logprobs", "metadata", "n", "presence_penalty", "store", "top_logprobs",
    },
    "mistral": {"service_tier"},  # whose tiers have other names
}  # fmt: skip


def sent(name: str, wish: Wish) -> dict[str, Any]:
    """What goes to the upstream. Raises InvalidRequest."""
    case = Case(FOLDER / name / "text")
    gone = dict.fromkeys(case.chat["request"].keys() - {"model", "messages"})
    call = case.call(stream=True, changes={**gone, "messages": [HELLO], **wish.beside, **wish.change})
    assert isinstance(case.provider, CompatibleProvider)
    return case.provider.body(call)


@pytest.mark.parametrize("name", KNOWN)
def test_nothing_is_sent_that_the_package_does_not_know(name: str) -> None:
    """Whatever a client wishes; the unknown field of tomorrow alone goes on as it came."""
    for wish in FIELDS:
        with suppress(InvalidRequest):
            assert sent(name, wish).keys() <= KNOWN[name] | ALWAYS | {"a_field_of_tomorrow"}


@pytest.mark.parametrize("name", KNOWN)
def test_what_the_package_knows_is_sent(name: str) -> None:
    """A field is not refused that the upstream has."""
    for wish in FIELDS:
        if "custom" in str(wish.change):  # of tools they know functions alone
            continue
        if wish.name in KNOWN[name] - REFUSED.get(name, set()) and wish.name != "reasoning_effort":
            assert wish.name in sent(name, wish)


@pytest.mark.parametrize("name", SAID)
def test_an_answer_goes_back_as_the_package_knows_it(name: str) -> None:
    """With the members of every other upstream's answers in it."""
    for message in Case(FOLDER / name / "history").json("request.json")["body"]["messages"]:
        if message["role"] == "assistant":
            assert message.keys() <= SAID[name]
