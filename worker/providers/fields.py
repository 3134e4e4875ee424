"""Which request fields an upstream can do: what it cannot is a 400 that names the field, or is dropped when told so."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.errors import InvalidRequest

HARMLESS = frozenset(
    {"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"}
)
"""Metadata about a request, no wish for its answer: dropped without a word where an upstream has no such field."""

_ALWAYS = frozenset({"model", "messages", "stream", "stream_options"})
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
        elif name not in HARMLESS and not drop:
            raise refusal(name, upstream)
    return wanted


def without_refused(body: Mapping[str, Any], names: Iterable[str], *, upstream: str, drop: bool) -> dict[str, Any]:
    """`body` without those of `names` that wish nothing; for an upstream that takes every other field as it is.

    Raises InvalidRequest naming the first one that does wish something, unless `drop` (drop_params) is set.
    """
    left = dict(body)
    for name in names:
        value = left.pop(name, None)
        neutral = value is None or name in HARMLESS or (name in _NEUTRAL and value == _NEUTRAL[name])
        if not neutral and not drop:
            raise refusal(name, upstream)
    return left


def bounded(value: float, low: float, high: float, param: str, *, upstream: str, drop: bool) -> float:
    """`value` where it is within what the upstream takes. Raises InvalidRequest, or with `drop` gives the nearest."""
    nearest = min(max(value, low), high)
    if nearest != value and not drop:
        raise refusal(param, upstream, f"{value:g} is not between {low:g} and {high:g}")
    return nearest


def told_messages(
    messages: Iterable[Mapping[str, Any]], parts: Iterable[str], *, upstream: str, drop: bool
) -> list[dict[str, Any]]:
    """Messages for a dialect that is close to OpenAI's but knows only these types of content parts.

    Raises InvalidRequest naming `messages` for other parts and for the old function messages, unless `drop`.
    """
    known = frozenset(parts)
    return [_told_message(message, known, upstream, drop=drop) for message in messages]


def _told_message(message: Mapping[str, Any], parts: frozenset[str], upstream: str, *, drop: bool) -> dict[str, Any]:
    told = {name: value for name, value in message.items() if name not in {"refusal", "audio", "annotations"}}
    if told["role"] == "developer":
        told["role"] = "system"
    if (told["role"] == "function" or told.get("function_call")) and not drop:
        raise refusal("messages", upstream, "function messages are an older form of tool messages")
    if isinstance(told.get("content"), list):
        content = [
            {"type": "text", "text": part["refusal"]} if part["type"] == "refusal" else dict(part)
            for part in told["content"]
        ]
        told["content"] = [part for part in content if part["type"] in parts]
        if len(told["content"]) < len(content) and not drop:
            unknown = next(part["type"] for part in content if part["type"] not in parts)
            raise refusal("messages", upstream, f"content parts of type {unknown} are not known")
    return told


def refusal(param: str, upstream: str, why: str = "") -> InvalidRequest:
    """The 400 for something an upstream cannot do."""
    because = f": {why}" if why else ""
    return InvalidRequest(
        f"{upstream} does not support '{param}'{because}. Remove it, choose another model, or ask the operator to set "
        "drop_params for this provider.",
        code="unsupported_parameter",
        param=param,
    )
