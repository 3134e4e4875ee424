"""Gemini's answers, whole and streamed, as chat completions.

A whole answer has the shape of a stream's only event, so both are read by one mapper. There is no end marker: an answer
is whole when every candidate has its finish reason and the body ended cleanly; finish reasons are told only then,
because Gemini has been seen to send more parts after them.

What stops an answer half-way without the model's or the client's will (RECITATION, LANGUAGE, OTHER, ...) is OpenAI's
"content_filter", never "stop": the answer is not complete. A malformed function call is no answer at all.

Thought signatures go out where Google's own OpenAI endpoint has them: `extra_content.google.thought_signature`.
Generated images are data URLs in `images`, as OpenRouter has them, since OpenAI has no place for them in a message.

Source: Candidate, Part, FinishReason, GenerateContentResponseUsageMetadata of the google-genai package 3.4.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from worker.faults import Fault, UpstreamError
from worker.joining import join
from worker.providers.bodies import cut_short, parsed
from worker.providers.chunks import ChunkWriter
from worker.providers.compatible_stream import call_id
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject
from worker.providers.gemini_errors import told

_REASONS: Final[Mapping[str, str]] = {"STOP": "stop", "MAX_TOKENS": "length"}
_UNSET: Final = "FINISH_REASON_UNSPECIFIED"
_NO_ANSWER: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    }
)  # fmt: skip
_MODALITIES: Final[Mapping[str, str]] = {"TEXT": "text_tokens", "IMAGE": "image_tokens", "AUDIO": "audio_tokens"}


def parse_answer(chat: ChatCall, body: bytes, upstream: str, *, wrapped: bool = False) -> JsonObject:
    """A whole answer as a `chat.completion`. Raises UpstreamError."""
    mapper = GenerateMapper(chat, upstream, wrapped=wrapped)
    chunks = [*mapper.feed(Event(body)), *mapper.finish()]
    return join(chunks)


class GenerateMapper:
    """The frames of one answer; `wrapped` ones stand in a member `response`, as Code Assist has them."""

    def __init__(self, chat: ChatCall, upstream: str, *, wrapped: bool = False) -> None:
        self.ended = False
        self._upstream = upstream
        self._wrapped = wrapped
        self._completion_id = chat.completion_id
        self._chunks = ChunkWriter(chat)
        self._candidates: dict[int, _Candidate] = {}
        self._usage: JsonObject = {}

    def feed(self, event: Event) -> Sequence[Chunk]:
        data = parsed(event.data)
        if not isinstance(data, dict) or "error" in data:
            raise told(data, 200, self._upstream)
        if self._wrapped:
            data = data.get("response") or {}
        try:
            return self._frame(data)
        except (KeyError, TypeError, AttributeError):
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"{self._upstream} sent an event that is not valid.") from None

    def finish(self) -> Sequence[Chunk]:
        candidates = self._candidates
        if not candidates or any(candidate.reason is None for candidate in candidates.values()):
            raise cut_short(self._upstream)
        self.ended = True  # there is no other end marker than the end of the body
        chunks = [
            self._chunks.finish(candidate.finish_reason, index=index) for index, candidate in sorted(candidates.items())
        ]
        if self._usage:
            prompt, completed, details = _counts(self._usage)
            chunks.append(self._chunks.usage(prompt, completed, **details))
        return chunks

    def _frame(self, data: Mapping[str, Any]) -> list[Chunk]:
        if not self._chunks.began and data.get("responseId"):
            self._chunks.identify(data["responseId"], data.get("modelVersion"))
        usage = data.get("usageMetadata")
        if usage:
            self._usage = usage
        candidates = data.get("candidates")
        if not candidates:
            self._check(data.get("promptFeedback") or {})
            return []
        chunks: list[Chunk] = []
        for found in candidates:
            index = found.get("index") or 0
            candidate = self._candidates.get(index)
            if candidate is None:
                candidate = self._candidates[index] = _Candidate(index, self._completion_id)
            for part in (found.get("content") or {}).get("parts") or ():
                delta = candidate.delta(part)
                if delta:
                    chunks.append(self._chunks.delta(index=index, **delta))
            self._note(found, candidate, chunks)
        return chunks

    def _note(self, found: Mapping[str, Any], candidate: "_Candidate", chunks: list[Chunk]) -> None:
        reason = found.get("finishReason")
        if reason in _NO_ANSWER:
            raise UpstreamError(
                Fault.UPSTREAM_FAULT, f"{self._upstream} gave up its answer: {reason}. Another attempt may succeed."
            )
        if reason and reason != _UNSET:
            candidate.reason = reason
        if found.get("logprobsResult"):
            if not chunks or chunks[-1].data["choices"][0]["index"] != candidate.index:
                chunks.append(self._chunks.delta(index=candidate.index))
            chunks[-1].data["choices"][0]["logprobs"] = {"content": _logprobs(found["logprobsResult"]), "refusal": None}

    def _check(self, feedback: Mapping[str, Any]) -> None:
        reason = feedback.get("blockReason")
        if reason and not self._candidates:
            raise UpstreamError(
                Fault.CONTENT_FILTERED, f"{self._upstream} blocked the prompt ({reason}). Change it and try again."
            )


class _Candidate:
    def __init__(self, index: int, completion_id: str) -> None:
        self.index = index
        self.reason: str | None = None
        self._completion_id = completion_id if index == 0 else f"{completion_id}_{index}"
        self._calls = 0

    @property
    def finish_reason(self) -> str:
        if self.reason == "STOP" and self._calls:
            return "tool_calls"
        return _REASONS.get(self.reason or "", "content_filter")

    def delta(self, part: Mapping[str, Any]) -> JsonObject:
        """The delta that a part makes, empty for one that says nothing to an OpenAI client."""
        signature = part.get("thoughtSignature")
        call = part.get("functionCall")
        if call is not None:
            return {"tool_calls": [self._call(call, signature)]}
        delta: JsonObject = {}
        text = part.get("text")
        if text:
            delta["reasoning_content" if part.get("thought") else "content"] = text
        image = part.get("inlineData")
        if image and not part.get("thought"):
            url = f"data:{image['mimeType']};base64,{image['data']}"
            delta["images"] = [{"type": "image_url", "image_url": {"url": url}}]
        if signature:
            delta["extra_content"] = {"google": {"thought_signature": signature}}
        return delta

    def _call(self, call: Mapping[str, Any], signature: str | None) -> JsonObject:
        place, self._calls = self._calls, self._calls + 1
        told_call: JsonObject = {
            "index": place,
            "id": call.get("id") or call_id(self._completion_id, place),
            "type": "function",
            "function": {"name": call["name"], "arguments": orjson.dumps(call.get("args") or {}).decode()},
        }
        if signature:
            told_call["extra_content"] = {"google": {"thought_signature": signature}}
        return told_call


def _counts(usage: Mapping[str, Any]) -> tuple[int, int, JsonObject]:
    """Prompt and completion tokens, thoughts among the latter, and the details."""
    thoughts = usage.get("thoughtsTokenCount") or 0
    prompt = (usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0)
    completed = (usage.get("candidatesTokenCount") or 0) + thoughts
    cached = usage.get("cachedContentTokenCount") or 0
    details = {
        "prompt_tokens_details": {"cached_tokens": cached, **_modalities(usage.get("promptTokensDetails"))},
        "completion_tokens_details": {
            "reasoning_tokens": thoughts,
            **_modalities(usage.get("candidatesTokensDetails")),
        },
    }
    return prompt, completed, details


def _modalities(counts: Any) -> JsonObject:
    return {
        _MODALITIES[count["modality"]]: count.get("tokenCount") or 0
        for count in counts or ()
        if count.get("modality") in _MODALITIES
    }


def _logprobs(result: Mapping[str, Any]) -> list[JsonObject]:
    chosen, top = result.get("chosenCandidates") or [], result.get("topCandidates") or []
    tokens = []
    for place, token in enumerate(chosen):
        others = top[place].get("candidates") or () if place < len(top) else ()
        tokens.append({**_logprob(token), "top_logprobs": [_logprob(other) for other in others]})
    return tokens


def _logprob(token: Mapping[str, Any]) -> JsonObject:
    text = token.get("token") or ""
    return {"token": text, "logprob": token.get("logProbability") or 0.0, "bytes": list(text.encode())}
