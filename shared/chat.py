"""The chat completion request as the front checks it: once, from the raw bytes, which then travel on untouched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from shared.complaints import complain
from shared.dialect import ChatRequest
from shared.errors import InvalidRequest

CHAT_REQUEST: Final = TypeAdapter(ChatRequest)
_MOST_DEEP: Final = 254  # orjson writes no deeper than this
# Ten million empty arrays fit into 32 MiB and would hold up every other stream of this front for seconds.
_MOST_BRACKETS: Final = 500_000
_PARSE_HINT: Final = "We could not parse the JSON body of your request"


@dataclass(frozen=True, slots=True)
class ChatHead:
    """What the front needs to know of a request. `model` is None where the body names none."""

    model: str | None
    stream: bool
    include_usage: bool
    n: int


def validate_chat(raw: bytes) -> ChatHead:
    """Raises InvalidRequest, which names the field, for what OpenAI's published schema rejects.

    Unknown fields pass. Of a key that stands twice the last one counts, here as in the worker: both read with the same
    parser, so a body cannot mean two things. It also refuses what cannot be written again: NaN, Infinity, numbers
    beyond a double, lone surrogates, nesting deeper than 254.
    """
    body = read_json(raw)
    try:
        CHAT_REQUEST.validator.validate_python(body)
    except ValidationError as error:
        raise complain(error, body) from None  # the cause would carry prompts into tracebacks
    options = body.get("stream_options")
    return ChatHead(
        model=body.get("model") or None,
        stream=body.get("stream") is True,
        include_usage=options is not None and options.get("include_usage") is True,
        n=body.get("n") or 1,
    )


def check_fields(fields: Mapping[str, Any]) -> None:
    """The same for some fields of a request alone, as an operator sets them. Raises InvalidRequest."""
    body = {"messages": [{"role": "user", "content": ""}], **fields}
    try:
        CHAT_REQUEST.validator.validate_python(body)
    except ValidationError as error:
        raise complain(error, body) from None


def read_json(raw: bytes) -> Any:
    """Raises InvalidRequest for bytes that are not JSON, saying where, or whose structure is too deep or too large."""
    if not raw:
        raise _refuse_json(f"{_PARSE_HINT}: it is empty. Send a JSON object.")
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > _MOST_BRACKETS:
        raise _refuse_json(f"The JSON body has more than {_MOST_BRACKETS} arrays and objects. Send fewer.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _refuse_json(
            f"{_PARSE_HINT}: {error.msg} at line {error.lineno}, column {error.colno}. It must be one JSON object in "
            "UTF-8; check quotes, commas and brackets."
        ) from None
    # Counting is fifty times faster than measuring, and all but a few bodies have fewer brackets than this.
    if brackets > _MOST_DEEP:
        try:
            orjson.dumps(body)
        except orjson.JSONEncodeError:
            raise _refuse_json(f"The JSON body nests deeper than {_MOST_DEEP} levels. Send a flatter one.") from None
    return body


def _refuse_json(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_json")
