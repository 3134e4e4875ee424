"""What claude.ai answers: its stream events and its errors.

Source: the web client's bundle of March 2026 as published by third parties. Thinking summaries are left out: the site
shows them as headings beside thinking that streams in full. A `message_limit` event is no refusal in itself, contrary
to what circulates: it comes with complete answers too, when a limit is near or was reached by this very answer.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import cut_short, event_object, json_object
from worker.providers.chunks import ChunkWriter
from worker.providers.compatible_errors import moment, quote
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject

SITE = "claude.ai"
_REFUSED_LIMITS = frozenset({"exceeded_limit", "over_limit"})
_FINISH_REASONS = {
    "max_tokens": "length",
    "max_conversation_length": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "cyber_refusal": "content_filter",
    "prompt_injection_risk": "content_filter",
}
_BROKEN_OFF = frozenset({"error", "user_canceled"})
_ERROR_TYPES = {
    "overloaded_error": Fault.OVERLOADED,
    "rate_limit_error": Fault.QUOTA_EXHAUSTED,  # the plan's hours, not a rate per minute
    "authentication_error": Fault.CREDENTIAL_REJECTED,
    "invalid_request_error": Fault.INVALID_REQUEST,
    "request_too_large": Fault.CONTEXT_TOO_LONG,
    "not_found_error": Fault.UPSTREAM_FAULT,  # the conversation is gone; another attempt makes a new one
    "api_error": Fault.UPSTREAM_FAULT,
}


def site_error(error: JsonObject, status: int, now: float | None, retry_after_s: float | None = None) -> UpstreamError:
    """`now` (unix time) turns the moment at which a limit ends into a wait; without one that of the headers counts."""
    kind, said = str(error.get("type")), str(error.get("message"))
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    limit = json_object(said.encode())
    if limit.get("type") in _REFUSED_LIMITS:
        return _limit_reached(limit, now, retry_after_s)
    if code == "account_session_invalid" or status == HTTPStatus.UNAUTHORIZED:
        fault = Fault.CREDENTIAL_REJECTED
    elif kind == "permission_error":
        fault = Fault.PERMISSION_DENIED
    else:
        fault = _ERROR_TYPES.get(
            kind, Fault.OVERLOADED if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Fault.UPSTREAM_FAULT
        )
    return UpstreamError(fault, f"{SITE}: {quote(said)}", code=kind, retry_after_s=retry_after_s)


def _limit_reached(limit: JsonObject, now: float | None, retry_after_s: float | None = None) -> UpstreamError:
    ends = limit.get("resetsAt")
    wait_s = max(0.0, float(ends) - now) if isinstance(ends, int | float) and now is not None else retry_after_s
    return UpstreamError(Fault.QUOTA_EXHAUSTED, f"This {SITE} account has used up its plan.", retry_after_s=wait_s)


def unix_time(date: str | None) -> float | None:
    """The site's own clock, from its Date header: providers have none."""
    try:
        return moment(date or "").timestamp()
    except ValueError:
        return None


class ClaudeWebMapper:
    """Events in `rendering_mode` "messages", and the older `completion` event."""

    def __init__(self, chat: ChatCall) -> None:
        self._now = float(chat.created)
        self._chunks = ChunkWriter(chat)
        self._reason: str | None = None
        self._tokens: dict[str, int] = {}
        self.ended = False

    def feed(self, event: Event) -> Sequence[Chunk]:
        data = event_object(event.data, SITE)
        match data.get("type") or event.name or ("completion" if "completion" in data else ""):
            case "message_start":
                self._count(data.get("message"), "input_tokens")  # it has not answered yet, whatever it counts
            case "content_block_start":
                return self._text(data.get("content_block"))
            case "content_block_delta":
                return self._text(data.get("delta"))
            case "message_delta":
                self._count(data, "input_tokens", "output_tokens")
                self._reason = (data.get("delta") or {}).get("stop_reason") or self._reason
            case "message_stop":
                return self._end()
            case "message_limit":
                self._check(data.get("message_limit"))
            case "error":
                raise site_error(data.get("error") or {}, 200, self._now)
            case "completion":
                return self._old(data)
        return ()

    def finish(self) -> Sequence[Chunk]:
        if not self.ended:
            raise cut_short(SITE)
        return ()

    def _text(self, block: Any) -> Sequence[Chunk]:
        """Text and thinking, of a block's start or of a delta; site tools and their results are left out."""
        match block:
            case {"type": "text" | "text_delta", "text": str(text)} if text:
                return (self._chunks.delta(content=text),)
            case {"type": "thinking" | "thinking_delta", "thinking": str(text)} if text:
                return (self._chunks.delta(reasoning_content=text),)
        return ()

    def _old(self, data: JsonObject) -> Sequence[Chunk]:
        self._check(data.get("messageLimit"))
        chunks = [self._chunks.delta(content=data["completion"])] if data.get("completion") else []
        if data.get("stop_reason"):
            self._reason = data["stop_reason"]
            chunks += self._end()
        return chunks

    def _check(self, limit: Any) -> None:
        """A limit that is reached is a refusal only while there is no answer."""
        if isinstance(limit, dict) and limit.get("type") in _REFUSED_LIMITS and not self._chunks.began:
            raise _limit_reached(limit, self._now)

    def _count(self, holder: Any, *names: str) -> None:
        usage = holder.get("usage") if isinstance(holder, dict) else None
        self._tokens |= {
            name: count for name, count in (usage or {}).items() if name in names and isinstance(count, int)
        }

    def _end(self) -> list[Chunk]:
        if self._reason in _BROKEN_OFF:
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"{SITE} broke the answer off ({self._reason}).")
        self.ended = True
        chunks = [self._chunks.finish(_FINISH_REASONS.get(self._reason or "", "stop"))]
        asked, answered = self._tokens.get("input_tokens", 0), self._tokens.get("output_tokens", 0)
        return [*chunks, self._chunks.usage(asked, answered)] if asked and answered else chunks
