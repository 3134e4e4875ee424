"""Checks requests and answers against the types of the official openai package."""

from collections.abc import Iterable, Mapping
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params
from pydantic import TypeAdapter

_PLAIN: TypeAdapter[Any] = TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)
_STREAMED: TypeAdapter[Any] = TypeAdapter(completion_create_params.CompletionCreateParamsStreaming)


def check_request(body: Mapping[str, Any]) -> None:
    """Raises ValidationError where `body` is no request of the SDK's types; members unknown to them pass."""
    _exhaust((_STREAMED if body.get("stream") else _PLAIN).validate_python(body))


def check_completion(data: Mapping[str, Any]) -> None:
    ChatCompletion.model_validate(data)


def check_chunk(data: Mapping[str, Any]) -> None:
    ChatCompletionChunk.model_validate(data)


def _exhaust(value: Any) -> None:
    """Pydantic checks the items of an Iterable only when they are asked for."""
    if isinstance(value, Mapping):
        for member in value.values():
            _exhaust(member)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            _exhaust(item)
