"""An estimate of tokens, for upstreams that say nothing about usage.

Counted with GPT-4o's vocabulary, whatever the model: within a tenth for most European text and code, less exact for
others. Such a usage carries `"penstock_estimated": true` beside OpenAI's own members, which SDKs ignore and a person or
a bill can see. The vocabulary is inside the tokenizer's package and is loaded with the first estimate: 0.1 s, 45 MB.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import orjson
from splintr import AnyTokenizer, Tokenizer

from worker.providers.contract import JsonObject

MOST_CHARACTERS: Final = 32_000
"""Of a longer text so much is counted, a few milliseconds at most, and the rest is taken to be alike."""
MARK: Final = "penstock_estimated"
# The overhead of OpenAI's chat format, and a picture of 1024 x 1024 there; source: OpenAI's cookbook and vision guide.
_TOKEN_BYTES = 4.5  # between code and prose
_MESSAGE_TOKENS, _REPLY_TOKENS, _IMAGE_TOKENS = 3, 3, 765
_FRAME = ("id", "object", "created", "model")
_ANSWER_TEXTS = ("content", "reasoning_content", "refusal")


class TextLength:
    """The tokens of a text that comes in pieces; keeps its beginning alone."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._kept_characters = 0
        self._characters = 0

    def add(self, text: str) -> None:
        """Raises TypeError for what an upstream has put in the place of a text."""
        if not isinstance(text, str):
            raise TypeError(type(text))
        self._characters += len(text)
        if self._kept_characters < MOST_CHARACTERS:
            text = text[: MOST_CHARACTERS - self._kept_characters]
            self._kept.append(text)
            self._kept_characters += len(text)

    def tokens(self, *, quick: bool = False) -> int:
        """`quick` divides the bytes instead of counting: no vocabulary is loaded, nothing takes time."""
        if not self._characters:
            return 0
        sample = "".join(self._kept).encode("utf-8", "replace")
        counted = len(sample) / _TOKEN_BYTES if quick else len(_tokenizer().encode_ordinary(sample.decode()))
        return max(1, round(counted * self._characters / self._kept_characters))


class UsageEstimate:
    """The estimated usage of one answer: `hear` each chunk or the whole completion, then `usage` or `chunk`."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._answer = TextLength()
        self._last: Mapping[str, Any] = {}

    def hear(self, data: Mapping[str, Any]) -> None:
        """Takes the text of a `chat.completion.chunk` or `chat.completion`."""
        self._last = data
        for choice in data["choices"]:
            said = choice.get("delta") or choice.get("message") or {}
            if len(said) == 1 and "content" in said:  # nearly every chunk of a stream
                self._answer.add(said["content"] or "")
                continue
            for text in _answer_texts(said):
                self._answer.add(text)

    def say(self, text: str) -> None:
        """Takes the text of a chunk like those that were heard before."""
        self._answer.add(text)

    @property
    def heard(self) -> bool:
        return bool(self._last)

    def usage(self, *, quick: bool = False) -> JsonObject:
        """`{"prompt_tokens", "completion_tokens", "total_tokens", "penstock_estimated": true}`.

        `quick` is for where nobody may wait, as when hundreds of clients hang up at once.
        """
        asked, answered = prompt_tokens(self._body, quick=quick), self._answer.tokens(quick=quick)
        return {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
            MARK: True,
        }

    def chunk(self) -> JsonObject:
        """The last `chat.completion.chunk` of a stream, with the usage and no choice."""
        frame = {name: self._last[name] for name in _FRAME if name in self._last}
        return {**frame, "choices": [], "usage": self.usage()}


def prompt_tokens(body: Mapping[str, Any], *, quick: bool = False) -> int:
    """The estimated tokens of a request: messages, tools and pictures; what is reserved before it is sent."""
    text = TextLength()
    pictures = 0
    for message in body["messages"]:
        for piece in _message_texts(message):
            # The line's end stands for the token of the role, or of the name.
            text.add(f"{piece}\n")
        pictures += _pictures(message.get("content"))
    if body.get("tools"):
        text.add(orjson.dumps(body["tools"]).decode())
    fixed = len(body["messages"]) * _MESSAGE_TOKENS + _REPLY_TOKENS
    return text.tokens(quick=quick) + fixed + pictures * _IMAGE_TOKENS


def _message_texts(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    else:
        yield from (part.get("text") or part.get("refusal") or "" for part in content or ())
    if message.get("name"):
        yield message["name"]
    yield from _called(message)


def _answer_texts(message: Mapping[str, Any]) -> Iterator[str]:
    yield from (message[name] for name in _ANSWER_TEXTS if message.get(name))
    yield from _called(message)


def _called(message: Mapping[str, Any]) -> Iterable[str]:
    """Names and arguments of tool calls, whole or in pieces."""
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield function.get("name") or ""
        yield function.get("arguments") or ""


def _pictures(content: Any) -> int:
    return sum(part.get("type") == "image_url" for part in content) if isinstance(content, list) else 0


@cache
def _tokenizer() -> AnyTokenizer:
    return Tokenizer.from_pretrained("o200k_base")
