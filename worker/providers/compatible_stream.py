"""Answers in OpenAI's shape: passed on as they came, and put right only where a clone departs from OpenAI's own form.

The departures, each seen in the wild: finish reasons "" and "null"; the role in every delta, or in none; usage in the
last content chunk or inside its choice; tool calls without an index or without an id; `reasoning` for
`reasoning_content`; content as a list of typed parts; empty ids and a different id per chunk.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import cut_short
from worker.providers.compatible_alike import Likeness
from worker.providers.compatible_message import tidy_message, tidy_usage
from worker.providers.contract import ChatCall, Chunk, Event, JsonObject

_OBJECT: Final = "chat.completion.chunk"
_NO_REASON: Final = frozenset({"", "null"})
_FRAME: Final = ("id", "object", "created", "model", "service_tier", "system_fingerprint")

FINISH_REASONS: Final[Mapping[str, str]] = {
    "eos": "stop",
    "stop_sequence": "stop",
    "normal": "stop",
    "tool_call": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "sensitive": "content_filter",
}
"""What clones say, as OpenAI says it. A reason that is in neither list passes unchanged."""

FAILURES: Final = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
"""Finish reasons by which a clone says that it failed."""

Classify = Callable[[Any], UpstreamError]


class ChunkMapper:
    """The stream mapper of every OpenAI-shaped upstream. `classify` turns a parsed error event into an UpstreamError.

    With `model` or `completion_id` every chunk shows these instead of the upstream's own.
    """

    def __init__(
        self, chat: ChatCall, classify: Classify, *, model: str | None = None, completion_id: str | None = None
    ) -> None:
        self.ended = False
        self._chat = chat
        self._classify = classify
        self._model = model
        self._id = completion_id
        self._roles: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, ToolCalls] = {}
        self._usage: Chunk | None = None
        self._likeness = Likeness()
        self._frame: JsonObject = {}

    def feed(self, event: Event) -> Sequence[Chunk]:
        data = event.data
        if data == b"[DONE]":
            self.ended = True
            return self.finish()
        text = self._likeness.text_of(data)
        if text is not None and event.name != "error":
            return (Chunk(None, b"data: %b\n\n" % data, text),)
        if not data or data.isspace():
            return ()
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream sent an event that is not valid JSON.") from error
        if chunk.__class__ is not dict or event.name == "error" or chunk.get("error") is not None:
            return self._give_up(chunk)
        choices = chunk.get("choices")
        if choices.__class__ is not list:
            if chunk.get("usage") is None:
                return self._give_up(chunk)
            choices = chunk["choices"] = []
        usage = chunk.get("usage")
        if not choices and usage is None:
            return ()  # Azure's filter results of the prompt, and keep-alives of others
        changed = self._tidy_frame(chunk) or b"\n" in data or b"\r" in data
        for choice in choices:
            changed = self._tidy_choice(choice, chunk) or changed
        if usage is not None:
            if not choices and not changed and tidy_usage(usage) == usage:
                self._usage = Chunk(chunk, b"data: " + data + b"\n\n")
                return ()
            self._keep_usage(chunk, chunk.pop("usage"))
            changed = True
        if not changed:
            self._likeness.learn(data, chunk)
            return (Chunk(chunk, b"data: %b\n\n" % data),)
        self._likeness.forget()
        chunk["choices"] = [choice for choice in choices if choice]
        return (Chunk(chunk),) if chunk["choices"] else ()

    def finish(self) -> Sequence[Chunk]:
        if not self._finished or not self._roles <= self._finished:
            raise cut_short("The upstream")
        usage, self._usage = self._usage, None
        return () if usage is None else (usage,)

    def _give_up(self, complaint: Any) -> Sequence[Chunk]:
        """Raises what an event complains of; but where moderation stops an answer that has begun, what was said until
        then stands, and the filter is the reason why there is no more.
        """
        error = self._classify(complaint)
        begun = sorted(self._roles - self._finished)
        if error.fault is not Fault.CONTENT_FILTERED or not begun:
            raise error
        self.ended = True
        self._finished.update(begun)
        choices = [{"index": index, "delta": {}, "finish_reason": "content_filter"} for index in begun]
        return [Chunk({**self._frame, "choices": choices}), *self.finish()]

    def _tidy_frame(self, chunk: JsonObject) -> bool:
        """Makes id, object, created and model what OpenAI's are; True if that changed anything."""
        changed = False
        own = chunk.get("id")
        if own != self._id:
            self._id = chunk["id"] = self._id or own or self._chat.completion_id
            changed = own != self._id
        if chunk.get("object") != _OBJECT:
            chunk["object"], changed = _OBJECT, True
        if not chunk.get("created"):
            chunk["created"], changed = self._chat.created, True
        model = chunk.get("model")
        if not model or (self._model is not None and model != self._model):
            chunk["model"], changed = self._model or self._chat.model, True
        if not self._frame:
            self._frame = _frame_of(chunk)
        return changed

    def _tidy_choice(self, choice: Any, chunk: JsonObject) -> bool:
        """Puts one choice right; True if that changed it. A choice that says nothing is emptied."""
        if choice.__class__ is not dict:
            raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream sent a choice that is no JSON object.")
        changed = False
        index = choice.get("index")
        if index is None:
            choice["index"], changed = 0, True
            index = 0
        delta = choice.get("delta")
        if delta is None:
            delta, changed = choice.pop("message", None) or {}, True
            choice["delta"] = delta
        if index not in self._roles:
            self._roles.add(index)
            if delta.get("role") != "assistant":
                choice["delta"] = delta = {**delta, "role": "assistant"}
                changed = True
        elif "role" in delta:
            del delta["role"]
            changed = True
        if "tool_calls" in delta or "reasoning" in delta or delta.get("content").__class__ is list:
            changed = self._tidy_delta(index, delta) or changed
        reason = choice.get("finish_reason")
        if reason is not None or index in self._finished or "finish_reason" not in choice:
            changed = self._tidy_reason(choice, index, reason) or changed
        if "usage" in choice:
            changed = self._salvage_usage(choice, chunk) or changed
        return changed

    def _tidy_delta(self, index: int, delta: JsonObject) -> bool:
        calls = delta.get("tool_calls")
        changed = tidy_message(delta)
        if calls:
            numbering = self._calls.setdefault(index, ToolCalls(self._chat.completion_id))
            for call in calls:
                changed = numbering.tidy(call) or changed
        return changed

    def _tidy_reason(self, choice: JsonObject, index: int, reason: Any) -> bool:
        said = None if reason in _NO_REASON else reason
        if said in FAILURES:
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"The upstream broke its answer off with {said!r}.")
        told = FINISH_REASONS.get(said, said) if isinstance(said, str) else None
        if index in self._finished:
            told = None
            if not any(choice["delta"].values()):
                choice.clear()
                return True
        elif told is not None:
            self._finished.add(index)
        changed = told != reason or "finish_reason" not in choice
        choice["finish_reason"] = told
        return changed

    def _salvage_usage(self, choice: JsonObject, chunk: JsonObject) -> bool:
        """Moonshot's older models put usage inside the last choice."""
        usage = choice.pop("usage", None)
        if usage:
            self._keep_usage(chunk, usage)
        return bool(usage)

    def _keep_usage(self, chunk: JsonObject, usage: JsonObject) -> None:
        """Keeps the usage of a chunk with choices for OpenAI's own last chunk; the last one told counts."""
        self._usage = Chunk({**_frame_of(chunk), "choices": [], "usage": tidy_usage(usage)})


