"""Anthropic's answers, whole and streamed, as chat completions.

`thinking_blocks` beside `reasoning_content` are the signed blocks that must come back with the results of tools, each
with the model that it belongs to. A
refusal's explanation is OpenAI's `refusal`. What the API does in its own house (server tools, citations) is left out.

Source: Message and RawMessageStreamEvent of the anthropic package 2.11. New kinds of events and blocks may come at any
time and are skipped, as its documentation asks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.anthropic_errors import told
from worker.providers.bodies import cut_short, parsed
from worker.providers.chunks import ChunkWriter
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject

_REASONS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def parse_message(chat: ChatCall, body: bytes) -> JsonObject:
    """A whole answer as a `chat.completion`. Raises UpstreamError for anything but a finished message."""
    data = parsed(body)
    if not isinstance(data, dict) or data.get("type") != "message" or not isinstance(data.get("content"), list):
        raise told(data, 200)
    if not data.get("stop_reason"):
        raise UpstreamError(Fault.UPSTREAM_FAULT, "Anthropic's answer has no stop reason: it was cut off.")
    try:
        choice = {"index": 0, "message": _message(data, chat.model), "finish_reason": _reason(data["stop_reason"])}
    except (KeyError, TypeError):
        raise UpstreamError(Fault.UPSTREAM_FAULT, "Anthropic's answer has a content block that is not valid.") from None
    completion: JsonObject = {
        "id": data.get("id") or chat.completion_id,
        "object": "chat.completion",
        "created": chat.created,
        "model": data.get("model") or chat.model,
        "choices": [choice],
    }
    if data.get("usage"):
        prompt, completed, details = _counts(data["usage"])
        total = {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": prompt + completed}
        completion["usage"] = {**total, **details}
    return completion


def _message(data: Mapping[str, Any], model: str) -> JsonObject:
    blocks = data["content"]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    thoughts = [block["thinking"] for block in blocks if block["type"] == "thinking" and block["thinking"]]
    calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
    message: JsonObject = {"role": "assistant", "content": "".join(texts) or (None if calls or not texts else "")}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    signed = [{**block, "model": model} for block in blocks if block["type"] in {"thinking", "redacted_thinking"}]
    if signed:
        message["thinking_blocks"] = signed
    if calls:
        message["tool_calls"] = calls
    explanation = (data.get("stop_details") or {}).get("explanation")
    if explanation:
        message["refusal"] = explanation
    return message


def _call(block: Mapping[str, Any]) -> JsonObject:
    arguments = orjson.dumps(block["input"]).decode()
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def _reason(said: str) -> str:
    return _REASONS.get(said, "stop")


def _counts(usage: Mapping[str, Any]) -> tuple[int, int, JsonObject]:
    """Prompt and completion tokens, and the details; `input_tokens` alone are those that no cache touched."""
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    details: JsonObject = {"prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written}}
    if thought is not None:
        details["completion_tokens_details"] = {"reasoning_tokens": thought}
    return (usage.get("input_tokens") or 0) + read + written, usage.get("output_tokens") or 0, details


class MessageMapper:
    """Anthropic's events, one answer. Block indexes count all blocks, OpenAI's only the tool calls."""

    def __init__(self, chat: ChatCall) -> None:
        self.ended = False
        self._model = chat.model
        self._chunks = ChunkWriter(chat)
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._reason: str | None = None
        self._explanation: str | None = None
        self._usage: JsonObject = {}

    def feed(self, event: Event) -> Sequence[Chunk]:
        try:
            data = orjson.loads(event.data)
            kind = data["type"]
            if kind == "content_block_delta":
                return self._delta(self._blocks[data["index"]], data["delta"])
            if kind == "content_block_start":
                return self._start(data["index"], data["content_block"])
            if kind == "content_block_stop":
                return self._stop(self._blocks.pop(data["index"]))
            if kind == "message_start":
                self._begin(data["message"])
            elif kind == "message_delta":
                self._note(data)
            elif kind == "message_stop":
                return self._end()
            elif kind == "error":
                raise told(data, 200)
        except (ValueError, KeyError, TypeError) as error:
            raise UpstreamError(
                Fault.UPSTREAM_FAULT, f"Anthropic sent an event that is not valid ({type(error).__name__})."
            ) from None
        return ()

    def finish(self) -> Sequence[Chunk]:
        if not self.ended:
            raise cut_short("Anthropic")
        return ()

    def _begin(self, message: Mapping[str, Any]) -> None:
        self._chunks.identify(message["id"], message.get("model"))
        self._usage |= message.get("usage") or {}

    def _start(self, index: int, start: Mapping[str, Any]) -> Sequence[Chunk]:
        kind = start["type"]
        block = self._blocks[index] = _Block(kind)
        if kind == "tool_use":
            block.call = self._calls
            self._calls += 1
            # Some compatible upstreams give the whole input at once, and no deltas.
            arguments = orjson.dumps(start["input"]).decode() if start.get("input") else ""
            block.said = bool(arguments)
            function = {"name": start["name"], "arguments": arguments}
            call = {"index": block.call, "id": start["id"], "type": "function", "function": function}
            return (self._chunks.delta(tool_calls=[call]),)
        if kind == "text":
            # Even an empty text is an answer, and not null.
            return (self._chunks.delta(content=start.get("text") or ""),)
        if kind == "thinking" and start.get("thinking"):
            return self._think(block, start["thinking"])
        if kind == "redacted_thinking":
            return (self._chunks.delta(thinking_blocks=[{**start, "model": self._model}]),)
        return ()

    def _delta(self, block: "_Block", delta: Mapping[str, Any]) -> Sequence[Chunk]:
        kind = delta["type"]
        if kind == "text_delta":
            return (self._chunks.delta(content=delta["text"]),) if delta["text"] else ()
        if kind == "input_json_delta" and block.kind == "tool_use":
            piece = delta["partial_json"]
            if not piece:
                return ()
            block.said = True
            return (self._chunks.delta(tool_calls=[{"index": block.call, "function": {"arguments": piece}}]),)
        if kind == "thinking_delta":
            return self._think(block, delta["thinking"])
        if kind == "signature_delta":
            block.signature += delta["signature"]
        return ()

    def _think(self, block: "_Block", text: str) -> Sequence[Chunk]:
        block.thoughts.append(text)
        return (self._chunks.delta(reasoning_content=text),) if text else ()

    def _stop(self, block: "_Block") -> Sequence[Chunk]:
        if block.kind == "tool_use" and not block.said:
            return (self._chunks.delta(tool_calls=[{"index": block.call, "function": {"arguments": "{}"}}]),)
        if block.kind == "thinking":
            text = "".join(block.thoughts)
            thinking = {"type": "thinking", "thinking": text, "signature": block.signature, "model": self._model}
            return (self._chunks.delta(thinking_blocks=[thinking]),)
        return ()

    def _note(self, data: Mapping[str, Any]) -> None:
        delta = data["delta"]
        self._reason = delta.get("stop_reason") or self._reason
        self._explanation = (delta.get("stop_details") or {}).get("explanation")
        self._usage |= {name: count for name, count in (data.get("usage") or {}).items() if count is not None}

    def _end(self) -> Sequence[Chunk]:
        if self._reason is None:
            raise UpstreamError(Fault.UPSTREAM_FAULT, "Anthropic's message ended without a stop reason.")
        self.ended = True
        chunks = [self._chunks.delta(refusal=self._explanation)] if self._explanation else []
        chunks.append(self._chunks.finish(_reason(self._reason)))
        if self._usage:
            prompt, completed, details = _counts(self._usage)
            chunks.append(self._chunks.usage(prompt, completed, **details))
        return chunks


class _Block:
    """A content block that is being streamed. `said`: the arguments of a call have begun."""

    __slots__ = ("call", "kind", "said", "signature", "thoughts")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.call = 0
        self.said = False
        self.thoughts: list[str] = []
        self.signature = ""
