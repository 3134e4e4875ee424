"""What the body of an error says, in any of the shapes of OpenAI and its clones.

Shapes read, in this order: `{"error": {...}}`, `{"error": "text"}`, `{"detail": ...}` (FastAPI), `{"code", "message"}`,
`{"msg"}`, and the plain text by which servers built with axum, as xAI's, say what they do not understand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.providers.bodies import parsed

# axum's JsonRejection, of status 422, 400 and 413.
_REJECTED_BODY: Final = re.compile(r"Failed to (deserialize|parse|buffer) the (JSON|request) body")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says. `headers` are those that stand in the body itself, names in lower case."""

    message: str
    code: str | None = None
    type: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def read_complaint(body: bytes) -> Complaint | None:
    """None where the body tells of no error of the API's own (HTML, an empty body, another service's answer)."""
    data = parsed(body)
    if isinstance(data, list) and data:  # Gemini's compatible endpoint wraps its errors in a list
        data = data[0]
    if not isinstance(data, dict):
        text = body.decode("utf-8", "replace")
        return Complaint(text) if _REJECTED_BODY.match(text) else None
    error = data.get("error")
    if isinstance(error, dict):
        text = _text(error.get("message") or error.get("msg") or error.get("detail") or error)
        code, kind, param = (_word(error.get(name)) for name in ("code", "type", "param"))
        metadata = error.get("metadata")
        return Complaint(text, code, kind or _inner_type(metadata), param, _inner_headers(metadata))
    if error:
        return Complaint(_text(error), _word(data.get("code")), _word(data.get("type") or data.get("error_type")))
    text = _text(data.get("detail") or data.get("message") or data.get("msg") or data.get("error_msg"))
    if not text:
        return None
    code = data.get("code") or data.get("error_code")
    return Complaint(text, _word(code), _word(data.get("type")), _word(data.get("param")))


def _word(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" and not isinstance(value, bool) else None


def _inner_type(metadata: Any) -> str | None:
    """OpenRouter's, whose page on errors says to go by it: `{"metadata": {"error_type": "refusal"}}`; for its own
    moderation, `{"metadata": {"reasons": [...], "flagged_input": "..."}}`.
    """
    if not isinstance(metadata, dict):
        return None
    return _word(metadata.get("error_type")) or ("content_policy_violation" if "flagged_input" in metadata else None)


def _inner_headers(metadata: Any) -> dict[str, str]:
    """OpenRouter's: `{"metadata": {"headers": {"X-RateLimit-Reset": "1790000000000", ...}}}`."""
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    return {name.lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}


def _text(value: Any) -> str:
    """A message that may be nested, as FastAPI's list of `{"loc", "msg", "input"}`, whose `input` may be a prompt."""
    match value:
        case str():
            return value
        case {"detail": inner} | {"message": inner}:
            return _text(inner)
        case {"msg": str(problem), "loc": list(place)}:
            return f"{'.'.join(map(str, place))}: {problem}"
        case list():
            return "; ".join(filter(None, map(_text, value)))
    return ""
