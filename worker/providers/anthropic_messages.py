"""OpenAI messages -> Anthropic's `system` and `messages`.

System and developer messages move to `system`, wherever they stand: what Anthropic's own OpenAI endpoint does. All
results of one turn's tool calls come in one user turn, first in its content. A participant's `name` goes in front of
the text, as there is no field for it. An image's `detail: low` is refused, as it has no counterpart.

Thinking: an answer's thinking blocks, signed, are given as the member `thinking_blocks` beside `reasoning_content`; a
client that sends its messages back whole returns them, and then they come first in their turn, unchanged, as the API
demands. They are of use to the model that made them alone, whose name they carry on the way; unsigned reasoning cannot
be sent. `cache_control` of a part, a message or a tool call is passed on; OpenAI's own `prompt_cache_breakpoint` means
the same.

Source: MessageParam and ContentBlockParam of the anthropic package 2.11; platform.claude.com, "Handle tool calls",
"Preserving thinking blocks".
"""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.errors import InvalidRequest
from worker.providers.anthropic_models import traits
from worker.providers.contract import ChatCall, JsonObject
from worker.providers.fields import as_function_call, check_detail, named_parts, refusal
from worker.providers.media import Media, read_media
from worker.providers.toolbox import read_arguments

UPSTREAM: Final = "Anthropic"
_FOREIGN: Final = re.compile(r"[^a-zA-Z0-9_-]")
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_BEGINNING: Final = {"type": "text", "text": "(The conversation begins with the assistant.)"}
_THINKING: Final = frozenset({"thinking", "redacted_thinking"})


