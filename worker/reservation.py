"""How many tokens a request is taken to need before its answer tells: an estimate that costs microseconds. Pure."""

from collections.abc import Mapping
from typing import Any, Final

_CHARACTERS_PER_TOKEN: Final = 4
_STRICT_CHARACTERS_PER_TOKEN: Final = 2
_IMAGE_TOKENS: Final = 765
_MESSAGE_TOKENS: Final = 4
_USUAL_ANSWER_TOKENS: Final = 1024
_LONG_ANSWER_TOKENS: Final = 4096


def reserve(body: Mapping[str, Any], *, strict: bool) -> int:
    """Prompt and answer together. Strictly: as many as the request could use, if it names its `max_tokens`."""
    characters, more = 0, 0
    for message in body.get("messages") or ():
        more += _MESSAGE_TOKENS
        content = message.get("content")
        if isinstance(content, str):
            characters += len(content)
            continue
        for part in content or ():
            text = part.get("text")
            characters += len(text) if isinstance(text, str) else 0
            more += 0 if text else _IMAGE_TOKENS
    if body.get("tools"):
        characters += len(str(body["tools"]))
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    choices = body.get("n") or 1
    if strict:
        return characters // _STRICT_CHARACTERS_PER_TOKEN + more + choices * (most or _LONG_ANSWER_TOKENS)
    answer = min(most or _USUAL_ANSWER_TOKENS, _USUAL_ANSWER_TOKENS)
    return characters // _CHARACTERS_PER_TOKEN + more + int(choices * answer)
