"""DashScope's native answers: whole, and as events that carry pieces of messages and the usage so far."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import cut_short
from worker.providers.chunks import ChunkWriter
from worker.providers.compatible import Shown
from worker.providers.compatible_complaint import read_complaint
from worker.providers.compatible_errors import CODES as OPENAI_CODES
from worker.providers.compatible_errors import upstream_error
from worker.providers.compatible_status import SUCCESS
from worker.providers.compatible_stream import ToolCalls, call_id
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject

CODES: Final[Mapping[str, Fault]] = {
    **OPENAI_CODES,
    "InvalidApiKey": Fault.CREDENTIAL_REJECTED,
    "AccessDenied": Fault.PERMISSION_DENIED,
    "Model.AccessDenied": Fault.PERMISSION_DENIED,
    "Workspace.AccessDenied": Fault.PERMISSION_DENIED,
    "Endpoint.AccessDenied": Fault.PERMISSION_DENIED,
    "Arrearage": Fault.QUOTA_EXHAUSTED,
    "AllocationQuota": Fault.QUOTA_EXHAUSTED,
    "Throttling.AllocationQuota": Fault.QUOTA_EXHAUSTED,
    "Throttling": Fault.RATE_LIMITED,
    "limit_requests": Fault.RATE_LIMITED,
    "limit_burst_rate": Fault.RATE_LIMITED,
    "DataInspectionFailed": Fault.CONTENT_FILTERED,
    "data_inspection_failed": Fault.CONTENT_FILTERED,
    "ModelNotFound": Fault.MODEL_NOT_FOUND,
    "model_not_supported": Fault.MODEL_NOT_FOUND,
    "WorkSpaceNotFound": Fault.MODEL_NOT_FOUND,
    "InternalError": Fault.UPSTREAM_FAULT,
    "RequestTimeOut": Fault.TIMED_OUT,
    "ModelServingError": Fault.OVERLOADED,
    "ModelUnavailable": Fault.OVERLOADED,
}
_PER_MINUTE: Final = ("per minute", "token-limit", "tpm", "rate limit")
_BAD_REQUEST: Final = 400


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """A 429 that speaks of tokens per minute is a rate, any other exhausted allocation a quota. Native events and
    answers have status 200, so what begins like a bad request is taken for one.
    """
    complaint = read_complaint(body)
    if complaint and status in SUCCESS and (complaint.code or "").startswith(("Invalid", "BadRequest")):
        status = _BAD_REQUEST
    error = upstream_error(status, headers, body, CODES)
    allocation = complaint and complaint.code in {"Throttling.AllocationQuota", "insufficient_quota"}
    if complaint and allocation and any(words in complaint.message.lower() for words in _PER_MINUTE):
        error.fault = Fault.RATE_LIMITED
    return error


def whole_answer(chat: ChatCall, body: bytes, instead: Shown) -> JsonObject:
    """A `chat.completion`. Raises UpstreamError for a body that is none or that was not finished."""
    data = _loaded(body)
    choices = [_choice(choice, place, chat) for place, choice in enumerate(_choices(data))]
    answer = {
        "id": instead.completion_id or _id(data, chat),
        "object": "chat.completion",
        "created": chat.created,
        "model": instead.model or chat.model,
        "choices": choices,
    }
    if data.get("usage"):
        answer["usage"] = usage_of(data["usage"])
    if data["output"].get("search_info"):
        answer["search_info"] = data["output"]["search_info"]
    return answer


def _choice(choice: Mapping[str, Any], place: int, chat: ChatCall) -> JsonObject:
    message, reason = choice.get("message"), _reason(choice)
    if not isinstance(message, dict) or reason is None:
        raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's answer is not finished: it was cut off.")
    answer: JsonObject = {"role": "assistant", "content": _text(message)}
    if message.get("reasoning_content"):
        answer["reasoning_content"] = message["reasoning_content"]
    if message.get("tool_calls"):
        answer["content"] = answer["content"] or None
        answer["tool_calls"] = [
            {"id": call.get("id") or call_id(chat.completion_id, n), "type": "function", "function": call["function"]}
            for n, call in enumerate(message["tool_calls"])
        ]
    told_choice = {"index": choice.get("index", place), "message": answer, "finish_reason": reason}
    return {**told_choice, "logprobs": choice["logprobs"]} if choice.get("logprobs") else told_choice


class NativeMapper:
    """Maps native events. The end of the body, after every choice has its finish reason, is the only end marker."""

    def __init__(self, chat: ChatCall, instead: Shown) -> None:
        self.ended = False
        self._chat = chat
        self._instead = instead
        self._writer = ChunkWriter(chat)
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, ToolCalls] = {}
        self._usage: JsonObject | None = None

    def feed(self, event: Event) -> Sequence[Chunk]:
        try:
            data = _loaded(event.data, failed=event.name == "error")
        except UpstreamError as error:
            # What was said until then stands; the filter is the reason why there is no more.
            if error.fault is not Fault.CONTENT_FILTERED or not self._open:
                raise
            self.ended = True
            return [*(self._finish("content_filter", index) for index in sorted(self._open)), *self.finish()]
        self._writer.identify(self._instead.completion_id or _id(data, self._chat), self._instead.model)
        if data.get("usage"):
            self._usage = usage_of(data["usage"])
        chunks: list[Chunk] = []
        for place, choice in enumerate(_choices(data)):
            chunks += self._pieces(choice, choice.get("index", place))
        if data["output"].get("search_info") and chunks:
            chunks[0].data["search_info"] = data["output"]["search_info"]
        return chunks

    def finish(self) -> Sequence[Chunk]:
        if self._open or not self._finished:
            raise cut_short("The upstream")
        self.ended = True
        if self._usage is None:
            return ()
        return (self._writer.usage(**self._usage),)

    def _pieces(self, choice: Mapping[str, Any], index: int) -> list[Chunk]:
        if index in self._finished:
            return []
        message = choice.get("message") or {}
        if not isinstance(message, dict):
            raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream sent a message that is no JSON object.")
        fields = {
            "reasoning_content": message.get("reasoning_content"),
            "content": _text(message),
            "tool_calls": self._tidied(message.get("tool_calls"), index),
        }
        said = {name: value for name, value in fields.items() if value}
        chunks = []
        if said or index not in self._open:
            self._open.add(index)
            chunks.append(self._writer.delta(index=index, **(said or {"content": ""})))
            if choice.get("logprobs"):
                chunks[0].data["choices"][0]["logprobs"] = choice["logprobs"]
        reason = _reason(choice)
        return chunks if reason is None else [*chunks, self._finish(reason, index)]

    def _finish(self, reason: str, index: int) -> Chunk:
        self._open.discard(index)
        self._finished.add(index)
        return self._writer.finish(reason, index=index)

    def _tidied(self, calls: Sequence[JsonObject] | None, index: int) -> list[JsonObject]:
        numbering = self._calls.setdefault(index, ToolCalls(self._chat.completion_id))
        for call in calls or ():
            numbering.tidy(call)
        return list(calls or ())


def usage_of(usage: Mapping[str, Any]) -> JsonObject:
    """OpenAI's names for the counters; details that OpenAI has too are kept."""
    prompt, completion = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    counted: JsonObject = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": usage.get("total_tokens") or prompt + completion,
    }
    of_prompt = {**(usage.get("input_tokens_details") or {}), **(usage.get("prompt_tokens_details") or {})}
    if of_prompt:
        counted["prompt_tokens_details"] = of_prompt
    if usage.get("output_tokens_details"):
        counted["completion_tokens_details"] = usage["output_tokens_details"]
    return counted


def _loaded(body: bytes, *, failed: bool = False) -> JsonObject:
    """The answer's JSON. Raises the UpstreamError that it tells of, if it is none."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's answer is not valid JSON.") from error
    if failed or not isinstance(data, dict) or data.get("code") or not isinstance(data.get("output"), dict):
        raise error_of(200, {}, body)
    return data


def _choices(data: JsonObject) -> list[Any]:
    """`output.choices`, or the older `output.text` as one choice."""
    output = data["output"]
    choices = output.get("choices")
    if choices is None and output.get("text") is not None:
        choices = [{"message": {"content": output["text"]}, "finish_reason": output.get("finish_reason")}]
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's answer has no choices.")
    return choices


def _reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return None if reason in {None, "", "null"} else str(reason)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _id(data: Mapping[str, Any], chat: ChatCall) -> str:
    request_id = data.get("request_id")
    return f"chatcmpl-{request_id}" if request_id else chat.completion_id
