"""A chat in DashScope's native form: `{"model", "input": {"messages"}, "parameters"}`."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from worker.providers.contract import ChatCall, JsonObject
from worker.providers.fields import bounded, check_detail, check_search, named_content, refusal, told_messages, wishes

_MULTIMODAL: Final = ("*-vl*", "qvq*", "*-ocr*", "qwen3.[5-9]*", "qwen[4-9]*", "gui-*")
_COMPATIBLE_ONLY: Final = ("*-omni*",)
_ALWAYS_THINKS: Final = ("qwq*", "qvq*", "*-thinking*", "deepseek-r1*")
# Qwen3's open models and all since 3.5 think unless told not to; Qwen3's later instruct and coder releases never do.
_THINKS_UNLESS_TOLD: Final = ("qwen3-[0-9]*b", "qwen3-[0-9]*b-a*b", "qwen3.[5-9]*", "qwen[4-9]*")
_PLAIN: Final = ("farui*",)  # text in, text out: no tools, no pictures, no thinking
_TEXT_ONLY: Final = (*_PLAIN, "qwen3.[5-7]-max*")  # the largest of their generations read text alone until 3.8
_TAKES_EFFORT: Final = ("qwen3.8-max*",)
_EFFORTS: Final = {"minimal": "low", "high": "xhigh", "max": "xhigh"}
_BUDGETS: Final = {"minimal": 512, "low": 2048, "medium": 8192}

_OWN: Final = frozenset(
    {"top_k", "repetition_penalty", "enable_thinking", "thinking_budget", "preserve_thinking", "clear_thinking"}
    | {"enable_search", "search_options", "tool_stream", "enable_code_interpreter", "vl_high_resolution_images"}
    | {"translation_options", "asr_options"}
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
    return _matches(model, more) or (_matches(model, _MULTIMODAL) and not _matches(model, _TEXT_ONLY))


def is_compatible_only(model: str) -> bool:
    """Whether a model is offered by OpenAI's dialect alone."""
    return _matches(model, _COMPATIBLE_ONLY)


def must_stream(chat: ChatCall) -> bool:
    """Whether the answer has to be streamed: of models that speak, and of those that will think, which most can only
    do while streaming.
    """
    if is_compatible_only(chat.model):
        return True
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
    set_thinking(parameters, chat.model, wanted.get("reasoning_effort"), upstream, drop=drop)
    if wanted.get("tools"):
        _set_tools(parameters, chat, wanted, upstream, drop=drop)
    told = told_messages(chat.body["messages"], _PARTS, upstream=upstream, drop=drop)
    messages = _in_front([_without_author(message) for message in told])
    if not multimodal and not drop and any(_has_media(message) for message in messages):
        raise refusal("messages", upstream, f"{chat.model} reads text only")
    for index, message in enumerate(messages if multimodal else ()):
        _check_details(message, f"messages[{index}]", upstream, drop=drop)
    said = [_with_parts(message) if multimodal else _with_text(message) for message in messages]
    return {"model": chat.model, "input": {"messages": said}, "parameters": parameters}


def _set_numbers(parameters: JsonObject, wanted: Mapping[str, Any], upstream: str, *, drop: bool) -> None:
    """Open ends are met as nearly as can be: temperature below 2, top_p above 0."""
    if "temperature" in wanted:
        parameters["temperature"] = min(wanted["temperature"], 1.99)
    if "top_p" in wanted:
        parameters["top_p"] = max(wanted["top_p"], 0.01)
    for name, low, high in (("seed", 0, 2**31 - 1), ("n", 1, 4), ("top_logprobs", 0, 5)):
        if name in wanted:
            parameters[name] = int(bounded(wanted[name], low, high, name, upstream=upstream, drop=drop))


def set_thinking(parameters: JsonObject, model: str, effort: str | None, upstream: str, *, drop: bool) -> None:
    """The members that ask for an effort, the same for either interface; those that the client set itself stay.

    Raises InvalidRequest where the model does not think at all, unless `drop`.
    """
    if effort is None or "enable_thinking" in parameters:
        return
    if _matches(model, _PLAIN):
        if effort != "none" and not drop:
            raise refusal("reasoning_effort", upstream, f"{model} does not think")
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


def _without_author(message: JsonObject) -> JsonObject:
    """Only tools have names here: an author's stands in front of the text."""
    if message["role"] == "tool" or "name" not in message:
        return message
    told = {name: value for name, value in message.items() if name != "name"}
    return {**told, "content": named_content(message)}


def _in_front(messages: list[JsonObject]) -> list[JsonObject]:
    """All system messages as one, at the beginning."""
    system = [message for message in messages if message["role"] == "system"]
    if not system or (messages[0] is system[0] and len(system) == 1):
        return messages
    text = "\n\n".join(map(_text, system))
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
            return {"audio": _audio_url(audio, f"audio/{audio['format']}"), **hints}
    return {"text": part["text"], **hints}


def _audio_url(audio: Mapping[str, Any], media_type: str) -> str:
    """Where OpenAI has base64, both interfaces want a URL, that of the data themselves too."""
    data: str = audio["data"]
    return data if "://" in data or data.startswith("data:") else f"data:{media_type};base64,{data}"


def with_audio_urls(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message for the compatible interface, otherwise as it is."""
    if not isinstance(message.get("content"), list):
        return message
    return {**message, "content": [_with_audio_url(part) for part in message["content"]]}


def _with_audio_url(part: Mapping[str, Any]) -> Mapping[str, Any]:
    if part["type"] != "input_audio":
        return part
    return {**part, "input_audio": {**part["input_audio"], "data": _audio_url(part["input_audio"], "")}}


def _matches(model: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(model.lower(), pattern) for pattern in patterns)
