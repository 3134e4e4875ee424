"""Everything that a request can wish for, one wish at a time: for each field of the SDK's request, and in messages."""

from dataclasses import dataclass, field
from typing import Any, Final

SCHEMA: Final = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
FUNCTION: Final = {"name": "look", "description": "Looks.", "parameters": SCHEMA}
TOOL: Final = {"type": "function", "function": FUNCTION}
STRICT: Final = {"type": "function", "function": {**FUNCTION, "strict": True}}
PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
HELLO: Final = {"role": "user", "content": "Hello"}
CALL: Final = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a": "b"}'}}
CUSTOM_CALL: Final = {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "i"}}
RESULT: Final = {"role": "tool", "tool_call_id": "call_1", "content": "seen"}
PLACE: Final = {"type": "approximate", "approximate": {"city": "Rome"}}


@dataclass(frozen=True)
class Wish:
    """`change` is what a client sets; `beside`, what it must set as well, and would set without this wish."""

    change: dict[str, Any]
    beside: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The field that a refusal must name, or begin with."""
        return next(iter(self.change))


def _schema(**more: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, **more}}}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}, part]}]}


def _image(**more: Any) -> dict[str, Any]:
    return _part({"type": "image_url", "image_url": {"url": PIXEL, **more}})


def _said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [HELLO, *messages, HELLO]}


_TEXT: Final = _part({"type": "text", "text": "Hello"})
_SHOWN: Final = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}
_YES: Final = {"role": "assistant", "content": "Yes"}
_CHOICES: Final = (
    "none",
    "required",
    {"type": "function", "function": {"name": "look"}},
    {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOL]}},
)

FIELDS: Final = (
    Wish({"audio": {"voice": "alloy", "format": "mp3"}}),
    Wish({"frequency_penalty": 0.5}),
    Wish({"function_call": {"name": "look"}}, {"functions": [FUNCTION]}),
    Wish({"function_call": "none"}, {"functions": [FUNCTION]}),
    Wish({"functions": [FUNCTION]}),
    Wish({"logit_bias": {"5": 1}}),
    Wish({"logprobs": True}),
    Wish({"max_completion_tokens": 77}),
    Wish({"max_tokens": 77}),
    Wish({"metadata": {"a": "b"}}),
    Wish({"modalities": ["text", "audio"]}),
    Wish({"moderation": {"model": "m"}}),
    Wish({"n": 2}),
    Wish({"parallel_tool_calls": False}, {"tools": [TOOL]}),
    Wish({"prediction": {"type": "content", "content": "x"}}),
    Wish({"presence_penalty": 0.5}),
    Wish({"prompt_cache_key": "k"}),
    Wish({"prompt_cache_options": {"mode": "implicit"}}),
    Wish({"prompt_cache_retention": "24h"}),
    *(Wish({"reasoning_effort": e}) for e in ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    Wish({"response_format": {"type": "json_object"}}),
    Wish(_schema()),
    Wish(_schema(description="An x."), _schema()),
    Wish({"safety_identifier": "s"}),
    Wish({"seed": 8}),
    *(Wish({"service_tier": tier}) for tier in ("flex", "scale", "priority", "fast")),
    Wish({"stop": "###"}),
    Wish({"stop": ["a", "b", "c", "d"]}),
    Wish({"store": True}),
    Wish({"temperature": 0}),
    Wish({"temperature": 0.3}),
    *(Wish({"tool_choice": choice}, {"tools": [TOOL]}) for choice in _CHOICES),
    Wish({"tools": [TOOL]}),
    Wish({"tools": [STRICT]}, {"tools": [TOOL]}),
    Wish({"tools": [{"type": "custom", "custom": {"name": "c"}}]}),
    Wish({"top_logprobs": 2}, {"logprobs": True}),
    Wish({"top_p": 0.3}),
    Wish({"user": "somebody"}),
    Wish({"verbosity": "low"}),
    Wish({"web_search_options": {}}),
    Wish({"web_search_options": {"search_context_size": "high", "user_location": PLACE}}, {"web_search_options": {}}),
    Wish({"a_field_of_tomorrow": 1}),
)

MESSAGES: Final = (
    Wish(_image(), _TEXT),
    Wish(_image(detail="low"), _image()),
    Wish(_part({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}), _TEXT),
    Wish(_part({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}), _TEXT),
    Wish(_part({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a"}}), _TEXT),
    Wish(_part({"type": "file", "file": {"file_id": "f"}}), _TEXT),
    Wish({"messages": [{**HELLO, "name": "ann"}]}, {"messages": [HELLO]}),
    Wish({"messages": [{**_SHOWN, "name": "ann"}, HELLO]}, {"messages": [_SHOWN, HELLO]}),
    Wish({"messages": [{"role": "system", "content": "Be brief."}, HELLO]}, {"messages": [HELLO]}),
    Wish({"messages": [{"role": "developer", "content": "Be brief."}, HELLO]}, {"messages": [HELLO]}),
    Wish(_said({"role": "system", "content": "Yes", "name": "ops"}), _said({"role": "system", "content": "Yes"})),
    Wish(_said(_YES), {"messages": [HELLO, HELLO]}),
    Wish(_said({**_YES, "refusal": "No"}), _said(_YES)),
    Wish(_said({"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}), {"messages": [HELLO, HELLO]}),
    Wish(_said({**_YES, "audio": {"id": "a"}}), _said(_YES)),
    Wish(_said({"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT), {"messages": [HELLO, HELLO]}),
    Wish(
        _said({"role": "assistant", "content": None, "tool_calls": [CUSTOM_CALL]}, RESULT), {"messages": [HELLO, HELLO]}
    ),
    Wish(
        _said(
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "seen"},
        ),
        {"messages": [HELLO, HELLO]},
    ),
)
