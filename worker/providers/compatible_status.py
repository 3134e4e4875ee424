"""The status that an error would have, where it comes with status 200: inside a stream, or in an answer's place.

OpenRouter and vLLM give the status itself as the code; others name a kind of error. Sources of the kinds: OpenAI,
llama.cpp's server, Anthropic's and DeepSeek's OpenAI-compatible endpoints, Mistral, Ollama, SGLang, and
`huggingface_hub` for TGI, whose `error_type` says `validation`.
"""

import re
from collections.abc import Mapping
from typing import Final

SUCCESS: Final = range(200, 300)
_STATUS: Final = re.compile(r"[45]\d\d")
_KINDS: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "authentication_error": 401,
    "AuthenticationError": 401,
    "billing_error": 402,
    "permission_error": 403,
    "PermissionDeniedError": 403,
    "not_found_error": 404,
    "NotFoundError": 404,
    "request_too_large": 413,
    "validation": 422,
    "rate_limit_error": 429,
    "RateLimitError": 429,
    "rate_limited": 429,
    "requests": 429,
    "tokens": 429,
    "api_error": 500,
    "server_error": 500,
    "InternalServerError": 500,
    "unavailable_error": 503,
    "service_unavailable_error": 503,
    "timeout_error": 504,
}


def told_status(*words: str | None) -> int | None:
    """By the first of an error's words (its code, its type) that tells one."""
    for word in filter(None, words):
        if _STATUS.fullmatch(word):
            return int(word)
        if word in _KINDS:
            return _KINDS[word]
    return None
