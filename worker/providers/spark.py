"""iFlytek Spark: a signed WebSocket for app_id, api_key and api_secret, OpenAI-like HTTP for an APIPassword.

Sources: xfyun.cn/doc/spark, pages Web (addresses, domains, body, codes), general_url_authentication (signature), X1ws,
HTTP (fields of v1), X1http (fields of v2) and Spark-X2.5, whose page does not tell its address to everybody: base_url
must name it; public clients for `thinking` over WebSocket; tian-minghui/openai-style-api `clients/xunfei_spark` for
models that take no system message. The signature holds the date, which must be within 300 s of the server's: it is the
call's `created`.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import orjson
from pydantic import Field

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import json_object
from worker.providers.compatible_errors import upstream_error
from worker.providers.compatible_tools import functions_alone, without_custom_tools
from worker.providers.contract import (
    Capabilities,
    ChatCall,
    Credential,
    CredentialField,
    Framing,
    JsonObject,
    Options,
    Provider,
    StreamMapper,
    UpstreamRequest,
)
from worker.providers.fields import check_search, refusal, wishes
from worker.providers.old_functions import asked_with_tools, completion_as_asked, mapper_as_asked
from worker.providers.spark_events import SparkMapper, refusal_in, whole_answer
from worker.providers.spark_messages import http_messages, socket_messages

_HTTP_HOST, _SOCKET_HOST = "https://spark-api-open.xf-yun.com", "wss://spark-api.xf-yun.com"
_INDUSTRY_HOST = "wss://spark-openapi-n.cn-huabei-1.xf-yun.com"
_TUNED_HOST = "wss://maas-api.cn-huabei-1.xf-yun.com"
_LONGEST_USER = 32
_SOCKET_FIELDS = ("temperature", "max_tokens", "max_completion_tokens", "top_k", "user", "web_search_options")
_PENALTIES = ("presence_penalty", "frequency_penalty")
_HTTP_FIELDS = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "top_k", "user", *_PENALTIES)
_TOOL_FIELDS = ("tools", "tool_choice", "web_search_options")
_THINKING_FIELDS = ("reasoning_effort", "thinking")
_FIXED_FIELDS = ("max_tokens", "max_completion_tokens", "user", *_TOOL_FIELDS)
_FIXED_SAMPLING = {"temperature": 1, "top_p": 0.95}
_WEB_SEARCH = {"type": "web_search", "web_search": {"enable": True, "show_ref_label": True, "search_mode": "normal"}}


@dataclass(frozen=True, slots=True)
class _Model:
    """Tools and formats are for HTTP, system messages for both. `fixed`: how it samples and thinks cannot be chosen."""

    path: str = ""
    host: str = _SOCKET_HOST
    takes_system: bool = False
    takes_tools: bool = False
    takes_format: bool = False
    thinks: bool = False
    fixed: bool = False


# A fine-tuned one: its owner knows what it takes.
_UNKNOWN = _Model("/v1.1/chat", takes_system=True, takes_tools=True, takes_format=True)
_MODELS = {
    "lite": _Model("/v1.1/chat"),
    "generalv3": _Model("/v3.1/chat"),
    "pro-128k": _Model("/chat/pro-128k"),
    "generalv3.5": _Model("/v3.5/chat", takes_system=True, takes_tools=True, takes_format=True),
    "max-32k": _Model("/chat/max-32k", takes_system=True),
    "4.0Ultra": _Model("/v4.0/chat", takes_system=True, takes_tools=True, takes_format=True),
    "spark-x": _Model("/v1/x1", takes_system=True, takes_tools=True, thinks=True),
    "kjwx": _Model("/v1.1/chat_kjwx", _INDUSTRY_HOST),
}
_X25 = _Model(takes_system=True, takes_tools=True, fixed=True)
_HTTP_ONLY = dict.fromkeys(("spark-x2.5", "spark-x2.5-4b", "spark-x2.5-1.7b"), _X25)


class SparkOptions(Options):
    prompt: str = Field("You need to follow the system settings:{system}", description="For models without system.")
    uid: str | None = Field(None, description="header.uid where the request names no user.")
    chat_id: str | None = None
    path: str | None = Field(None, description="WebSocket path of a model that is not in our table.")
    patch_ids: tuple[str, ...] = Field((), description="resourceId of a fine-tuned model.")


class Spark(Provider):
    type_name = "spark"
    title = "iFlytek Spark"
    note = "Function calling, top_p and JSON need an APIPassword (HTTP); each model version has its own."
    default_base_url = _HTTP_HOST
    credential_fields = (
        CredentialField("api_password", required=False, help="APIPassword of one model version, for HTTP"),
        CredentialField("app_id", secret=False, required=False, help="with api_key and api_secret, for WebSocket"),
        CredentialField("api_key", required=False),
        CredentialField("api_secret", required=False),
    )
    credential_source = "console.xfyun.cn, the page of a Spark model version; does not expire"
    capabilities = Capabilities(images=False, json_schema=False)
    options: ClassVar[type[Options]] = SparkOptions
    static_models = tuple(_MODELS)

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        return asked_with_tools(chat, lambda newer: self._request(newer, credential))

    def _request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        if credential.values.get("api_password"):
            return self._http(chat, credential.values["api_password"])
        return self._socket(chat, credential)

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        data = json_object(body)
        if not data.get("choices"):
            raise self.parse_error(200, {}, body)
        return completion_as_asked(chat, whole_answer(data, chat))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """`{"error": {"message", "code"}}`, or with status 200 `{"code", "message"}`; a handshake's `{"message"}`."""
        error = refusal_in(json_object(body)) or upstream_error(status, headers, body)
        if status == HTTPStatus.FORBIDDEN and error.fault is Fault.PERMISSION_DENIED:  # the date, or the address
            return UpstreamError(
                Fault.CREDENTIAL_REJECTED, f"Spark rejected the signature or password (HTTP {status})."
            )
        return error

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        return mapper_as_asked(chat, SparkMapper(chat))

    def _socket(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        if not all(credential.values.get(name) for name in ("app_id", "api_key", "api_secret")):
            raise UpstreamError(
                Fault.CREDENTIAL_REJECTED,
                "A Spark credential needs either api_password or all of app_id, api_key and api_secret.",
                sent=False,
            )
        options = _options(chat)
        if chat.model in _HTTP_ONLY and not options.path:
            raise UpstreamError(
                Fault.MODEL_NOT_FOUND, f"Spark offers {chat.model} over HTTP only: set api_password.", sent=False
            )
        model = _model(chat)
        fields = (*_SOCKET_FIELDS, *_PENALTIES, *_THINKING_FIELDS) if model.thinks else _SOCKET_FIELDS
        wanted = wishes(chat.body, fields, upstream=f"{self.title} over WebSocket", drop=chat.settings.drop_params)
        check_search(wanted.get("web_search_options", {}), upstream=self.title, drop=chat.settings.drop_params)
        header = {"app_id": credential.values["app_id"], "uid": (wanted.pop("user", None) or options.uid or "")}
        header["uid"] = header["uid"][:_LONGEST_USER]
        texts = socket_messages(chat, self.title, None if model.takes_system else options.prompt)
        message = {
            "header": {**header, **({"patch_id": list(options.patch_ids)} if options.patch_ids else {})},
            "parameter": {"chat": _parameters(chat.model, wanted, model, options.chat_id)},
            "payload": {"message": {"text": texts}},
        }
        return UpstreamRequest(
            "GET",
            signed_url(f"{_socket_host(chat, model)}{options.path or model.path}", credential.values, chat.created),
            streamed=True,
            framing=Framing.WEBSOCKET,
            messages=(orjson.dumps(message).decode(),),
        )

    def _http(self, chat: ChatCall, password: str) -> UpstreamRequest:
        model = _model(chat)
        drop = chat.settings.drop_params
        body = wishes(_asked(chat, model), _http_fields(model), upstream=self.title, drop=drop)
        if body.get("response_format", {}).get("type") == "json_schema":
            if not drop:
                raise refusal("response_format", self.title, "it has json_object, no json_schema")
            del body["response_format"]
        (without_custom_tools if model.fixed else functions_alone)(body, self.title, drop=drop)
        newer, older = body.pop("max_completion_tokens", None), body.pop("max_tokens", None)
        body["max_completion_tokens" if model.fixed else "max_tokens"] = newer if older is None else older
        search = body.pop("web_search_options", None)
        if search is not None:
            check_search(search, upstream=self.title, drop=drop)
            body["tools"] = [*body.get("tools", []), _WEB_SEARCH]
        thinking = _thinking(body)
        body.pop("reasoning_effort", None)
        body = {**body, "thinking": thinking}
        body = {name: value for name, value in body.items() if value is not None}
        body |= {"model": chat.model, "messages": _http_messages(chat, model, self.title), "stream": chat.stream}
        headers = (("content-type", "application/json"), ("authorization", f"Bearer {password}"))
        return UpstreamRequest("POST", _http_url(chat), headers, orjson.dumps(body), streamed=chat.stream)


def signed_url(url: str, keys: Mapping[str, str], now: int) -> str:
    """`url` with the signature of general_url_authentication: HMAC-SHA256 over host, date and request line."""
    place = urlsplit(url)
    date = formatdate(now, usegmt=True)
    signed = f"host: {place.netloc}\ndate: {date}\nGET {place.path} HTTP/1.1"
    signature = b64encode(hmac.digest(keys["api_secret"].encode(), signed.encode(), "sha256")).decode()
    authorization = (
        f'api_key="{keys["api_key"]}", algorithm="hmac-sha256", headers="host date request-line", '
        f'signature="{signature}"'
    )
    query = {"authorization": b64encode(authorization.encode()).decode(), "date": date, "host": place.netloc}
    return f"{url}?{urlencode(query)}"


def _model(chat: ChatCall) -> _Model:
    return {**_MODELS, **_HTTP_ONLY}.get(chat.model, _UNKNOWN)


def _socket_host(chat: ChatCall, model: _Model) -> str:
    """Fine-tuned models have a host of their own."""
    base = chat.settings.base_url
    if base != _HTTP_HOST:
        return base.replace("http", "ws", 1)
    return _TUNED_HOST if _options(chat).patch_ids else model.host


def _http_messages(chat: ChatCall, model: _Model, upstream: str) -> list[JsonObject]:
    """A model that takes no system message takes no tools either: its messages are those of the WebSocket."""
    if model.takes_system:
        return http_messages(chat, upstream)
    return socket_messages(chat, upstream, _options(chat).prompt)


def _http_fields(model: _Model) -> tuple[str, ...]:
    if model.fixed:
        return _FIXED_FIELDS
    return (
        *_HTTP_FIELDS,
        *(_TOOL_FIELDS if model.takes_tools else ()),
        *(("response_format",) if model.takes_format else ()),
        *(_THINKING_FIELDS if model.thinks else ()),
    )


def _asked(chat: ChatCall, model: _Model) -> Mapping[str, object]:
    """The request, without a wish for how the model samples anyway."""
    if not model.fixed:
        return chat.body
    return {name: value for name, value in chat.body.items() if _FIXED_SAMPLING.get(name) != value}


def _thinking(wanted: Mapping[str, Any]) -> JsonObject | None:
    """Spark's own `thinking`, which is enabled, disabled or auto, wins over `reasoning_effort`."""
    effort = wanted.get("reasoning_effort")
    if effort is None or "thinking" in wanted:
        return wanted.get("thinking")
    return {"type": "disabled" if effort == "none" else "enabled"}


def _options(chat: ChatCall) -> SparkOptions:
    assert isinstance(chat.settings.options, SparkOptions)
    return chat.settings.options


def _parameters(domain: str, wanted: JsonObject, model: _Model, chat_id: str | None) -> JsonObject:
    """`parameter.chat`. Temperature is (0, 2] for X1 and (0, 1] for the others: halved, and 0 becomes the least."""
    chat: JsonObject = {"domain": domain, **{name: wanted[name] for name in ("top_k", *_PENALTIES) if name in wanted}}
    if "temperature" in wanted:
        chat["temperature"] = max(0.01, wanted["temperature"] / (1 if model.thinks else 2))
    most = wanted.get("max_completion_tokens") or wanted.get("max_tokens")
    if most is not None:
        chat["max_tokens"] = most
    if chat_id:
        chat["chat_id"] = chat_id
    if "web_search_options" in wanted:
        chat["tools"] = [_WEB_SEARCH]
    thinking = _thinking(wanted)
    return {**chat, "thinking": thinking} if thinking is not None else chat


def _http_url(chat: ChatCall) -> str:
    """X1 is v2, the others v1; a base_url that names its version decides itself."""
    base = chat.settings.base_url
    if base.rpartition("/")[2].removeprefix("v").isdigit():
        return f"{base}/chat/completions"
    return f"{base}/{'v2' if _model(chat).thinks else 'v1'}/chat/completions"


PROVIDERS = (Spark(),)
