"""What chat.qwen.ai answers: its stream events and its refusals, which come with status 200.

Sources: WenChunTech/OpenAICompatible `src/model/qwen/`; public clients of 2026, by which `summary_thought` holds the
whole of the thinking so far in each event, not a piece of it, while `content` is incremental.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import cut_short, event_object
from worker.providers.chunks import ChunkWriter
from worker.providers.compatible_errors import quote
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject
from worker.providers.sessions import challenge, is_challenge

SITE = "chat.qwen.ai"
_ANSWER = frozenset({"answer", None, ""})
_HOUR_S = 3600
_CODES = {
    "RateLimited": Fault.RATE_LIMITED,
    "Unauthorized": Fault.CREDENTIAL_REJECTED,
    "CHAT_NOT_FOUND": Fault.UPSTREAM_FAULT,
    "RequestValidationError": Fault.UPSTREAM_FAULT,  # the site's protocol changed; no caller can mend that
    "Bad_Request": Fault.INVALID_REQUEST,
    "data_inspection_failed": Fault.CONTENT_FILTERED,  # as at DashScope
    "DataInspectionFailed": Fault.CONTENT_FILTERED,
}


def refusal_in(data: JsonObject) -> UpstreamError | None:
    """The error that an answer or an event holds, None if it holds none."""
    if isinstance(data.get("ret"), list):  # the risk engine's form, with its page's address in data.url
        return challenge(SITE)
    if data.get("success") is not False and not isinstance(data.get("error"), dict):
        return None
    told = data.get("data") if isinstance(data.get("data"), dict) else data.get("error")
    told = told if isinstance(told, dict) else data
    code = str(told.get("code"))
    said = str(told.get("details") or told.get("message") or data.get("message") or code)
    fault = _CODES.get(code, Fault.UPSTREAM_FAULT)
    if code == "Bad_Request" and "in progress" in said:  # the only sign that a chat is busy
        fault = Fault.RATE_LIMITED
    if code == "Not_Found" or "not exist" in said:  # a chat that is gone is made anew by another attempt
        fault = Fault.UPSTREAM_FAULT if "chat" in said.lower() else Fault.MODEL_NOT_FOUND
    hours = told.get("num")
    wait_s = float(hours * _HOUR_S) if code == "RateLimited" and isinstance(hours, int | float) else None
    return UpstreamError(fault, f"{SITE}: {quote(said)}", code=code, retry_after_s=wait_s)


class QwenWebMapper:
    """Phases: `think` and `thinking_summary` are reasoning, `answer` (or none) the answer; site tools are left out."""

    def __init__(self, chat: ChatCall) -> None:
        self._chunks = ChunkWriter(chat)
        self._thought = ""
        self._usage: JsonObject = {}
        self._finished = False
        self.ended = False

    def feed(self, event: Event) -> Sequence[Chunk]:
        if event.data == b"[DONE]":
            return self._end() if self._finished else ()
        if b'"choices"' not in event.data and is_challenge(HTTPStatus.OK, {}, event.data):
            raise challenge(SITE)
        data = event_object(event.data, SITE)
        refused = refusal_in(data)
        if refused:
            raise refused
        if isinstance(data.get("usage"), dict):
            self._usage = data["usage"]
        match data:
            case {"response.created": {"response_id": str(response_id)}}:
                self._chunks.identify(f"chatcmpl-{response_id}")
        return [chunk for choice in data.get("choices") or () for chunk in self._choice(choice.get("delta") or {})]

    def finish(self) -> Sequence[Chunk]:
        if self.ended:
            return ()
        if not self._finished:
            raise cut_short(SITE)
        return self._end()

    def _choice(self, delta: JsonObject) -> list[Chunk]:
        phase, status, text = delta.get("phase"), delta.get("status"), delta.get("content")
        if status == "error":
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"{SITE} reports an error inside its answer.")
        chunks: list[Chunk] = []
        if phase == "thinking_summary":
            text = self._new_thought(delta)
        if text and phase in {"think", "thinking_summary"}:
            chunks.append(self._chunks.delta(reasoning_content=text))
        elif text and phase in _ANSWER:
            chunks.append(self._chunks.delta(content=text))
        if phase in _ANSWER and status == "finished":
            self._finished = True
        return chunks

    def _new_thought(self, delta: JsonObject) -> Any:
        """What `summary_thought` says beyond the last event's; an event without one has its piece in `content`."""
        match delta:
            case {"extra": {"summary_thought": {"content": list(thoughts)}}}:
                thought = "\n\n".join(str(part) for part in thoughts if part)
            case _:
                return delta.get("content")
        if not thought.startswith(self._thought):
            return ""
        fresh, self._thought = thought[len(self._thought) :], thought
        return fresh

    def _end(self) -> list[Chunk]:
        self.ended = True
        chunks = [self._chunks.finish("stop")]
        asked, answered = self._usage.get("input_tokens"), self._usage.get("output_tokens")
        if isinstance(asked, int) and isinstance(answered, int):
            thinking = (self._usage.get("output_tokens_details") or {}).get("reasoning_tokens")
            details = {"completion_tokens_details": {"reasoning_tokens": thinking}} if thinking is not None else {}
            chunks.append(self._chunks.usage(asked, answered, **details))
        return chunks