def _frame_of(chunk: JsonObject) -> JsonObject:
    return {name: chunk[name] for name in _FRAME if name in chunk}


class ToolCalls:
    """Gives the tool calls of one choice their index and id where the upstream left them out."""

    def __init__(self, completion_id: str) -> None:
        self._completion_id = completion_id
        self._ids: list[str] = []
        self._places: dict[int, int] = {}

    def tidy(self, call: JsonObject) -> bool:
        """True if the call was changed. Its `index` counts from 0; only the first piece of a call has an id."""
        index, name = call.get("index"), call.get("id")
        place = self._place(index, name, new=bool((call.get("function") or {}).get("name")))
        changed = place != index
        call["index"] = place
        if place == len(self._ids):
            self._ids.append(name or call_id(self._completion_id, place))
            changed = changed or not name or call.get("type") != "function"
            call["id"] = self._ids[place]
            call.setdefault("type", "function")
        elif "id" in call:
            # Repeated in each piece, or empty: a client that adds pieces up would add the name up too.
            del call["id"]
            call.pop("type", None)
            (call.get("function") or {}).pop("name", None)
            changed = True
        return changed

    def _place(self, index: int | None, name: str | None, *, new: bool) -> int:
        """Our index of a piece: a new one for a new id, for a first piece without id, or for a new index."""
        if name:
            if name in self._ids:
                return self._ids.index(name)
        elif index is None and (not new or not self._ids):
            return max(0, len(self._ids) - 1)
        elif index is not None and index in self._places:
            return self._places[index]
        place = len(self._ids)
        if index is not None:
            self._places[index] = place
        return place


def call_id(completion_id: str, index: int) -> str:
    """The id of a tool call whose upstream gives none: the same streamed or whole."""
    return f"call_{completion_id.removeprefix('chatcmpl-')}_{index}"
