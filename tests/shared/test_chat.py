from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chat import ChatHead, check_fields, validate_chat
from shared.errors import InvalidRequest

HELLO = [{"role": "user", "content": "hello"}]
DEEP = b'{"messages":[{"role":"user","content":"a"}],"x":' + b"[" * 254 + b"]" * 254 + b"}"
MOST_DEEP = DEEP.replace(b"[[", b"[", 1).replace(b"]]", b"]", 1)


def refuse(raw: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        validate_chat(raw)
    assert caught.value.status == 400
    return caught.value


def test_the_head_of_a_plain_request() -> None:
    raw = orjson.dumps({"model": "gpt-4o", "messages": HELLO})
    assert validate_chat(raw) == ChatHead("gpt-4o", stream=False, include_usage=False, n=1)


def test_the_head_of_a_streamed_request() -> None:
    body = {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}, "n": 2}
    assert validate_chat(orjson.dumps(body)) == ChatHead(None, stream=True, include_usage=True, n=2)


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": {"anything": [1, None]}},
        {"temperature": None, "stream": None, "stream_options": None, "stop": None, "n": None, "seed": None},
        {"temperature": 2, "top_p": 0, "presence_penalty": -2, "frequency_penalty": 2.0, "n": 128, "top_logprobs": 20},
        {"stop": ["a", "b", "c", "d"]},
        {"seed": -(2**63)},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "f", "more": 1}}},
        {"tools": []},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"a": [1]}, "strict": None},
            }
        },
        {"messages": [{"role": "assistant", "content": None, "refusal": None}]},
        {"messages": [{"role": "assistant"}]},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": ""}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}], "x": 1}]},
        {"messages": [{"role": "function", "name": "f", "content": None}]},
        {"reasoning_effort": "xhigh"},
    ],
)
def test_what_the_published_schema_allows_passes(fields: dict[str, Any]) -> None:
    validate_chat(orjson.dumps({"messages": HELLO} | fields))


def test_images_may_be_asked_for() -> None:
    """OpenAI's schema has no such modality; OpenRouter and Gemini do."""
    validate_chat(orjson.dumps({"messages": HELLO, "modalities": ["text", "image"]}))


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": None}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": ["hello"]}, "messages[0]", "invalid_type"),
        ({"messages": [*HELLO, {"content": "x"}]}, "messages[1].role", "missing_required_parameter"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "empty_array"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "film"}]}]},
            "messages[0].content[1].type",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"type": "function", "id": "1", "function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
            "missing_required_parameter",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
        ({"model": 5}, "model", "invalid_type"),
        ({"stream": "true"}, "stream", "invalid_type"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", "invalid_type"),
        ({"temperature": "1"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"top_p": -0.1}, "top_p", "decimal_below_min_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 1.5}, "n", "invalid_type"),
        ({"max_tokens": 1.0}, "max_tokens", "invalid_type"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"stop": [5]}, "stop[0]", "invalid_type"),
        ({"tools": None}, "tools", "invalid_type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter"),
        ({"tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"tool_choice": 5}, "tool_choice", "invalid_type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function", "missing_required_parameter"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": "json"}, "response_format", "invalid_type"),
        ({"logit_bias": {"50256": "x"}}, "logit_bias.*", "invalid_type"),
        ({"metadata": {"secret": 1}}, "metadata.*", "invalid_type"),
        ({"seed": 2**63}, "seed", "integer_above_max_value"),
        ({"modalities": ["smell"]}, "modalities[0]", "invalid_value"),
        ({"prediction": {"type": "content", "content": 5}}, "prediction.content", "invalid_type"),
    ],
)
def test_what_it_rejects_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    error = refuse(orjson.dumps({"model": "m", "messages": HELLO} | fields))
    assert (error.param, error.code, error.type) == (param, code, "invalid_request_error")
    assert f"'{param}'" in error.message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"hello",
        b'{"messages":',
        b'{"messages":[{"role":"user","content":"a"}]} and more',
        b'{"messages":[{"role":"user","content":"a"}],"x":NaN}',
        b'{"messages":[{"role":"user","content":"a"}],"x":-Infinity}',
        b'{"messages":[{"role":"user","content":"a"}],"x":1e999}',
        b'{"messages":[{"role":"user","content":"a"}],"x":' + b"9" * 5000 + b"}",
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        DEEP,
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b'{"messages":[{"role":"user","content":"a"}],"x":[' + b"[]," * 500_000 + b"[]]}",
    ],
    ids=range(18),
)
def test_what_is_not_one_json_text_is_refused(raw: bytes) -> None:
    assert refuse(raw).code == "invalid_json"


def test_what_is_just_not_too_deep_passes() -> None:
    validate_chat(MOST_DEEP)


@pytest.mark.parametrize("raw", [b"[]", b"5", b'"x"', b"null", b"true"])
def test_json_that_is_no_object_is_refused(raw: bytes) -> None:
    error = refuse(raw)
    assert error.param is None
    assert "must be a JSON object" in error.message


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    raw = b'{"model":"a","stream":"x","model":"b","messages":[{"role":"user","content":"a"}],"stream":true}'
    assert validate_chat(raw) == ChatHead("b", stream=True, include_usage=False, n=1)


def test_an_empty_model_is_none() -> None:
    assert validate_chat(orjson.dumps({"model": "", "messages": HELLO})).model is None


def test_fields_alone_are_checked_without_a_request_around_them() -> None:
    check_fields({"temperature": 0.8, "enable_thinking": True})
    with pytest.raises(InvalidRequest, match="'temperature'"):
        check_fields({"temperature": 3})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["role", "type", "content"]), inner),
    max_leaves=12,
)
field_names = st.sampled_from(["model", "messages", "stream", "tools", "tool_choice", "stop", "n", "response_format"])


def judge(body: Any) -> InvalidRequest | None:
    """What is wrong with a body, or None."""
    try:
        validate_chat(orjson.dumps(body))
    except InvalidRequest as error:
        return error
    return None


@given(st.dictionaries(field_names, json_values))
def test_any_json_passes_or_is_refused_with_a_field(body: dict[str, Any]) -> None:
    error = judge(body)
    assert error is None or error.param is not None


@given(st.binary())
def test_any_bytes_that_are_no_request_are_refused(raw: bytes) -> None:
    refuse(raw)


@given(st.sampled_from(["role", "content", "type", "text"]), json_values)
def test_no_message_quotes_what_the_client_wrote(field: str, value: Any) -> None:
    canary = "canary-7f3a"
    part = {"type": "text", "text": canary, field: value}
    message = {"role": "user", "content": [part], canary: canary, field: [canary, value]}
    error = judge({"messages": [message], "metadata": {canary: [canary]}})
    assert error is not None
    assert canary not in str(error.body())
