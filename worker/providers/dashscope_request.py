"""A chat in DashScope's native form: `{"model", "input": {"messages"}, "parameters"}`."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from worker.providers.contract import ChatCall, JsonObject
from worker.providers.fields import bounded, check_detail, check_search, named, refusal, told_messages, wishes

_MULTIMODAL: Final = ("*-vl*", "qvq*", "*-omni*", "*-ocr*", "qwen3.[5-9]*", "qwen[4-9]*", "gui-*")
_ALWAYS_THINKS: Final = ("qwq*", "qvq*", "*-thinking*", "deepseek-r1*")
# Qwen3's open models think unless told not to; their later instruct and coder releases never do.
_THINKS_UNLESS_TOLD: Final = ("qwen3-[0-9]*b", "qwen3-[0-9]*b-a*b")
_PLAIN: Final = ("farui*",)  # text in, text out
_TAKES_EFFORT: Final = ("qwen3.8-max*",)
_EFFORTS: Final = {"minimal": "low", "high": "xhigh", "max": "xhigh"}
_BUDGETS: Final = {"minimal": 512, "low": 2048, "medium": 8192}

_OWN: Final = frozenset(
    {"top_k", "repetition_penalty", "enable_thinking", "thinking_budget", "preserve_thinking", "clear_thinking"}
    | {"enable_search", "search_options", "tool_stream", "enable_code_interpreter", "vl_high_resolution_images"}
    | {"translation_options", "asr_options", "modalities", "audio"}
)
_SAME: Final = _OWN | {"max_tokens", "stop", "presence_penalty", "logprobs", "response_format", "parallel_tool_calls"}
_FIELDS: Final = _SAME | {
    "temperature",
    "top_p",
    "seed",
    "n",
    "top_logprobs",
    "tools",
    "tool_choice",
    "max_completion_tokens",
    "reasoning_effort",
    "web_search_options",
}
_PARTS: Final = frozenset({"text", "image_url", "video_url", "video", "input_audio"})
_HINTS: Final = ("min_pixels", "max_pixels", "total_pixels", "fps", "cache_control")


def is_multimodal(model: str, more: Iterable[str]) -> bool:
    """Whether a model belongs to the endpoint that takes lists of parts."""
    return _matches(model, (*_MULTIMODAL, *more)) and not _matches(model, _PLAIN)


def thinks(chat: ChatCall) -> bool:
    """Whether the model will think, which most can only do while streaming."""
    body = chat.body
    told = body.get("enable_thinking")
    if told is None and body.get("reasoning_effort") is not None:
        told = body["reasoning_effort"] != "none"
    if told is None:
        told = _matches(chat.model, _THINKS_UNLESS_TOLD)
    return bool(told) or _matches(chat.model, _ALWAYS_THINKS)


def within(body: Mapping[str, Any], model: str, most_tokens: Mapping[str, int]) -> Mapping[str, Any]:
    """`body` with its limits of tokens lowered to what `most_tokens` (pattern -> tokens) has for the model."""
    most = next((most for pattern, most in most_tokens.items() if _matches(model, (pattern,))), None)
    if most is None:
        return body
    named = ((name, body.get(name)) for name in ("max_tokens", "max_completion_tokens"))
    return {**body, **{name: most for name, asked in named if asked is not None and asked > most}}


def native_body(chat: ChatCall, upstream: str, *, multimodal: bool, streamed: bool) -> JsonObject:
    """Raises InvalidRequest naming the field that cannot be said."""
    drop = chat.settings.drop_params
    wanted = wishes(chat.body, _FIELDS, upstream=upstream, drop=drop)
    parameters: JsonObject = {name: value for name, value in wanted.items() if name in _SAME}
    parameters["result_format"] = "message"
    if streamed:
        parameters["incremental_output"] = True
    _set_numbers(parameters, wanted, upstream, drop=drop)
    if "max_completion_tokens" in wanted:
        parameters["max_tokens"] = wanted["max_completion_tokens"]
    if "web_search_options" in wanted:
        check_search(wanted["web_search_options"], upstream=upstream, drop=drop)
        parameters.setdefault("enable_search", True)
    _set_thinking(parameters, chat.model, wanted.get("reasoning_effort"))
    if wanted.get("tools"):
        _set_tools(parameters, chat, wanted, upstream, drop=drop)
    messages = _in_front(told_messages(chat.body["messages"], _PARTS, upstream=upstream, drop=drop))
    if not multimodal and not drop and any(_has_media(message) for message in messages):
        raise refusal("messages", upstream, f"{chat.model} reads text only")
    for index, message in enumerate(messages if multimodal else ()):
        _check_details(message, f"messages[{index}]", upstream, drop=drop)
    told = [_with_parts(message) if multimodal else _with_text(message) for message in messages]
    return {"model": chat.model, "input": {"messages": told}, "parameters": parameters}


def _set_numbers(parameters: JsonObject, wanted: Mapping[str, Any], upstream: str, *, drop: bool) -> None:
    """Open ends are met as nearly as can be: temperature below 2, top_p above 0."""
    if "temperature" in wanted:
        parameters["temperature"] = min(wanted["temperature"], 1.99)
    if "top_p" in wanted:
        parameters["top_p"] = max(wanted["top_p"], 0.01)
    for name, low, high in (("seed", 0, 2**31 - 1), ("n", 1, 4), ("top_logprobs", 0, 5)):
        if name in wanted:
            parameters[name] = int(bounded(wanted[name], low, high, name, upstream=upstream, drop=drop))


def _set_thinking(parameters: JsonObject, model: str, effort: str | None) -> None:
    if effort is None or "enable_thinking" in parameters:
        return
    if effort != "none" and _matches(model, _TAKES_EFFORT):
        parameters["reasoning_effort"] = _EFFORTS.get(effort, effort)
        return
    parameters["enable_thinking"] = effort != "none"
    if effort in _BUDGETS:
        parameters.setdefault("thinking_budget", _BUDGETS[effort])


def _set_tools(parameters: JsonObject, chat: ChatCall, wanted: Mapping[str, Any], upstream: str, *, drop: bool) -> None:
    """Calls in parallel are off by default here and on at OpenAI."""
    tools = wanted["tools"]
    if not drop and (_matches(chat.model, _PLAIN) or any(tool["type"] == "custom" for tool in tools)):
        raise refusal("tools", upstream)
    if _matches(chat.model, _PLAIN):
        return
    parameters["tools"] = [tool for tool in tools if tool["type"] == "function"]
    parameters["parallel_tool_calls"] = chat.body.get("parallel_tool_calls") is not False
    choice = possible_choice(chat.body, upstream, drop=drop)
    if choice is not None:
        parameters["tool_choice"] = choice


def possible_choice(body: Mapping[str, Any], upstream: str, *, drop: bool) -> str | JsonObject | None:
    """`tool_choice` as either interface takes it: `required` is the same as the only tool there is.

    Raises InvalidRequest for a choice that cannot be said; with `drop` the model chooses.
    """
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    if choice == "required" and len(tools) == 1 and tools[0]["type"] == "function":
        return {"type": "function", "function": {"name": tools[0]["function"]["name"]}}
    if choice in ("auto", "none", None) or (isinstance(choice, dict) and choice["type"] == "function"):
        return choice
    if not drop:
        raise refusal("tool_choice", upstream, "only auto, none and one function are known")
    return None


def _in_front(messages: list[JsonObject]) -> list[JsonObject]:
    """All system messages as one, at the beginning."""
    system = [message for message in messages if message["role"] == "system"]
    if not system or (messages[0] is system[0] and len(system) == 1):
        return messages
    text = "\n\n".join(named(message, _text(message)) for message in system)
    return [{"role": "system", "content": text}, *(message for message in messages if message["role"] != "system")]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _has_media(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part["type"] != "text" for part in content)


def _check_details(message: Mapping[str, Any], path: str, upstream: str, *, drop: bool) -> None:
    parts = message["content"] if isinstance(message.get("content"), list) else ()
    for index, part in enumerate(parts):
        if part["type"] == "image_url":
            check_detail(part, f"{path}.content[{index}]", upstream=upstream, drop=drop)


def _with_text(message: JsonObject) -> JsonObject:
    return {**message, "content": _text(message)}


def _with_parts(message: JsonObject) -> JsonObject:
    content = message.get("content") or []
    parts = [{"text": content}] if isinstance(content, str) else [_part(part) for part in content]
    return {**message, "content": parts}


def _part(part: Mapping[str, Any]) -> JsonObject:
    """`{"text"}`, `{"image"}`, `{"video"}` or `{"audio"}`, with the hints that may stand beside them."""
    hints = {name: part[name] for name in _HINTS if name in part}
    match part["type"]:
        case "image_url":
            return {"image": part["image_url"]["url"], **hints}
        case "video_url":
            return {"video": part["video_url"]["url"], **hints}
        case "video":
            return {"video": part["video"], **hints}
        case "input_audio":
            audio = part["input_audio"]
            inline = "://" not in audio["data"] and not audio["data"].startswith("data:")
            return {
                "audio": f"data:audio/{audio['format']};base64,{audio['data']}" if inline else audio["data"],
                **hints,
            }
    return {"text": part["text"], **hints}


def _matches(model: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(model.lower(), pattern) for pattern in patterns)
