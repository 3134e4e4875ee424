"""Google's Gemini API: generateContent and streamGenerateContent.

Google promotes a newer API (interactions) and calls this one legacy, but serves every model with it.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

import orjson

from worker.faults import Fault, UpstreamError
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
from worker.providers.gemini_answer import GenerateMapper, parse_answer
from worker.providers.gemini_errors import parse_error
from worker.providers.gemini_models import UPSTREAM
from worker.providers.gemini_request import GeminiOptions, build_body
from worker.providers.old_functions import completion_as_asked, mapper_as_asked

_PREFIX: Final = "models/"


class Gemini(Provider):
    type_name = "gemini"
    title = "Gemini"
    note = "Google's Gemini API with an API key."
    default_base_url = "https://generativelanguage.googleapis.com/v1beta"
    environment_variable = "GEMINI_API_KEY"
    credential_source = "aistudio.google.com, Get API key; does not expire"
    options: ClassVar[type[Options]] = GeminiOptions

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        method = "streamGenerateContent?alt=sse" if chat.stream else "generateContent"
        model = chat.model if "/" in chat.model else f"{_PREFIX}{chat.model}"  # tuned models have a prefix of their own
        body = orjson.dumps(build_body(chat))
        url = f"{chat.settings.base_url}/{model}:{method}"
        return UpstreamRequest("POST", url, _headers(credential), body, streamed=chat.stream)

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        return completion_as_asked(chat, parse_answer(chat, body, UPSTREAM))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return parse_error(status, headers, body, UPSTREAM)

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        return mapper_as_asked(chat, GenerateMapper(chat, UPSTREAM))

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        return UpstreamRequest("GET", f"{settings.base_url}/models?pageSize=1000", _headers(credential))

    def parse_models(self, body: bytes) -> list[str]:
        try:
            rows = orjson.loads(body)["models"]
            chatting = [row for row in rows if "generateContent" in row.get("supportedGenerationMethods", ())]
            return [row["name"].removeprefix(_PREFIX) for row in chatting]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"{UPSTREAM}'s list of models is not readable.") from None


def _headers(credential: Credential) -> tuple[tuple[str, str], ...]:
    # In the header, never in the URL: URLs get logged.
    return (("content-type", "application/json"), ("x-goog-api-key", credential.values["api_key"]))


PROVIDERS: Final = (Gemini(),)