class Dialogue:
    """`system` is a text, or blocks where one of them is a cache breakpoint, or empty; `turns` begin with the user."""

    def __init__(self, chat: ChatCall) -> None:
        self._drop = chat.settings.drop_params
        self._model = chat.model
        self._system: list[JsonObject] = []
        self._function_id = ""
        self.turns: list[JsonObject] = []
        for index, message in enumerate(chat.body["messages"]):
            self._add(message, f"messages[{index}]")
        if self.turns and self.turns[-1]["role"] == "assistant" and not traits(chat.model).goes_on:
            self._end_with_user(chat)
        if not self.turns:
            # The API wants a user's turn; a lone system prompt is one.
            self.turns, self._system = _turn("user", self._system), []
        if not self.turns:
            raise InvalidRequest("'messages' has no text. Send a message with content.", param="messages")
        if self.turns[0]["role"] == "assistant":
            self.turns.insert(0, {"role": "user", "content": [_BEGINNING]})
        _trim_end(self.turns)

    @property
    def system(self) -> str | list[JsonObject]:
        if any("cache_control" in block for block in self._system):
            return self._system
        return "\n\n".join(block["text"] for block in self._system)

    @property
    def called(self) -> list[str]:
        """The names of all functions called so far, each once."""
        blocks = [block for turn in self.turns for block in turn["content"]]
        return list(dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use"))

    @property
    def thought_lost(self) -> bool:
        """True in the middle of a tool loop whose thinking did not come back: it cannot go on thinking."""
        last = next((turn for turn in reversed(self.turns) if turn["role"] == "assistant"), None)
        if last is None or not any(block["type"] == "tool_result" for block in self.turns[-1]["content"]):
            return False
        return last["content"][0]["type"] not in _THINKING

    def _end_with_user(self, chat: ChatCall) -> None:
        if not self._drop:
            last = f"messages[{len(chat.body['messages']) - 1}]"
            raise refusal(last, UPSTREAM, f"{chat.model} answers a user's turn and continues no answer of its own")
        self.turns.pop()

    def _add(self, message: Mapping[str, Any], path: str) -> None:
        match message["role"]:
            case "system" | "developer":
                self._system += self._blocks(message, path)
            case "user":
                self._append("user", self._blocks(message, path))
            case "assistant":
                self._append("assistant", self._said(message, path))
            case "tool":
                self._append("user", [_result(message, call_id(message["tool_call_id"]), self._blocks(message, path))])
            case "function":
                self._append("user", [_result(message, self._function_id, self._blocks(message, path))])

    def _append(self, role: str, blocks: list[JsonObject]) -> None:
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        else:
            self.turns += _turn(role, blocks)

    def _blocks(self, message: Mapping[str, Any], path: str) -> list[JsonObject]:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
        blocks = []
        for index, part in enumerate(parts):
            block = self._block(part, f"{path}.content[{index}]")
            if block is not None:
                blocks.append(_with_cache(block, part))
        if blocks:
            blocks = named_parts(message, blocks, type="text")
            _with_cache(blocks[-1], message)
        return blocks

    def _block(self, part: Mapping[str, Any], path: str) -> JsonObject | None:
        kind = part["type"]
        if kind in {"text", "refusal"}:
            text = part[kind]
            return {"type": "text", "text": text} if text.strip() else None
        try:
            if kind == "image_url":
                check_detail(part, path, upstream=UPSTREAM, drop=self._drop)
            if kind != "input_audio":
                return _media(read_media(part, path, UPSTREAM), path, kind)
            raise refusal(path, UPSTREAM, "it takes no audio")
        except InvalidRequest as error:
            if self._drop and error.code == "unsupported_parameter":
                return None
            raise

    def _said(self, message: Mapping[str, Any], path: str) -> list[JsonObject]:
        thoughts = message.get("thinking_blocks")
        blocks = [*_thoughts(thoughts, self._model)] if isinstance(thoughts, list) else []
        blocks += self._blocks(message, path)
        if message.get("refusal"):
            blocks.append({"type": "text", "text": message["refusal"]})
        if message.get("audio") and not self._drop:
            raise refusal(f"{path}.audio", UPSTREAM, "it takes no audio")
        for index, call in enumerate(message.get("tool_calls") or ()):
            blocks.append(_call(call, f"{path}.tool_calls[{index}]"))
        old = message.get("function_call")
        if old:
            self._function_id = f"function_{len(self.turns)}"
            arguments = read_arguments(old["arguments"], f"{path}.function_call.arguments")
            blocks.append({"type": "tool_use", "id": self._function_id, "name": old["name"], "input": arguments})
        return blocks


def call_id(text: str) -> str:
    """A tool call's id as Anthropic takes it, `^[a-zA-Z0-9_-]+$`: others are rewritten, always in the same way."""
    clean = _FOREIGN.sub("_", text)
    return text if clean == text and text else f"{clean}_{zlib.crc32(text.encode()):08x}"


def cache_control(breakpoint_: Mapping[str, Any]) -> JsonObject:
    """OpenAI's breakpoints live 30 minutes or longer: five minutes are too short for one that names its time."""
    return {"type": "ephemeral", "ttl": "1h"} if breakpoint_.get("ttl") else {"type": "ephemeral"}


def _thoughts(blocks: list[Any], model: str) -> Iterator[JsonObject]:
    for block in blocks:
        match block:
            case {"model": maker} if maker != model:
                continue
            case {"type": "thinking", "thinking": str(text), "signature": str(signature)}:
                yield {"type": "thinking", "thinking": text, "signature": signature}
            case {"type": "redacted_thinking", "data": str(data)}:
                yield {"type": "redacted_thinking", "data": data}


def _with_cache(block: JsonObject, source: Mapping[str, Any]) -> JsonObject:
    if source.get("cache_control"):
        block["cache_control"] = source["cache_control"]
    elif isinstance(source.get("prompt_cache_breakpoint"), dict):
        block["cache_control"] = cache_control(source["prompt_cache_breakpoint"])
    return block


def _turn(role: str, blocks: list[JsonObject]) -> list[JsonObject]:
    return [{"role": role, "content": blocks}] if blocks else []


def _call(call: Mapping[str, Any], path: str) -> JsonObject:
    function = as_function_call(call)["function"]
    name, arguments = function["name"], read_arguments(function["arguments"], f"{path}.function.arguments")
    return _with_cache({"type": "tool_use", "id": call_id(call["id"]), "name": name, "input": arguments}, call)


def _result(message: Mapping[str, Any], tool_use_id: str, blocks: Sequence[JsonObject]) -> JsonObject:
    result: JsonObject = {"type": "tool_result", "tool_use_id": tool_use_id}
    if isinstance(message.get("content"), str):
        if blocks:
            result["content"] = blocks[0]["text"]
            _with_cache(result, blocks[0])
    elif blocks:
        result["content"] = list(blocks)
    return result


def _media(media: Media, path: str, kind: str) -> JsonObject:
    source: JsonObject = {"type": "base64", "media_type": media.media_type, "data": media.data}
    if media.url is not None:
        source = {"type": "url", "url": media.url}
    elif media.file_id is not None:
        source = {"type": "file", "file_id": media.file_id}
    elif kind == "image_url" or media.media_type in _IMAGES:
        if media.media_type not in _IMAGES:
            raise refusal(path, UPSTREAM, f"it takes JPEG, PNG, GIF and WebP, not {media.media_type!r}")
        kind = "image_url"
    elif media.media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": media.text(path)}
    elif media.media_type != "application/pdf":
        raise refusal(path, UPSTREAM, f"it takes PDF and text files, not {media.media_type!r}")
    if kind == "image_url":
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, **({"title": media.name} if media.name else {})}


def _trim_end(turns: list[JsonObject]) -> None:
    """White space at the end of the assistant's last words is a 400."""
    last = turns[-1]["content"][-1]
    if turns[-1]["role"] == "assistant" and last["type"] == "text":
        turns[-1]["content"][-1] = {**last, "text": last["text"].rstrip()}
