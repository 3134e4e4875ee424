"""Says the last user message back, word by word: for demonstrations, tests and a first try without any account."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shared.errors import InvalidRequest
from worker.faults import Fault, UpstreamError
from worker.providers.chunks import ChunkWriter
from worker.providers.contract import Capabilities, ChatCall, Chunk, LocalProvider
from worker.providers.fields import wishes

_WORD: Final = re.compile(r"\s*\S+|\s+$")
_MOST_HEARD: Final = 1_000_000
_MOST_SAID: Final = 100_000
_EXAMPLES: Final[Mapping[str, Any]] = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
# Sampling changes nothing where there is one possible answer.
_SUPPORTED: Final = frozenset(
    {"max_tokens", "max_completion_tokens", "n", "stop", "tools", "tool_choice", "parallel_tool_calls"}
    | {"temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "reasoning_effort"}
)


class Echo(LocalProvider):
    """A token is a word. `echo-tool` calls the first tool, `echo-error` fails with the fault that the message names."""

    type_name = "echo"
    title = "Echo"
    note = "Built in, needs no account."
    capabilities = Capabilities(images=False, json_schema=False, reasoning=False)
    static_models = ("echo", "echo-tool", "echo-error")

    def local_answer(self, chat: ChatCall) -> Sequence[Chunk]:
        wanted = wishes(chat.body, _SUPPORTED, upstream=self.title, drop=chat.settings.drop_params)
        last = chat.body["messages"][-1]
        spoken = next((message for message in reversed(chat.body["messages"]) if message["role"] == "user"), last)
        text = _text(spoken)
        heard = [_text(message) for message in chat.body["messages"]]
        if sum(map(len, heard)) > _MOST_HEARD or len(text) * wanted.get("n", 1) > _MOST_SAID:
            message = (
                f"Echo says at most {_MOST_SAID} characters back, in all choices together: send a shorter message."
            )
            raise InvalidRequest(message, param="messages", code="string_above_max_length")
        if chat.model == "echo-error":
            raise UpstreamError(_named_fault(text), "Echo was asked for an error.")
        writer = ChunkWriter(chat)
        prompt_tokens = sum(len(one.split()) for one in heard)
        calls = chat.model == "echo-tool" and last["role"] != "tool" and wanted.get("tool_choice") != "none"
        chunks: list[Chunk] = []
        for index in range(wanted.get("n", 1)):
            if calls:
                chunks += _call(writer, chat, index, wanted.get("tools"), text)
            else:
                chunks += _say(writer, index, _text(last) if last["role"] == "tool" else text, wanted)
        return [*chunks, writer.usage(prompt_tokens, len(chunks) - wanted.get("n", 1))]


def _say(writer: ChunkWriter, index: int, text: str, wanted: Mapping[str, Any]) -> list[Chunk]:
    stops = wanted.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    words = _WORD.findall(text)
    limit = wanted.get("max_completion_tokens", wanted.get("max_tokens"))
    said = words if limit is None else words[:limit]
    reason = "length" if len(said) < len(words) else "stop"
    return [writer.delta(index=index, content=word) for word in said] + [writer.finish(reason, index=index)]


def _call(
    writer: ChunkWriter, chat: ChatCall, index: int, tools: Sequence[Mapping[str, Any]] | None, text: str
) -> list[Chunk]:
    """One call of the first tool, with a value of the right type for each required argument."""
    function = tools[0].get("function", {}) if tools else {}
    schema = function.get("parameters") or {"required": ["text"]}
    kinds = {name: str(field.get("type")) for name, field in schema.get("properties", {}).items()}
    arguments = {name: _EXAMPLES.get(kinds.get(name, "string"), text) for name in schema.get("required", ())}
    call = {
        "index": 0,
        "id": f"call_{chat.completion_id.removeprefix('chatcmpl-')}_{index}",
        "type": "function",
        "function": {"name": function.get("name", "echo"), "arguments": orjson.dumps(arguments).decode()},
    }
    return [writer.delta(index=index, tool_calls=[call]), writer.finish("tool_calls", index=index)]


def _named_fault(text: str) -> Fault:
    try:
        return Fault(text.strip())
    except ValueError:
        return Fault.UPSTREAM_FAULT


def _text(message: Mapping[str, Any]) -> str:
    """What was said; a part that is no text shows its type."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if part.get("type") == "text" else f"[{part.get('type')}]" for part in content)


PROVIDERS: Final = (Echo(),)
