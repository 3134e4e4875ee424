"""A client's messages as a clone takes them back.

Clients send an answer back as they got it, with whatever an upstream put beside OpenAI's members: reasoning,
signatures, annotations. Most clones read what they know. Some answer 400 to the rest; towards these each message is cut
down to its known members, and what was said in others goes where it can be read. Reasoning that a model cannot take
back is left out: it was never a part of the conversation.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from worker.providers.compatible_row import Row, first_match
from worker.providers.contract import JsonObject
from worker.providers.fields import joined, named_content, refusal

_OF_CALL: Final = ("id", "type", "function", "custom")


def taken_back(messages: Iterable[Mapping[str, Any]], row: Row, model: str, *, drop: bool) -> list[Mapping[str, Any]]:
    """Raises InvalidRequest for what cannot be said, unless `drop` leaves it out."""
    told = list(messages)
    if not row.developer_role:
        told = without_developers(told)
    if not row.members:
        return told
    reasoning = first_match(row.reasoning_back, model)
    for index, message in enumerate(told):
        members = row.members.get(message["role"])
        if members is not None:
            if message.get("audio") and not drop:
                raise refusal(f"messages[{index}].audio", row.title, "it does not keep what it said")
            told[index] = _cut(message, frozenset(members.split()), reasoning)
    return told


def without_developers(messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages with the older name of the developer's role."""
    return [{**message, "role": "system"} if message["role"] == "developer" else message for message in messages]


def _cut(message: Mapping[str, Any], members: frozenset[str], reasoning: str | None) -> JsonObject:
    known = {"role", *members}
    cut = {name: value for name, value in message.items() if name in known and value is not None}
    if "content" in message:
        cut["content"] = _content(message, members)
    if message.get("refusal"):
        cut["content"] = joined(cut.get("content"), message["refusal"])
    if message.get("tool_calls"):
        cut["tool_calls"] = [{name: call[name] for name in _OF_CALL if name in call} for call in message["tool_calls"]]
    thoughts = message.get("reasoning_content")
    if thoughts and reasoning == "thinking":
        content = cut.get("content") or []
        said = [{"type": "text", "text": content}] if isinstance(content, str) else content
        cut["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": thoughts}]}, *said]
    elif thoughts and reasoning:
        cut[reasoning] = thoughts
    return cut


def _content(message: Mapping[str, Any], members: frozenset[str]) -> Any:
    content = message["content"] if "name" in members else named_content(message)
    if not isinstance(content, list):
        return content
    return [{"type": "text", "text": part["refusal"]} if part.get("type") == "refusal" else part for part in content]
