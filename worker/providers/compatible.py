"""OpenAI's chat completions, and every upstream that speaks them.

What the client sent goes on as it came, unknown fields too; a row of `compatible_rows` says what an upstream wants
otherwise. Source: the types of the official openai package and each upstream's own documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.compatible_china import CHINESE_ROWS
from worker.providers.compatible_errors import CODES, upstream_error
from worker.providers.compatible_history import taken_back
from worker.providers.compatible_local import LOCAL_ROWS
from worker.providers.compatible_message import tidy_message, tidy_usage
from worker.providers.compatible_row import Row, first_match
from worker.providers.compatible_rows import ROWS
from worker.providers.compatible_stream import FAILURES, FINISH_REASONS, ChunkMapper, call_id
from worker.providers.compatible_tools import called_functions, functions_alone
from worker.providers.contract import (
    ChatCall,
    Credential,
    CredentialField,
    JsonObject,
    Options,
    Provider,
    Settings,
    StreamMapper,
    UpstreamRequest,
)
from worker.providers.fields import refusal, without_refused
from worker.providers.old_functions import asked_with_tools, completion_as_asked, mapper_as_asked


class CompatibleOptions(Options):
    """`rewrite`: show the public model name or our own completion id instead of the upstream's.

    `headers`: sent with each request, for example OpenRouter's `HTTP-Referer`; secrets belong in credentials.
    """

    rewrite: frozenset[Literal["model", "id"]] = frozenset()
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Shown:
    """What an answer shows instead of the upstream's own id and model; None leaves them."""

    model: str | None
    completion_id: str | None


def shown(chat: ChatCall, rewrite: frozenset[str]) -> Shown:
    public = chat.body.get("model") or chat.model
    return Shown(public if "model" in rewrite else None, chat.completion_id if "id" in rewrite else None)


