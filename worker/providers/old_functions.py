"""Requests that declare `functions`, the older form of `tools`, and their answers, whose clients read `function_call`.

That form holds one call, without an id. What a model calls beyond its first is left out, as it would be with
`parallel_tool_calls: false`: once the model has the first result it calls again. Upstreams that speak OpenAI's dialect
without this form are asked in the newer one.

Source: types/chat of the openai package, which tells of each old name what replaces it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from shared.errors import InvalidRequest
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject, StreamMapper

T = TypeVar("T")
_OLD_NAMES: Final = {"tools": "functions", "tool_choice": "function_call"}


def asked_with_tools(chat: ChatCall, build: Callable[[ChatCall], T]) -> T:
    """What `build` makes of the request in the newer form. Its refusals name the fields that the client sent."""
    body = dict(chat.body)
    body["messages"] = list(_with_calls(body["messages"]))
    if not asks_old_form(chat):
        return build(replace(chat, body=body))
    body["tools"] = [{"type": "function", "function": function} for function in body.pop("functions")]
    choice = body.pop("function_call", None)
    if choice is not None:
        body["tool_choice"] = choice if isinstance(choice, str) else {"type": "function", "function": choice}
    try:
        return build(replace(chat, body=body))
    except InvalidRequest as error:
        raise _in_old_words(error) from None


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


def _with_calls(messages: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """The messages with tool calls, and results that answer the last call of their function."""
    calls: dict[str, str] = {}
    for index, message in enumerate(messages):
        call = message.get("function_call")
        if message["role"] == "function":
            result = {"role": "tool", "tool_call_id": calls.get(message["name"], f"call_{index}")}
            yield {**result, "content": message.get("content") or ""}
        elif call:
            signed = {"extra_content": call["extra_content"]} if "extra_content" in call else {}
            function = {name: value for name, value in call.items() if name != "extra_content"}
            calls[call["name"]] = f"call_{index}"
            tool_call = {"id": f"call_{index}", "type": "function", "function": function, **signed}
            yield {**{k: v for k, v in message.items() if k != "function_call"}, "tool_calls": [tool_call]}
        else:
            yield message


def _in_old_words(error: InvalidRequest) -> InvalidRequest:
    old = _OLD_NAMES.get(error.param or "", error.param)
    message = error.message.replace(f"'{error.param}'", f"'{old}'")
    return InvalidRequest(message, code=error.code, param=old)


def _says_more(chunk: Chunk) -> bool:
    """Rewrites the chunk; False if all it held was a further call."""
    chunk.raw = None
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
