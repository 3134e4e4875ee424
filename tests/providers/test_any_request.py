"""Whatever passes the front's validation is a request or a 400 at every provider that translates, never a failure."""

import json
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.chat import validate_chat
from shared.errors import InvalidRequest
from tests.providers.cases import credential
from tests.providers.cases import settings as provider_settings
from worker.providers.contract import ChatCall
from worker.providers.registry import providers

TYPES: Final = ("anthropic", "gemini", "gemini-cli")
MODELS: Final = (
    "claude-opus-5",
    "claude-sonnet-4-5",
    "claude-fable-5",
    "gemini-2.5-pro",
    "gemini-3.5-flash",
    "gemma-4",
    "x",
)
TEXT: Final = st.sampled_from(["", " ", "hi", "世 界", "{}", '{"a":1}', "[1]", "call.1"])
ANYTHING: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["type", "google", "thinking_config", "properties", "function", "name", "mode", "anyOf"]), inner
    ),
    max_leaves=4,
)  # fmt: skip
URLS: Final = st.sampled_from(
    [
        "https://x.test/a.png",
        "http://[",
        "data:image/png;base64,AAAA",
        "data:text/plain;base64,A",
        "data:,x",
        "data:",
        "x",
    ]
)
PARTS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}, optional={"cache_control": ANYTHING}),
    st.fixed_dictionaries({"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": URLS})}),
    st.fixed_dictionaries(
        {"type": st.just("file")} | {"file": st.fixed_dictionaries({}, optional={"file_data": URLS, "file_id": TEXT})}
    ),
    st.just({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
)
EXTRAS: Final = {
    "cache_control": ANYTHING,
    "prompt_cache_breakpoint": ANYTHING,
    "extra_content": ANYTHING,
    "name": TEXT,
}
CONTENT: Final = TEXT | st.lists(PARTS, min_size=1, max_size=3)
CALLS: Final = st.lists(
    st.fixed_dictionaries(
        {"id": TEXT, "type": st.just("function"), "function": st.fixed_dictionaries({"name": TEXT, "arguments": TEXT})},
        optional={"extra_content": ANYTHING, "cache_control": ANYTHING},
    ),
    max_size=2,
)
MESSAGES: Final[st.SearchStrategy[Any]] = st.one_of(
    st.fixed_dictionaries({"role": st.just("user"), "content": CONTENT}, optional=EXTRAS),
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer"]), "content": TEXT}, optional=EXTRAS),
    st.fixed_dictionaries(
        {"role": st.just("assistant")},
        optional={**EXTRAS, "content": TEXT, "tool_calls": CALLS, "refusal": TEXT, "thinking_blocks": ANYTHING},
    ),
    st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": TEXT, "content": TEXT}, optional=EXTRAS),
)
TOOLS: Final = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function")},
        optional={"cache_control": ANYTHING},
    ).flatmap(
        lambda tool: st.fixed_dictionaries(
            {"name": TEXT}, optional={"parameters": st.dictionaries(TEXT, ANYTHING), "strict": st.booleans()}
        ).map(lambda function: {**tool, "function": function})
    ),
    max_size=2,
)
CHOICES: Final = st.sampled_from(["none", "auto", "required"]) | st.fixed_dictionaries(
    {
        "type": st.just("allowed_tools"),
        "allowed_tools": st.fixed_dictionaries(
            {
                "mode": st.just("auto"),
                "tools": st.lists(st.dictionaries(TEXT | st.just("function"), ANYTHING), max_size=2),
            }
        ),
    }
)
FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "temperature": st.sampled_from([0, 0.5, 1, 2]),
    "top_p": st.sampled_from([0, 0.96, 1]),
    "top_k": ANYTHING,
    "max_tokens": st.integers(-1, 5000),
    "n": st.integers(1, 9),
    "seed": st.integers(-(2**40), 2**40),
    "stop": TEXT,
    "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    "response_format": st.just({"type": "json_object"}) | st.fixed_dictionaries(
        {"type": st.just("json_schema"), "json_schema": st.fixed_dictionaries(
            {"name": st.just("x")}, optional={"schema": st.dictionaries(TEXT, ANYTHING), "strict": st.booleans()}
        )}
    ),
    "tools": TOOLS,
    "tool_choice": CHOICES,
    "parallel_tool_calls": st.booleans(),
    "thinking": ANYTHING,
    "cache_control": ANYTHING,
    "extra_body": ANYTHING,
    "prompt_cache_options": st.just({"mode": "implicit"}),
}  # fmt: skip
BODIES: Final = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "messages": st.lists(MESSAGES, min_size=1, max_size=5)}, optional=FIELDS
)


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(body=BODIES, drop=st.booleans(), stream=st.booleans())
def test_any_request_is_translated_or_refused(name: str, body: dict[str, Any], *, drop: bool, stream: bool) -> None:
    """Bad input is a 400 that names its field."""
    with suppress(InvalidRequest):
        validate_chat(json.dumps(body).encode())
        provider = providers()[name]
        call = ChatCall(body, body["model"], stream, "chatcmpl-1", 1, provider_settings(provider, {}, drop_params=drop))
        provider.build_request(call, credential(provider, {}))