class CompatibleProvider(Provider):
    """One row. Dialects that are close to OpenAI's subclass it and override what differs."""

    options: ClassVar[type[Options]] = CompatibleOptions
    mapper_type: ClassVar[type[ChunkMapper]] = ChunkMapper

    def __init__(self, row: Row) -> None:
        self.row = row
        self.type_name = row.type_name
        self.title = row.title
        self.note = row.note
        self.default_base_url = row.base_url
        self.environment_variable = row.variable
        self.credential_source = row.key_page
        self.capabilities = row.capabilities
        if row.models is not None:
            self.static_models = row.models
        self.credential_fields = (CredentialField("api_key", required=row.key_required),)
        if row.type_name == "openai":
            self.credential_fields += (
                CredentialField("organization", secret=False, required=False, help="sent as OpenAI-Organization"),
                CredentialField("project", secret=False, required=False, help="sent as OpenAI-Project"),
            )
        self._codes = {**CODES, **row.codes}
        self._knows_functions = "functions" not in row.lacks.split()

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        if not self._knows_functions:
            return asked_with_tools(chat, lambda newer: self._request(newer, credential))
        return self._request(chat, credential)

    def _request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        return UpstreamRequest(
            "POST",
            self.url(chat.settings, chat.model),
            self.headers(chat.settings, credential),
            orjson.dumps(self.body(chat)),
            streamed=chat.stream,
        )

    def url(self, settings: Settings, model: str) -> str:
        del model
        return f"{settings.base_url}/chat/completions"

    def headers(self, settings: Settings, credential: Credential) -> tuple[tuple[str, str], ...]:
        values, options = credential.values, settings.options
        headers = [("content-type", "application/json")]
        if values.get("api_key"):
            headers.append(("authorization", f"Bearer {values['api_key']}"))
        for name, header in (("organization", "openai-organization"), ("project", "openai-project")):
            if values.get(name):
                headers.append((header, values[name]))
        if isinstance(options, CompatibleOptions):
            headers.extend(options.headers.items())
        return tuple(headers)

    def body(self, chat: ChatCall) -> JsonObject:
        """The client's JSON with the upstream's model id, usage asked for, and the row's quirks."""
        body, drop = dict(chat.body), chat.settings.drop_params
        body["model"] = chat.model
        if chat.stream and self.row.stream_options:
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        elif not self.row.stream_options:
            body.pop("stream_options", None)
        body["messages"] = taken_back(body["messages"], self.row, chat.model, drop=drop)
        if not self.row.custom_tools:
            body["messages"] = [called_functions(message) for message in body["messages"]]
            functions_alone(body, self.title, drop=drop)
        names = f"{self.row.lacks} {first_match(self.row.refuses, chat.model) or ''}".split()
        body = without_refused(body, dict.fromkeys(names, ""), upstream=self.title, drop=drop)
        self._check_choice(body, drop=drop)
        self._set_reasoning(body, chat.model, drop=drop)
        for old, new in self.row.renames.items():
            if old in body:
                value = body.pop(old)
                body.setdefault(new, value)
        return body

    def _check_choice(self, body: JsonObject, *, drop: bool) -> None:
        choice, known = body.get("tool_choice"), self.row.tool_choices
        word = choice.get("type") if isinstance(choice, dict) else choice
        if not known or word is None or word in known.split():
            return
        if not drop:
            raise refusal("tool_choice", self.title, f"it takes {known.replace(' ', ', ')}, not {word}")
        del body["tool_choice"]

    def _set_reasoning(self, body: JsonObject, model: str, *, drop: bool) -> None:
        """Says `reasoning_effort` in the upstream's own words, unless the client used those already."""
        effort, how = body.get("reasoning_effort"), first_match(self.row.reasoning, model)
        if effort is None or how is None:
            return
        instead = how.off if effort == "none" else how.on
        if instead is None and (how.efforts is None or effort in how.efforts.split()):
            return
        del body["reasoning_effort"]
        if instead is not None:
            body |= {name: value for name, value in instead.items() if name not in body}
        elif not drop:
            why = f"{model} takes {how.efforts or 'none'}" if effort != "none" else f"{model} always thinks"
            raise refusal("reasoning_effort", self.title, why)

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise self.parse_error(200, {}, body) from error
        if not isinstance(data, dict) or data.get("error") or not data.get("choices"):
            raise self.parse_error(200, {}, body)
        completion = self.tidy_completion(data, chat)
        return completion if self._knows_functions else completion_as_asked(chat, completion)

    def tidy_completion(self, data: JsonObject, chat: ChatCall) -> JsonObject:
        """Puts a whole answer in OpenAI's own form. Raises UpstreamError for a choice that was not finished."""
        instead = shown(chat, self.rewrite(chat.settings))
        data["id"] = instead.completion_id or data.get("id") or chat.completion_id
        data["object"] = "chat.completion"
        data["created"] = data.get("created") or chat.created
        data["model"] = instead.model or data.get("model") or chat.model
        for place, choice in enumerate(data["choices"]):
            _tidy_choice(choice, place, chat)
        if data.get("usage"):
            data["usage"] = tidy_usage(data["usage"])
        return data

    def rewrite(self, settings: Settings) -> frozenset[str]:
        options = settings.options
        return options.rewrite if isinstance(options, CompatibleOptions) else frozenset()

    def complain(self, data: Any) -> UpstreamError:
        """The error told by an event."""
        return self.parse_error(200, {}, orjson.dumps(data))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return upstream_error(status, headers, body, self._codes)

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        mapper = self._chunk_mapper(chat)
        return mapper if self._knows_functions else mapper_as_asked(chat, mapper)

    def _chunk_mapper(self, chat: ChatCall) -> ChunkMapper:
        instead = shown(chat, self.rewrite(chat.settings))
        return self.mapper_type(chat, self.complain, model=instead.model, completion_id=instead.completion_id)

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        if self.row.models is not None:
            return None
        return UpstreamRequest("GET", f"{settings.base_url}/models", self.headers(settings, credential))

    def parse_models(self, body: bytes) -> list[str]:
        try:
            data = orjson.loads(body)
            rows = data["data"] if isinstance(data, dict) else data
            return [row["id"] for row in rows]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's list of models is not readable.") from error


def _tidy_choice(choice: JsonObject, place: int, chat: ChatCall) -> None:
    message, reason = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, dict) or reason in {None, "", "null"} or reason in FAILURES:
        raise UpstreamError(
            Fault.UPSTREAM_FAULT, f"The upstream's answer is not finished (finish_reason {reason!r}): it was cut off."
        )
    choice.setdefault("index", place)
    choice["finish_reason"] = FINISH_REASONS.get(reason, reason)
    message.setdefault("role", "assistant")
    message.setdefault("content", None)
    tidy_message(message)
    for index, call in enumerate(message.get("tool_calls") or ()):
        call.pop("index", None)
        call["id"] = call.get("id") or call_id(chat.completion_id, index)
        call.setdefault("type", "function")
    if message.get("tool_calls") and message["content"] == "":
        message["content"] = None


PROVIDERS: Final = tuple(CompatibleProvider(row) for row in (*ROWS, *CHINESE_ROWS, *LOCAL_ROWS))
