"""Anthropic's Messages API.

The API version is 2023-06-01 unless the option `version` says otherwise. A plain answer that may grow long is streamed
by Anthropic and joined here, as connections that idle for minutes get lost: the official SDKs refuse such requests.

Keys are the one credential. Bearer tokens are not offered: those of a subscription's sign-in are meant for Anthropic's
own applications, and those of workload identity federation need an identity provider to renew them.

Source: platform.claude.com, "Authentication".
"""

from collections.abc import Mapping
from typing import ClassVar, Final

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.anthropic_answer import MessageMapper, parse_message
from worker.providers.anthropic_errors import parse_error
from worker.providers.anthropic_request import AnthropicOptions, build_body
from worker.providers.contract import (
    ChatCall,
    Credential,
    JsonObject,
    Options,
    Provider,
    Settings,
    StreamMapper,
    UpstreamRequest,
)
from worker.providers.old_functions import completion_as_asked, mapper_as_asked

# The SDKs reckon 128,000 tokens an hour and refuse whole answers that may take more than ten minutes.
_LONGEST_WHOLE: Final = 21_333


class Anthropic(Provider):
    type_name = "anthropic"
    title = "Anthropic"
    note = "Claude through the Messages API."
    default_base_url = "https://api.anthropic.com/v1"
    environment_variable = "ANTHROPIC_API_KEY"
    credential_source = "platform.claude.com, Settings, API keys; expires when told so at its creation"
    options: ClassVar[type[Options]] = AnthropicOptions

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        body = build_body(chat)
        streamed = chat.stream or body["max_tokens"] > _LONGEST_WHOLE
        if streamed:
            body["stream"] = True
        url = f"{chat.settings.base_url}/messages"
        return UpstreamRequest("POST", url, _headers(chat.settings, credential), orjson.dumps(body), streamed=streamed)

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        return completion_as_asked(chat, parse_message(chat, body))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return parse_error(status, headers, body)

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        return mapper_as_asked(chat, MessageMapper(chat))

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        return UpstreamRequest("GET", f"{settings.base_url}/models?limit=1000", _headers(settings, credential))

    def parse_models(self, body: bytes) -> list[str]:
        try:
            rows = orjson.loads(body)["data"]
            return [row["id"] for row in rows if row.get("lifecycle") != "retired"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UpstreamError(Fault.UPSTREAM_FAULT, "Anthropic's list of models is not readable.") from None


def _headers(settings: Settings, credential: Credential) -> tuple[tuple[str, str], ...]:
    options = settings.options
    assert isinstance(options, AnthropicOptions)
    headers = [
        ("content-type", "application/json"),
        ("x-api-key", credential.values["api_key"]),
        ("anthropic-version", options.version),
    ]
    if options.beta:
        headers.append(("anthropic-beta", ",".join(options.beta)))
    return tuple(headers)


PROVIDERS: Final = (Anthropic(),)
