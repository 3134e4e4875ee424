"""Messages and usage of clones in OpenAI's form; the same for a whole message and for a delta."""

from typing import Any

import orjson

from worker.providers.contract import JsonObject


def tidy_message(message: JsonObject) -> bool:
    """Puts reasoning, typed content and tool arguments in their usual form; True if anything changed."""
    changed = False
    reasoning = message.get("reasoning")
    if isinstance(reasoning, str):
        # OpenRouter, Groq, Together and newer vLLM; `reasoning_content` is what most clients read.
        message.setdefault("reasoning_content", reasoning)
        del message["reasoning"]
        changed = True
    content = message.get("content")
    if isinstance(content, list):
        _flatten(message, content)
        changed = True
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        if not isinstance(function.get("arguments", ""), str):
            function["arguments"] = orjson.dumps(function["arguments"]).decode()
            changed = True
    return changed


def _flatten(message: JsonObject, parts: list[Any]) -> None:
    """Mistral's reasoning models answer `[{"type": "thinking", "thinking": [...]}, {"type": "text", ...}]`."""
    text, thoughts = "", ""
    for part in parts:
        if isinstance(part, str):
            text += part
        elif part.get("type") == "thinking":
            inner = part.get("thinking") or ""
            thoughts += inner if isinstance(inner, str) else "".join(piece.get("text", "") for piece in inner)
        else:
            text += part.get("text") or ""
    message["content"] = text
    if thoughts:
        message["reasoning_content"] = thoughts


def tidy_usage(usage: JsonObject) -> JsonObject:
    """OpenAI's three counters always, and cached tokens where OpenAI has them; everything else is kept."""
    prompt = usage.get("prompt_tokens") or 0
    completion = usage.get("completion_tokens") or 0
    tidied = {**usage, "prompt_tokens": prompt, "completion_tokens": completion}
    if usage.get("total_tokens") is None:
        tidied["total_tokens"] = prompt + completion
    # Moonshot; DeepSeek.
    cached = usage.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    if cached is not None and not usage.get("prompt_tokens_details"):
        tidied["prompt_tokens_details"] = {"cached_tokens": cached}
    return tidied
