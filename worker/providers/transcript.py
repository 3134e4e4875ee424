"""Turns OpenAI messages into one text, for upstreams that take a prompt instead of messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import InvalidRequest
from worker.providers.contract import ChatCall
from worker.providers.fields import named, refusal

_NAMES = {"user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Turn:
    role: str  # "user" or "assistant"
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """`turns` alternate and the last is the user's."""

    system: str
    turns: Sequence[Turn]

    @property
    def question(self) -> str:
        return self.turns[-1].text

    @property
    def history(self) -> Sequence[Turn]:
        return self.turns[:-1]


def dialogue(chat: ChatCall, upstream: str) -> Dialogue:
    """Raises InvalidRequest for tool messages and for content other than text, unless drop_params leaves them out, and
    for messages that end with the assistant's.
    """
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(chat.body["messages"]):
        role = message["role"]
        text = message_text(message, index, upstream, drop=chat.settings.drop_params)
        if role in {"system", "developer"}:
            system.append(text)
        elif role in _NAMES and text:
            _append(turns, Turn(role, text))
    if not turns and system:
        turns, system = [Turn("user", "\n\n".join(system))], []
    if not turns or turns[-1].role != "user":
        raise InvalidRequest(
            f"{upstream} answers a user's message: 'messages' must end with one that has text.", param="messages"
        )
    return Dialogue("\n\n".join(system), turns)


def message_text(message: Any, index: int, upstream: str, *, drop: bool) -> str:
    """The text of one message. Raises InvalidRequest for what is not text, unless `drop` leaves it out."""
    if message["role"] in {"tool", "function"} or message.get("tool_calls") or message.get("function_call"):
        if drop:
            return ""
        raise refusal(f"messages[{index}]", upstream, "it has no tool calls")
    if message.get("audio") and not drop:
        raise refusal(f"messages[{index}].audio", upstream, "it does not keep what it said")
    content = message.get("content")
    texts = [content] if isinstance(content, str) else _part_texts(content or (), index, upstream, drop=drop)
    return named(message, "\n".join([*texts, *filter(None, [message.get("refusal")])]))


def transcript(talk: Dialogue) -> str:
    """One prompt: a single message as it is, a dialogue as a transcript with the question at its end."""
    parts = [talk.system] if talk.system else []
    if talk.history:
        parts.append("This is the conversation so far:")
        parts += [f"{_NAMES[turn.role]}: {turn.text}" for turn in talk.history]
        parts.append("Answer the user's next message:")
    return "\n\n".join([*parts, talk.question])


def _append(turns: list[Turn], turn: Turn) -> None:
    if turns and turns[-1].role == turn.role:
        turn = Turn(turn.role, f"{turns.pop().text}\n\n{turn.text}")
    turns.append(turn)


def _part_texts(parts: Any, index: int, upstream: str, *, drop: bool) -> list[str]:
    texts: list[str] = []
    for position, part in enumerate(parts):
        kind = part.get("type")
        if kind in {"text", "refusal"}:
            texts.append(part[kind])
        elif not drop:
            raise refusal(f"messages[{index}].content[{position}]", upstream, f"it takes text, no {kind}")
    return texts
