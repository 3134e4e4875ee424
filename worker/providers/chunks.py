"""Writes the chunks of an answer whose upstream does not speak OpenAI's dialect."""

from typing import Any

from worker.providers.contract import ChatCall, Chunk, JsonObject

_TEXTS = ("content", "reasoning_content")


class ChunkWriter:
    """The `chat.completion.chunk`s of one answer: one id, one model, the role once and in front of each choice."""

    def __init__(self, chat: ChatCall) -> None:
        self._frame: JsonObject = {
            "id": chat.completion_id,
            "object": "chat.completion.chunk",
            "created": chat.created,
            "model": chat.model,
        }
        self._choices: set[int] = set()

    @property
    def began(self) -> bool:
        return bool(self._choices)

    def identify(self, completion_id: str, model: str | None = None) -> None:
        """Takes the upstream's own id, and the model that it says answers, if nothing was written under another one."""
        if not self.began:
            self._frame["id"] = completion_id
            self._frame["model"] = model or self._frame["model"]

    def delta(self, *, index: int = 0, **fields: Any) -> Chunk:
        """A chunk of choice `index` with `content`, `reasoning_content`, ... Raises TypeError for text that is none."""
        for name in _TEXTS:
            if fields.get(name, "").__class__ is not str:
                raise TypeError(name)
        return self._choice(index, fields, None)

    def finish(self, reason: str, *, index: int = 0) -> Chunk:
        """The chunk that carries OpenAI's finish reason."""
        return self._choice(index, {}, reason)

    def usage(self, prompt_tokens: int, completion_tokens: int, **details: Any) -> Chunk:
        """The last chunk, with usage and no choice."""
        counts = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        return Chunk({**self._frame, "choices": [], "usage": {**counts, **details}})

    def _choice(self, index: int, delta: JsonObject, reason: str | None) -> Chunk:
        if index not in self._choices:
            self._choices.add(index)
            delta = {"role": "assistant", **delta}
        return Chunk({**self._frame, "choices": [{"index": index, "delta": delta, "finish_reason": reason}]})
