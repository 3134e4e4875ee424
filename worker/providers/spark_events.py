"""What Spark answers: frames of its WebSocket, events and bodies of its HTTP interface, and its error codes.

Source: xfyun.cn/doc/spark, pages Web, X1ws, HTTP and X1http. Over HTTP v1 no finish reason is sent, so the end marker
(`[DONE]`, or a whole body) stands for "stop" or, after tool calls, "tool_calls".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import cut_short, event_object
from worker.providers.chunks import ChunkWriter
from worker.providers.compatible_errors import quote, speaks_of_empty_account
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject

_SITE = "Spark"
_LAST = 2
_WITHHELD = 10014
_NOT_ALLOWED = 10016  # not opened, or no tokens left: only its text tells
_FAULTS: Mapping[Fault, Sequence[int]] = {
    Fault.UPSTREAM_FAULT: (10000, 10001, 10002, 10009, 10010, 10011, 10012, 10017, 10222),
    Fault.INVALID_REQUEST: (10003, 10004, 10005, 10163),
    Fault.RATE_LIMITED: (10006, 10007, 11202, 11203),
    Fault.OVERLOADED: (10008, 10110),
    Fault.CONTENT_FILTERED: (10013, _WITHHELD, 10019, 10021),
    Fault.CREDENTIAL_REJECTED: (10015,),
    Fault.PERMISSION_DENIED: (_NOT_ALLOWED,),
    Fault.CONTEXT_TOO_LONG: (10907,),
    Fault.QUOTA_EXHAUSTED: (11200, 11201),
}
_CODES = {code: fault for fault, codes in _FAULTS.items() for code in codes}


def refusal_in(data: JsonObject) -> UpstreamError | None:
    """The error that a frame's header, an event or a body holds, None if it holds none that has a code of Spark's."""
    for holder in (data.get("header"), data.get("error"), data):
        if isinstance(holder, dict):
            code = _number(holder.get("code"))
            if code:
                fault = _CODES.get(code, Fault.UPSTREAM_FAULT)
                said = quote(str(holder.get("message")))
                if code == _NOT_ALLOWED and speaks_of_empty_account(said):
                    fault = Fault.QUOTA_EXHAUSTED
                return UpstreamError(fault, f"{_SITE} answered with code {code}: {said}", code=str(code))
    return None


def whole_answer(data: JsonObject, chat: ChatCall) -> JsonObject:
    """A body of the HTTP interface as a `chat.completion`. Raises UpstreamError for a body with an error code."""
    refused = refusal_in(data)
    if refused and _number(refused.code) != _WITHHELD:
        raise refused
    choices = []
    for choice in data["choices"]:
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"{_SITE} answered with a choice that has no message.")
        message = {"role": "assistant", **choice["message"], "content": choice["message"].get("content") or None}
        calls = _calls(message.pop("tool_calls", None), chat)
        if calls:
            message["tool_calls"] = calls
        reason = choice.get("finish_reason") or ("tool_calls" if calls else "stop")
        reason = "content_filter" if refused else reason
        choices.append({"index": choice.get("index", 0), "message": message, "finish_reason": reason})
    frame: JsonObject = {"id": data.get("sid") or chat.completion_id, "object": "chat.completion"}
    frame |= {"created": chat.created, "model": chat.model, "choices": choices}
    return {**frame, "usage": data["usage"]} if data.get("usage") else frame


class SparkMapper:
    """Frames of the WebSocket end with status 2, events of HTTP with `[DONE]`."""

    def __init__(self, chat: ChatCall) -> None:
        self._chat = chat
        self._chunks = ChunkWriter(chat)
        self._usage: JsonObject = {}
        self._reason: str | None = None
        self._calls = 0
        self.ended = False

    def feed(self, event: Event) -> Sequence[Chunk]:
        if event.data == b"[DONE]":
            return self._end()
        data = event_object(event.data, _SITE)
        refused = refusal_in(data)
        if refused:
            if _number(refused.code) != _WITHHELD:
                raise refused
            self._reason = "content_filter"
            return self._end()
        return self._frame(data) if "header" in data else self._event(data)

    def finish(self) -> Sequence[Chunk]:
        if not self.ended:
            raise cut_short(_SITE)
        return ()

    def _frame(self, data: JsonObject) -> list[Chunk]:
        payload = data.get("payload") or {}
        choices = payload.get("choices") or {}
        self._usage = (payload.get("usage") or {}).get("text") or self._usage
        self._identify(data["header"].get("sid"))
        chunks = [chunk for text in choices.get("text") or () for chunk in self._pieces(text)]
        last = _LAST in {data["header"].get("status"), choices.get("status")}
        return chunks + self._end() if last else chunks

    def _event(self, data: JsonObject) -> list[Chunk]:
        self._usage = data.get("usage") or self._usage
        self._identify(data.get("sid"))
        chunks: list[Chunk] = []
        for choice in data.get("choices") or ():
            self._reason = choice.get("finish_reason") or self._reason
            chunks += self._pieces(choice.get("delta") or {})
        return chunks

    def _identify(self, sid: Any) -> None:
        if isinstance(sid, str) and sid:
            self._chunks.identify(sid)

    def _pieces(self, delta: JsonObject) -> list[Chunk]:
        fields = {name: delta[name] for name in ("reasoning_content", "content") if delta.get(name)}
        calls = _calls(delta.get("tool_calls"), self._chat, self._calls)
        if calls:
            fields["tool_calls"] = [{"index": self._calls + place, **call} for place, call in enumerate(calls)]
            self._calls += len(calls)
        return [self._chunks.delta(**fields)] if fields else []

    def _end(self) -> list[Chunk]:
        self.ended = True
        chunks = [self._chunks.finish(self._reason or ("tool_calls" if self._calls else "stop"))]
        asked, answered = self._usage.get("prompt_tokens"), self._usage.get("completion_tokens")
        if isinstance(asked, int) and isinstance(answered, int):
            chunks.append(self._chunks.usage(asked, answered))
        return chunks


def _number(code: Any) -> int:
    """A code as a number; 0 for success and for what is none."""
    return int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdigit()) else 0


def _calls(given: Any, chat: ChatCall, before: int = 0) -> list[JsonObject]:
    """Tool calls as OpenAI has them: Spark sends each whole, at times one object for a list and without an id."""
    calls = [given] if isinstance(given, dict) else given or []
    return [
        {
            "id": call.get("id") or f"call_{chat.completion_id.removeprefix('chatcmpl-')}_{before + place}",
            "type": "function",
            "function": {"name": call["function"]["name"], "arguments": call["function"].get("arguments", "")},
        }
        for place, call in enumerate(calls)
    ]
