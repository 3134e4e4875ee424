"""Joins the chunks of a stream into a whole answer, and splits a whole answer into chunks. No I/O.

Used where an upstream only streams or only answers whole, and the client asked for the other form.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from worker.providers.contract import Chunk, JsonObject

_JOINED_TEXT: Final = frozenset({"content", "reasoning_content", "refusal"})
# `obfuscation` pads the chunks of a stream to a like length; it is no part of the answer.
_FRAME: Final = frozenset({"object", "choices", "usage", "obfuscation"})
_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs"})


def join(chunks: Iterable[Chunk]) -> JsonObject:
    """The `chat.completion` that the chunks of one whole stream make; `usage` if one of them has it.

    Members that OpenAI does not define are kept: text is not joined, the last value counts, and lists are.
    """
    completion: JsonObject = {"object": "chat.completion"}
    choices: dict[int, _Choice] = {}
    usage: JsonObject | None = None
    for chunk in chunks:
        for name, value in chunk.data.items():
            if name not in _FRAME and value is not None:
                completion[name] = value
        for choice in chunk.data["choices"]:
            choices.setdefault(choice["index"], _Choice()).add(choice)
        usage = chunk.data.get("usage") or usage
    completion["choices"] = [{"index": index, **choices[index].whole()} for index in sorted(choices)]
    if usage is not None:
        completion["usage"] = usage
    return completion


class _Choice:
    def __init__(self) -> None:
        self._message: JsonObject = {}
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, JsonObject] = {}
        self._logprobs: JsonObject | None = None
        self._reason: str | None = None
        self._beside: JsonObject = {}

    def add(self, choice: Mapping[str, Any]) -> None:
        for name, value in choice["delta"].items():
            self._add_member(name, value)
        if choice.get("logprobs"):
            self._logprobs = _extended(self._logprobs or {}, choice["logprobs"])
        self._reason = choice.get("finish_reason") or self._reason
        self._beside |= {name: value for name, value in choice.items() if name not in _CHOICE}

    def whole(self) -> JsonObject:
        message = dict(self._message)
        for name, pieces in self._texts.items():
            message[name] = "".join(pieces)
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        if not message.get("content"):
            # As OpenAI answers: null beside tool calls and refusals, and "" only for an empty text.
            spoken = "content" in self._texts and not (
                self._calls or message.get("function_call") or message.get("refusal")
            )
            message["content"] = "" if spoken else None
        whole: JsonObject = {"message": message, "finish_reason": self._reason, **self._beside}
        if self._logprobs is not None:
            whole["logprobs"] = self._logprobs
        return whole

    def _add_member(self, name: str, value: Any) -> None:
        if value is None:
            return
        if name in _JOINED_TEXT:
            self._texts.setdefault(name, []).append(value)
        elif name == "tool_calls":
            for call in value:
                _add_call(self._calls.setdefault(call["index"], {}), call)
        elif name == "function_call":
            _add_function(self._message.setdefault(name, {}), value)
        elif name == "audio":
            self._message[name] = _with_audio(self._message.get(name, {}), value)
        elif isinstance(value, list):
            self._message[name] = [*self._message.get(name, ()), *value]
        else:
            self._message[name] = value


def _add_call(call: JsonObject, piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        if name in {"function", "custom"}:
            _add_function(call.setdefault(name, {}), value)
        elif name != "index" and value is not None:
            call[name] = value


def _add_function(function: JsonObject, piece: Mapping[str, Any]) -> None:
    """`arguments` of a function and `input` of a custom tool come in pieces; the name comes once."""
    for name, value in piece.items():
        if name in {"arguments", "input"}:
            function[name] = function.get(name, "") + (value or "")
        elif value is not None:
            function[name] = value


def _with_audio(audio: Mapping[str, Any], piece: Mapping[str, Any]) -> JsonObject:
    """`data` (base64 of whole samples per piece) and `transcript` come in pieces."""
    pieces = {name: audio.get(name, "") + piece[name] for name in ("data", "transcript") if piece.get(name)}
    return {**audio, **piece, **pieces}


def _extended(lists: Mapping[str, Any], more: Mapping[str, Any]) -> JsonObject:
    return {
        name: [*(lists.get(name) or ()), *(more.get(name) or ())] or None for name in dict.fromkeys([*lists, *more])
    }


def split(completion: Mapping[str, Any]) -> list[Chunk]:
    """The chunks of a stream that tells a `chat.completion`: per choice message, then finish reason; usage last."""
    frame = {name: value for name, value in completion.items() if name not in _FRAME}
    frame["object"] = "chat.completion.chunk"
    chunks = []
    for choice in completion["choices"]:
        index = choice["index"]
        beside = {name: value for name, value in choice.items() if name not in _CHOICE and name != "message"}
        logprobs = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        deltas = [({"index": index, "delta": delta, "finish_reason": None}) for delta in _deltas(choice["message"])]
        deltas[-1] |= logprobs
        deltas.append({"index": index, "delta": {}, "finish_reason": choice["finish_reason"], **beside})
        chunks += [Chunk({**frame, "choices": [delta]}) for delta in deltas]
    if completion.get("usage"):
        chunks.append(Chunk({**frame, "choices": [], "usage": completion["usage"]}))
    return chunks


def _deltas(message: Mapping[str, Any]) -> list[JsonObject]:
    """Role first, reasoning before what it led to, each tool call whole."""
    members = {
        name: value for name, value in message.items() if value is not None and name not in {"role", "tool_calls"}
    }
    order = sorted(members, key=lambda name: name != "reasoning_content")
    deltas: list[JsonObject] = [{name: members[name]} for name in order]
    deltas += [{"tool_calls": [{"index": n, **call}]} for n, call in enumerate(message.get("tool_calls") or ())]
    first = deltas[0] if deltas else {"content": None}
    return [{"role": message.get("role", "assistant"), **first}, *deltas[1:]]
