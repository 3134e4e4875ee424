"""OpenAI messages -> Gemini's `systemInstruction` and `contents`.

System and developer messages join in the instruction, wherever they stand. A participant's `name` goes in front of the
text. Files by id are URIs of Google's Files API or Cloud Storage; http and https URLs are fetched by Google itself
since January 2026, so nothing is downloaded here. A URL that does not tell its type is taken for a JPEG image, as the
API asks for one. The `detail` of images is told for a whole request: as finely as the one that asks for most.

Thought signatures come back where Google's own OpenAI endpoint has them, in `extra_content.google.thought_signature`
of a tool call, and of the message for one that came with text. Gemini 3 answers 400 to a turn whose first call has
none: where it was lost, or the history is another model's, that call gets the value which Google documents for this.

Source: Content, Part and FunctionResponse of the google-genai package 3.4; ai.google.dev, "Thought signatures", "File
input methods", "Media resolution", "OpenAI compatibility".
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from shared.errors import InvalidRequest
from worker.providers.contract import ChatCall, JsonObject
from worker.providers.fields import as_function_call, named_parts, refusal
from worker.providers.gemini_models import UPSTREAM, signs_thoughts
from worker.providers.media import Media, read_media
from worker.providers.toolbox import read_arguments

_UNSIGNED: Final = "skip_thought_signature_validator"
_BEGINNING: Final = {"text": "(The conversation begins with the assistant.)"}
_ROLES: Final[Mapping[str, str]] = {"user": "user", "tool": "user", "function": "user", "assistant": "model"}


class Contents:
    """`turns` alternate between user and model and begin with the user; `system` are texts."""

    def __init__(self, chat: ChatCall) -> None:
        self._drop = chat.settings.drop_params
        self._signs = signs_thoughts(chat.model)
        self._names: dict[str, str] = {}
        self._details: set[str] = set()
        self.system: list[JsonObject] = []
        self.turns: list[JsonObject] = []
        for index, message in enumerate(chat.body["messages"]):
            self._add(message, f"messages[{index}]")
        if not self.turns and self.system:
            # The API wants a user's turn; a lone system prompt is one.
            self.turns, self.system = [{"role": "user", "parts": self.system}], []
        if not self.turns:
            raise InvalidRequest("'messages' has no text. Send a message with content.", param="messages")
        if self.turns[0]["role"] == "model":
            self.turns.insert(0, {"role": "user", "parts": [_BEGINNING]})

    @property
    def resolution(self) -> str | None:
        """How closely to look at images, None where it is the model's choice."""
        if self._details & {"high", "original"}:
            return "MEDIA_RESOLUTION_HIGH"
        return "MEDIA_RESOLUTION_LOW" if self._details == {"low"} else None

    def _add(self, message: Mapping[str, Any], path: str) -> None:
        role = message["role"]
        if role in {"system", "developer"}:
            self.system += self._parts(message, path)
            return
        if role == "assistant":
            parts = self._said(message, path)
        elif role == "user":
            parts = self._parts(message, path)
        else:
            parts = [self._result(message, path)]
        if self.turns and self.turns[-1]["role"] == _ROLES[role]:
            self.turns[-1]["parts"] += parts
        elif parts:
            self.turns.append({"role": _ROLES[role], "parts": parts})

    def _parts(self, message: Mapping[str, Any], path: str) -> list[JsonObject]:
        content = message.get("content")
        if isinstance(content, str):
            found = [{"text": content}] if content else []
        else:
            mapped = (self._part(part, f"{path}.content[{index}]") for index, part in enumerate(content or ()))
            found = [part for part in mapped if part is not None]
        return named_parts(message, found) if found else found

    def _part(self, part: Mapping[str, Any], path: str) -> JsonObject | None:
        kind = part["type"]
        if kind in {"text", "refusal"}:
            return {"text": part[kind]} if part[kind] else None
        self._details.add(part["image_url"].get("detail") or "auto" if kind == "image_url" else "auto")
        return _media(read_media(part, path, UPSTREAM), kind)

    def _said(self, message: Mapping[str, Any], path: str) -> list[JsonObject]:
        parts = self._parts(message, path)
        if message.get("refusal"):
            parts.append({"text": message["refusal"]})
        if parts and _signature(message):
            parts[-1]["thoughtSignature"] = _signature(message)
        if message.get("audio") and not self._drop:
            raise refusal(f"{path}.audio", UPSTREAM, "it does not keep what it said")
        calls = [
            self._call(call, f"{path}.tool_calls[{index}]")
            for index, call in enumerate(message.get("tool_calls") or ())
        ]
        old = message.get("function_call")
        if old:
            arguments = read_arguments(old["arguments"], f"{path}.function_call.arguments")
            calls.append({"functionCall": {"name": old["name"], "args": arguments}})
            if _signature(old):
                calls[-1]["thoughtSignature"] = _signature(old)
        if calls and self._signs:
            calls[0].setdefault("thoughtSignature", _UNSIGNED)
        return parts + calls

    def _call(self, call: Mapping[str, Any], path: str) -> JsonObject:
        function = as_function_call(call)["function"]
        name, arguments = function["name"], read_arguments(function["arguments"], f"{path}.function.arguments")
        self._names[call["id"]] = name
        part: JsonObject = {"functionCall": {"id": call["id"], "name": name, "args": arguments}}
        if _signature(call):
            part["thoughtSignature"] = _signature(call)
        return part

    def _result(self, message: Mapping[str, Any], path: str) -> JsonObject:
        content = message.get("content") or ""
        text = content if isinstance(content, str) else "\n".join(part["text"] for part in content)
        response: JsonObject = {"response": _as_object(text)}
        if message["role"] == "function":
            return {"functionResponse": {"name": message["name"], **response}}
        identity = message["tool_call_id"]
        if identity not in self._names:
            param = f"{path}.tool_call_id"
            raise InvalidRequest(
                f"'{param}' is the id of no tool call before it: {UPSTREAM} needs its name.", param=param
            )
        return {"functionResponse": {"id": identity, "name": self._names[identity], **response}}


def _as_object(text: str) -> JsonObject:
    """What a function returned, an object for Gemini; what is none is its `output`."""
    if text.lstrip().startswith("{"):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {"output": text}
        if isinstance(value, dict):
            return value
    return {"output": text}


def _signature(holder: Mapping[str, Any]) -> str | None:
    match holder.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
    return None


def _media(media: Media, kind: str) -> JsonObject:
    if media.data is not None:
        return {"inlineData": {"mimeType": media.media_type, "data": media.data}}
    file = {"fileUri": media.url or media.file_id or ""}
    media_type = media.media_type or ("image/jpeg" if kind == "image_url" else "")
    if media_type:
        file["mimeType"] = media_type
    return {"fileData": file}
