"""DashScope (Alibaba Model Studio): native text and multimodal generation, or OpenAI's dialect by option.

Sources: help.aliyun.com/model-studio (API reference, error codes, streaming, deep thinking, Qwen-Omni, models)
and the official dashscope SDK, whose requests ours are tested against. Models that only think while streaming, and
Qwen-Omni, are always asked for a stream. System messages become one, in front, because only the first is allowed to be
one. The native interface takes texts for text models and lists of parts for models that see or hear; asking the wrong
one is a 400, so the model's name decides. Qwen-Omni is offered by the compatible interface alone, and is asked there
in either mode.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Final, Literal

import orjson
from pydantic import Field

from worker.faults import UpstreamError
from worker.providers.compatible import CompatibleOptions, CompatibleProvider, shown
from worker.providers.compatible_row import OLD_FUNCTIONS, Row
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
from worker.providers.dashscope_answer import CODES, NativeMapper, error_of, whole_answer
from worker.providers.dashscope_request import (
    is_compatible_only,
    is_multimodal,
    must_stream,
    native_body,
    possible_choice,
    set_thinking,
    with_audio_urls,
    within,
)
from worker.providers.fields import check_search
from worker.providers.old_functions import asked_with_tools, completion_as_asked, mapper_as_asked

_TEXT: Final = "/api/v1/services/aigc/text-generation/generation"
_MULTIMODAL: Final = "/api/v1/services/aigc/multimodal-generation/generation"


class DashScopeOptions(CompatibleOptions):
    """`mode`: which of the two interfaces to speak. `workspace` and `inspect` set the headers of that name.

    `multimodal`: further models (patterns) that take lists of parts; a 400 "url error" is the sign of one that does.
    `most_tokens`: a larger max_tokens is lowered to
    this; the first pattern that matches the model counts.
    """

    mode: Literal["native", "compatible"] = "native"
    workspace: str | None = None
    inspect: bool = False
    multimodal: tuple[str, ...] = ()
    most_tokens: Mapping[str, Annotated[int, Field(ge=1)]] = {"farui*": 2000}


class _Compatible(CompatibleProvider):
    """The interface that speaks OpenAI's dialect; its errors are those of the other."""

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return error_of(status, headers, body)


class DashScope(Provider):
    type_name = "dashscope"
    title = "DashScope (Alibaba Model Studio)"
    default_base_url = "https://dashscope.aliyuncs.com"
    environment_variable = "DASHSCOPE_API_KEY"
    credential_source = "bailian.console.aliyun.com, API keys; a key belongs to one region and its base_url"
    options: ClassVar[type[Options]] = DashScopeOptions
    static_models = ("farui-plus", "qwen-plus", "qwen-max", "qwen-turbo")
    own_error_type = "dashscope_error"

    def __init__(self) -> None:
        self._compatible = _Compatible(
            Row(
                type_name=self.type_name,
                title=self.title,
                # Models that speak take modalities and audio.
                lacks=f"{OLD_FUNCTIONS} frequency_penalty logit_bias moderation prediction prompt_cache_options "
                "verbosity",
                codes=CODES,
            )
        )

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        return asked_with_tools(chat, lambda newer: self._request(newer, credential))

    def _request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        options, streamed = _options(chat.settings), chat.stream or must_stream(chat)
        chat = replace(chat, body=within(chat.body, chat.model, options.most_tokens))
        if _speaks_openai(chat):
            return self._compatible_request(chat, credential, streamed=streamed)
        headers = [*_headers(chat.settings, credential)]
        if streamed:
            headers.append(("x-dashscope-sse", "enable"))
        multimodal = is_multimodal(chat.model, options.multimodal)
        body = orjson.dumps(native_body(chat, self.title, multimodal=multimodal, streamed=streamed))
        if b'"oss://' in body:
            headers.append(("x-dashscope-ossresourceresolve", "enable"))
        url = _host(chat.settings) + (_MULTIMODAL if multimodal else _TEXT)
        return UpstreamRequest("POST", url, tuple(headers), body, streamed=streamed)

    def _compatible_request(self, chat: ChatCall, credential: Credential, *, streamed: bool) -> UpstreamRequest:
        if streamed:
            chat = replace(chat, stream=True, body={**chat.body, "stream": True})
        drop = chat.settings.drop_params
        body = self._compatible.body(chat)
        body["messages"] = [with_audio_urls(message) for message in body["messages"]]
        set_thinking(body, chat.model, body.pop("reasoning_effort", None), self.title, drop=drop)
        search = body.pop("web_search_options", None)
        if search is not None:
            check_search(search, upstream=self.title, drop=drop)
            body.setdefault("enable_search", True)
        if body.get("tools"):
            body.setdefault("parallel_tool_calls", True)  # off by default here, on at OpenAI
            body["tool_choice"] = possible_choice(body, self.title, drop=drop) or "auto"
        url = f"{_host(chat.settings)}/compatible-mode/v1/chat/completions"
        return UpstreamRequest("POST", url, _headers(chat.settings, credential), orjson.dumps(body), streamed=streamed)

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        if _speaks_openai(chat):
            return self._compatible.parse_response(chat, body)
        return completion_as_asked(chat, whole_answer(chat, body, shown(chat, _options(chat.settings).rewrite)))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return error_of(status, headers, body)

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        if _speaks_openai(chat):
            return self._compatible.stream_mapper(chat)
        return mapper_as_asked(chat, NativeMapper(chat, shown(chat, _options(chat.settings).rewrite)))

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        """The first page; farui-plus and others that the list leaves out are named in the configuration."""
        url = f"{_host(settings)}/api/v1/models?page_no=1&page_size=100"
        return UpstreamRequest("GET", url, _headers(settings, credential))

    def next_models_request(self, asked: UpstreamRequest, body: bytes) -> UpstreamRequest | None:
        """A page tells its own number and size, and how many models there are in all."""
        output = orjson.loads(body)["output"]
        page, size, total = (output.get(name) or 0 for name in ("page_no", "page_size", "total"))
        if page * size >= total or not output["models"]:
            return None
        start, _, _ = asked.url.partition("?")
        return replace(asked, url=f"{start}?page_no={page + 1}&page_size={size}")

    def parse_models(self, body: bytes) -> list[str]:
        try:
            data = orjson.loads(body)
            return [row["model"] for row in data["output"]["models"]]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise error_of(200, {}, body) from error


def _options(settings: Settings) -> DashScopeOptions:
    assert isinstance(settings.options, DashScopeOptions)
    return settings.options


def _speaks_openai(chat: ChatCall) -> bool:
    return _options(chat.settings).mode == "compatible" or is_compatible_only(chat.model)


def _host(settings: Settings) -> str:
    return settings.base_url.removesuffix("/api/v1").removesuffix("/compatible-mode/v1")


def _headers(settings: Settings, credential: Credential) -> tuple[tuple[str, str], ...]:
    options = _options(settings)
    headers = [("content-type", "application/json"), ("authorization", f"Bearer {credential.values['api_key']}")]
    if options.workspace:
        headers.append(("x-dashscope-workspace", options.workspace))
    if options.inspect:
        headers.append(("x-dashscope-datainspection", '{"input":"cip","output":"cip"}'))
    return (*headers, *options.headers.items())


PROVIDERS: Final = (DashScope(),)
