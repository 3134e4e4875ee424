"""Answers to requests that declare `functions`, the older form of `tools`: their clients read `function_call` only.

That form holds one call, without an id. What a model calls beyond its first is left out, as it would be with
`parallel_tool_calls: false`: once the model has the first result it calls again.
"""

from collections.abc import Sequence
from typing import Any

from worker.providers.contract import ChatCall, Chunk, Event, JsonObject, StreamMapper


def mapper_as_asked(chat: ChatCall, mapper: StreamMapper) -> StreamMapper:
    """The mapper, its chunks in the form that the client reads."""
    return FunctionCallMapper(mapper) if asks_old_form(chat) else mapper


def completion_as_asked(chat: ChatCall, completion: JsonObject) -> JsonObject:
    """The whole answer in the form that the client reads."""
    if asks_old_form(chat):
        for choice in completion["choices"]:
            calls = choice["message"].pop("tool_calls", None)
            if calls:
                choice["message"]["function_call"] = _function_call(calls[0])
            _rename_reason(choice)
    return completion


class FunctionCallMapper:
    """Turns the tool calls of another mapper's chunks into function calls."""

    def __init__(self, mapper: StreamMapper) -> None:
        self.ended = False
        self._mapper = mapper

    def feed(self, event: Event) -> Sequence[Chunk]:
        chunks = self._mapper.feed(event)
        self.ended = self._mapper.ended
        return [chunk for chunk in chunks if _says_more(chunk)]

    def finish(self) -> Sequence[Chunk]:
        chunks = self._mapper.finish()
        self.ended = self._mapper.ended
        return [chunk for chunk in chunks if _says_more(chunk)]


def asks_old_form(chat: ChatCall) -> bool:
    """Whether the client declares functions and no tools."""
    return bool(chat.body.get("functions")) and not chat.body.get("tools")


def _says_more(chunk: Chunk) -> bool:
    """Rewrites the chunk; False if all it held was a further call."""
    choices = chunk.data["choices"]
    kept = [choice for choice in choices if _rewritten(choice)]
    chunk.data["choices"] = kept
    return bool(kept) or not choices


def _rewritten(choice: JsonObject) -> bool:
    delta = choice["delta"]
    calls = delta.pop("tool_calls", ())
    for call in calls:
        if call["index"] == 0:
            delta["function_call"] = _function_call(call)
    _rename_reason(choice)
    return bool(delta or choice["finish_reason"] or not calls)


def _rename_reason(choice: JsonObject) -> None:
    if choice["finish_reason"] == "tool_calls":
        choice["finish_reason"] = "function_call"


def _function_call(call: JsonObject) -> dict[str, Any]:
    """Name and arguments, and a signature that the upstream wants back with them."""
    signed = {"extra_content": call["extra_content"]} if "extra_content" in call else {}
    return {**call["function"], **signed}
