"""Which request fields an upstream can do: what it cannot is a 400 that names the field, or is dropped when told so."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from shared.errors import InvalidRequest
from worker.providers.contract import JsonObject

HARMLESS = frozenset({"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
"""Metadata about a request, no wish for its answer: dropped without a word where an upstream has no such field."""

_ALWAYS = frozenset({"model", "messages", "stream", "stream_options"})
_USUAL_TIERS = frozenset({"auto", "default"})
# A value that asks for what happens anyway is no wish at all.
_NEUTRAL: Mapping[str, Any] = {
    "n": 1,
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
    "tools": [],
    "functions": [],
    "logit_bias": {},
    "modalities": ["text"],
    "stop": [],
}
_USUAL: Mapping[str, Any] = {**_NEUTRAL, "tool_choice": "auto"}


def wishes(body: Mapping[str, Any], supported: Iterable[str], *, upstream: str, drop: bool) -> dict[str, Any]:
    """The fields of `body` to translate: those in `supported` that are neither null nor neutral.

    Raises InvalidRequest naming the first field that `upstream` cannot do, unless `drop` (drop_params) is set.
    """
    known = frozenset(supported)
    wanted: dict[str, Any] = {}
    for name, value in body.items():
        if name in _ALWAYS or value is None or (name in _NEUTRAL and value == _NEUTRAL[name]):
            continue
        if name in known:
            wanted[name] = value
        elif not _is_harmless(name, value) and not drop:
            raise refusal(name, upstream)
    return wanted


def without_refused(body: Mapping[str, Any], names: Mapping[str, str], *, upstream: str, drop: bool) -> dict[str, Any]:
    """`body` without those of `names` that wish nothing; for an upstream that takes every other field as it is.

    Raises InvalidRequest naming the first one that does wish something, with the reason that `names` gives for it,
    unless `drop` (drop_params) is set.
    """
    left = dict(body)
    for name, why in names.items():
        value = left.pop(name, None)
        neutral = value is None or _is_harmless(name, value) or (name in _USUAL and value == _USUAL[name])
        if not neutral and not drop:
            raise refusal(name, upstream, why)
    return left


def _is_harmless(name: str, value: Any) -> bool:
    return name in HARMLESS or (name == "service_tier" and value in _USUAL_TIERS)


def bounded(value: float, low: float, high: float, param: str, *, upstream: str, drop: bool) -> float:
    """`value` where it is within what the upstream takes. Raises InvalidRequest, or with `drop` gives the nearest."""
    nearest = min(max(value, low), high)
    if nearest != value and not drop:
        raise refusal(param, upstream, f"{value:g} is not between {low:g} and {high:g}")
    return nearest


def named(message: Mapping[str, Any], text: str) -> str:
    """A text with its participant's name in front, for dialects that have no field for it.

    The assistant's own name is left out: it would begin its answers with what stands before the earlier ones.
    """
    name = message.get("name")
    return f"{name}: {text}" if name and text and message["role"] in {"user", "system", "developer"} else text


def named_parts(message: Mapping[str, Any], parts: Sequence[JsonObject], **kind: str) -> list[JsonObject]:
    """Parts of a message with its participant's name in front of their first text, or of what they show. `kind` is what
    a text part has beside its `text`.
    """
    place = next((place for place, part in enumerate(parts) if "text" in part and kind.items() <= part.items()), None)
    if place is not None:
        text = named(message, parts[place]["text"])
        return [*parts[:place], {**parts[place], "text": text}, *parts[place + 1 :]]
    name = named(message, " ").strip()
    return [{**kind, "text": name}, *parts] if name else [*parts]


def named_content(message: Mapping[str, Any]) -> Any:
    """The content of a message, with its participant's name in it."""
    content = message.get("content")
    if isinstance(content, str):
        return named(message, content)
    return named_parts(message, content, type="text") if isinstance(content, list) else content


def told_messages(
    messages: Iterable[Mapping[str, Any]], parts: Iterable[str], *, upstream: str, drop: bool
) -> list[dict[str, Any]]:
    """Messages for a dialect that is close to OpenAI's but knows only these types of content parts.

    Raises InvalidRequest for other parts, for spoken answers and for the old function messages, unless `drop`.
    """
    known = frozenset(parts)
    return [
        _told_message(message, f"messages[{index}]", known, upstream, drop=drop)
        for index, message in enumerate(messages)
    ]


def _told_message(
    message: Mapping[str, Any], path: str, parts: frozenset[str], upstream: str, *, drop: bool
) -> dict[str, Any]:
    told = {name: value for name, value in message.items() if name not in {"refusal", "audio", "annotations"}}
    if told["role"] == "developer":
        told["role"] = "system"
    if (told["role"] == "function" or told.get("function_call")) and not drop:
        raise refusal(path, upstream, "function messages are an older form of tool messages")
    if message.get("audio") and not drop:
        raise refusal(f"{path}.audio", upstream, "it does not keep what it said")
    if isinstance(told.get("content"), list):
        told["content"] = [_told_part(part) for part in told["content"]]
        _keep(told["content"], f"{path}.content", parts, upstream, drop=drop)
    if message.get("refusal"):
        told["content"] = joined(told.get("content"), message["refusal"])
    if told.get("tool_calls"):
        told["tool_calls"] = [as_function_call(call) for call in told["tool_calls"]]
    return told


def as_function_call(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A call of a custom tool, which another upstream may have made, as one of a function with one text; a function's
    as it is.
    """
    if call.get("type") != "custom":
        return call
    name, text = call["custom"]["name"], call["custom"]["input"]
    arguments = orjson.dumps({"input": text}).decode()
    return {"id": call["id"], "type": "function", "function": {"name": name, "arguments": arguments}}


def _told_part(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": part["refusal"]} if part["type"] == "refusal" else dict(part)


def _keep(content: list[dict[str, Any]], path: str, parts: frozenset[str], upstream: str, *, drop: bool) -> None:
    """Removes what is not of these types, unless it is to be refused."""
    for index, part in enumerate(content):
        if part["type"] not in parts and not drop:
            raise refusal(f"{path}[{index}]", upstream, f"content parts of type {part['type']} are not known")
    content[:] = [part for part in content if part["type"] in parts]


def joined(content: Any, refused: str) -> Any:
    """What an assistant said, and that it refused."""
    if isinstance(content, list):
        return [*content, {"type": "text", "text": refused}]
    return f"{content}\n\n{refused}" if content else refused


def check_detail(part: Mapping[str, Any], path: str, *, upstream: str, drop: bool) -> None:
    """For a dialect that always looks at images closely. Raises InvalidRequest for `detail: low`, unless `drop`."""
    if part["image_url"].get("detail") == "low" and not drop:
        raise refusal(f"{path}.image_url.detail", upstream, "it looks at every image closely")


def check_search(options: Mapping[str, Any], *, upstream: str, drop: bool) -> None:
    """For a dialect that searches or does not. Raises InvalidRequest for how and where to, unless `drop`."""
    for name, value in options.items():
        if value is not None and not drop:
            raise refusal(f"web_search_options.{name}", upstream, "it can be told to search, but not how")


def refusal(param: str, upstream: str, why: str = "") -> InvalidRequest:
    """The 400 for something an upstream cannot do."""
    because = f": {why}" if why else ""
    return InvalidRequest(
        f"{upstream} does not support '{param}'{because}. Remove it, choose another model, or ask the operator to set "
        "drop_params for this provider.",
        code="unsupported_parameter",
        param=param,
    )
