"""Which fields a log line may have, what each is called there, and what shape its value must have.

A field that is not in this table never reaches a log, whatever was passed: a prompt or a secret cannot slip in by
mistake. Names follow OpenTelemetry's semantic conventions where there is one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

WITHHELD: Final = "[withheld]"
_MOST_WORD: Final = 200
_MOST_TEXT: Final = 1000
_MOST_WORDS: Final = 20
_WORD: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]*")
_UPSTREAM_ID: Final = re.compile(r"req_[0-9A-Za-z]{8,64}")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# A key or an id has digits or capitals; what addresses an endpoint has not.
_PATH_SEGMENT: Final = re.compile(r"[a-z_.-]{1,24}|v\d{1,2}|")


def number(value: object) -> object:
    """An int, a bool or a float rounded to microseconds' precision."""
    if isinstance(value, float):
        return round(value, 6)
    return value if isinstance(value, int) else WITHHELD


def word(value: object) -> object:
    """A name of ours, the operator's, or a route's: one word without blanks, for prompts are sentences."""
    if isinstance(value, str) and len(value) <= _MOST_WORD and _WORD.fullmatch(value):
        return value
    return WITHHELD


def upstream_id(value: object) -> object:
    """What OpenAI and Anthropic call a request. Nothing else that an upstream says is logged: it might be a secret."""
    return value if isinstance(value, str) and _UPSTREAM_ID.fullmatch(value) else WITHHELD


def words(value: object) -> object:
    """Several of them."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return WITHHELD
    return [word(item) for item in value[:_MOST_WORDS]]


def text(value: object) -> object:
    """A sentence of our own code: one line without control characters, cut at 1,000 characters."""
    return _UNPRINTABLE.sub(" ", value[:_MOST_TEXT]) if isinstance(value, str) else WITHHELD


def texts(value: object) -> object:
    """Several of them."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return WITHHELD
    return [text(item) for item in value[:_MOST_WORDS]]


def path(value: object) -> object:
    """A request's path, with `*` for every segment that an endpoint's name does not look like."""
    return endpoint(value) if isinstance(value, str) else WITHHELD


@lru_cache(maxsize=256)
def endpoint(url_path: str) -> str:
    """`/v1/models/gpt-4` -> `/v1/models/*`."""
    segments = url_path.partition("?")[0][:_MOST_WORD].split("/")
    return "/".join(segment if _PATH_SEGMENT.fullmatch(segment) else "*" for segment in segments)


class Field(NamedTuple):
    name: str  # in the log
    shape: Callable[[Any], object]


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        # A request, as the front sees it.
        "request_id": Field("request_id", word),
        "client_address": Field("client.address", word),
        "method": Field("http.request.method", word),
        "path": Field("url.path", path),
        "http_status": Field("http.response.status_code", number),
        "key_hash": Field("key_hash", word),
        "model": Field("gen_ai.request.model", word),
        "provider": Field("gen_ai.provider.name", word),
        "streamed": Field("streamed", number),
        "attempts": Field("attempts", number),
        "queue_wait_s": Field("queue_wait_s", number),
        "time_to_first_token_s": Field("time_to_first_token_s", number),
        "duration_s": Field("duration_s", number),
        "input_tokens": Field("gen_ai.usage.input_tokens", number),
        "output_tokens": Field("gen_ai.usage.output_tokens", number),
        "outcome": Field("outcome", word),
        "error_code": Field("error.type", word),
        # An attempt at an upstream, as the worker sees it.
        "attempt": Field("attempt", number),
        "credential": Field("credential", word),
        "upstream_model": Field("gen_ai.response.model", word),
        "upstream_request_id": Field("upstream_request_id", upstream_id),
        "fault": Field("fault", word),
        "wait_s": Field("wait_s", number),
        "retry_after_s": Field("retry_after_s", number),
        # Processes and what they hold.
        "worker": Field("worker", word),
        "front": Field("front", word),
        "workers": Field("workers", number),
        "fronts": Field("fronts", number),
        "suspects": Field("suspects", number),
        "solo": Field("solo", number),
        "source": Field("source", word),
        "running": Field("running", number),
        "process": Field("process", word),
        "task": Field("task", text),
        "signal": Field("signal", word),
        "exit_status": Field("exit_status", number),
        "host": Field("server.address", word),
        "port": Field("server.port", number),
        "version": Field("version", word),
        # Configuration and state.
        "file": Field("file", text),
        "generation": Field("generation", number),
        "standing": Field("standing", word),
        "state": Field("state", word),
        "models": Field("models", number),
        "count": Field("count", number),
        "names": Field("names", words),
        "meaning": Field("meaning", text),
        "reason": Field("reason", text),
        "warnings": Field("warnings", texts),
        "problems": Field("problems", text),
        # Administration.
        "action": Field("action", word),
        "object": Field("object", word),
        # Messages of libraries.
        "logger": Field("logger", word),
        "code": Field("code", word),
    }
)
