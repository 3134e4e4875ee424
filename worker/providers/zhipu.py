"""Zhipu, also Z.ai: GLM models by BigModel's v4 interface, which is close to OpenAI's.

Sources: docs.bigmodel.cn (chat completions, error codes), docs.z.ai, and the official zai-sdk (parameters, JWT). Other
than first noted: GLM-5.2 and later take `reasoning_effort` itself, GLM-5.3 only low, high and max, since it always
thinks and answers every other word with as much thought as it has; temperature 1 and top_p 1 are allowed, the SDK
lowers them to 0.99 for older models only. `request_id` is sent only if the client gives one, since a second try with
the same one is refused (1231). `x-should-retry`, which the SDK reads of any answer, is not: no page of the API has it,
and whether a request is tried again, on which account, follows from the error's code.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, ClassVar, Final, Literal

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.compatible import CompatibleOptions, CompatibleProvider
from worker.providers.compatible_errors import seconds_until
from worker.providers.compatible_row import SWITCH, Reasoning, Row
from worker.providers.contract import (
    Capabilities,
    ChatCall,
    Credential,
    JsonObject,
    Options,
    UpstreamRequest,
)
from worker.providers.fields import bounded, check_detail, named_content, refusal, told_messages, wishes

_TOKEN_LIVES_MS: Final = 3_600_000
_OWN_FIELDS: Final = frozenset(
    {"thinking", "do_sample", "tool_stream", "request_id", "user_id", "meta", "sensitive_word_check"}
    | {"watermark_enabled"}
)
_FIELDS: Final = _OWN_FIELDS | {
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "tools",
    "tool_choice",
    "response_format",
    "reasoning_effort",
    "user",
}
_PARTS: Final = frozenset({"text", "image_url", "video_url", "file_url", "input_audio"})
_REASONING: Final = {
    "glm-5.3*": Reasoning("low high max"),
    "glm-5.[2-9]*": Reasoning(),
    "glm-[6-9]*": Reasoning(),
    "*": SWITCH,
}
_SHORTEST_USER, _LONGEST_USER = 6, 128

# 1308 and 1310 tell when a plan's limit ends: "Your limit will reset at 2026-11-20 19:01:25", and in Chinese
# "您的限额将在 2026-11-20 19:01:25 重置". Both mean Beijing's time, without saying so.
_RESET: Final = re.compile(r"(?:reset at|将在) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_REJECTED = ("1000", "1001", "1002", "1003", "1004", "1005", "1110", "1111", "1112", "1120", "1121")
_MODELS: Final = (
    "glm-5.3",
    "glm-5.2",
    "glm-5.1",
    "glm-5",
    "glm-4.7",
    "glm-4.6",
    "glm-4.6v",
    "glm-4.5",
    "glm-4.5-air",
    "glm-4.5-flash",
    "glm-4.5v",
)
_CODES: Final = {
    **dict.fromkeys(_REJECTED, Fault.CREDENTIAL_REJECTED),
    **dict.fromkeys(("1113", "1304", "1308", "1310"), Fault.QUOTA_EXHAUSTED),
    **dict.fromkeys(("1200", "1230", "1234"), Fault.UPSTREAM_FAULT),
    **dict.fromkeys(("1210", "1212", "1213", "1214", "1215", "1231"), Fault.INVALID_REQUEST),
    **dict.fromkeys(("1211", "1221", "1222"), Fault.MODEL_NOT_FOUND),
    **dict.fromkeys(("1220", "1309", "1311"), Fault.PERMISSION_DENIED),
    "1261": Fault.CONTEXT_TOO_LONG,
    **dict.fromkeys(("1300", "1301"), Fault.CONTENT_FILTERED),
    **dict.fromkeys(("1302", "1303", "1313"), Fault.RATE_LIMITED),
    **dict.fromkeys(("1305", "1312"), Fault.OVERLOADED),
}
# 434: the key may not use a beta or fine-tuning interface; 435: a file is too large.
_ODD_STATUSES: Final = {434: 403, 435: 400}


class ZhipuOptions(CompatibleOptions):
    """`authentication`: send the key as it is, or a token signed with it for one request."""

    authentication: Literal["key", "jwt"] = "key"


class Zhipu(CompatibleProvider):
    options: ClassVar[type[Options]] = ZhipuOptions

    def __init__(self) -> None:
        super().__init__(
            Row(
                type_name="zhipu",
                title="Zhipu AI (GLM)",
                base_url="https://open.bigmodel.cn/api/paas/v4",
                variable="ZHIPUAI_API_KEY",
                key_page="open.bigmodel.cn/usercenter/apikeys; international: z.ai, base_url https://api.z.ai/api/paas/v4",
                stream_options=False,
                models=_MODELS,
                reasoning=_REASONING,
                codes=_CODES,
                capabilities=Capabilities(json_schema=False),
            )
        )

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        key = credential.values["api_key"]
        options = chat.settings.options
        if isinstance(options, ZhipuOptions) and options.authentication == "jwt":
            key = signed_token(key, chat.created * 1000)
        signed = Credential(credential.name, {"api_key": key})
        return super().build_request(chat, signed)

    def body(self, chat: ChatCall) -> JsonObject:
        drop = chat.settings.drop_params
        wanted = wishes(chat.body, _FIELDS, upstream=self.title, drop=drop)
        body: JsonObject = {
            "model": chat.model,
            "messages": _messages(chat.body["messages"], self.title, drop=drop),
            "stream": chat.stream,
        }
        body |= {
            name: wanted[name] for name in _OWN_FIELDS | {"seed", "max_tokens", "reasoning_effort"} if name in wanted
        }
        if "max_completion_tokens" in wanted:
            body["max_tokens"] = wanted["max_completion_tokens"]
        if "stop" in wanted:
            body["stop"] = [wanted["stop"]] if isinstance(wanted["stop"], str) else wanted["stop"]
        if "user" in wanted:
            body.setdefault("user_id", _user_id(wanted["user"]))
        self._set_sampling(body, wanted, drop=drop)
        self._set_format(body, wanted, drop=drop)
        self._set_tools(body, wanted, drop=drop)
        self._set_reasoning(body, chat.model.lower(), drop=drop)
        return body

    def _set_sampling(self, body: JsonObject, wanted: Mapping[str, Any], *, drop: bool) -> None:
        """Temperature 0 is greedy decoding, which has a switch of its own here."""
        if wanted.get("temperature") == 0:
            body.setdefault("do_sample", False)
        elif "temperature" in wanted:
            body["temperature"] = bounded(wanted["temperature"], 0, 1, "temperature", upstream=self.title, drop=drop)
        if "top_p" in wanted:
            body["top_p"] = max(0.01, wanted["top_p"])

    def _set_format(self, body: JsonObject, wanted: Mapping[str, Any], *, drop: bool) -> None:
        kind = (wanted.get("response_format") or {}).get("type")
        if kind == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif kind and not drop:
            raise refusal("response_format", self.title, f"only text and json_object are known, not {kind}")

    def _set_tools(self, body: JsonObject, wanted: Mapping[str, Any], *, drop: bool) -> None:
        """`tool_choice` may only be auto; none is the same as no tools."""
        choice = wanted.get("tool_choice")
        if not wanted.get("tools") or choice == "none":
            return
        if choice not in {None, "auto"} if isinstance(choice, str | None) else True:
            if not drop:
                raise refusal("tool_choice", self.title, "only auto and none are known")
        elif choice:
            body["tool_choice"] = choice
        body["tools"] = [
            _tool(tool, f"tools[{index}]", self.title, drop=drop) for index, tool in enumerate(wanted["tools"])
        ]

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        error = super().parse_error(_ODD_STATUSES.get(status, status), headers, body)
        reset = _RESET.search(error.message)
        if reset and error.retry_after_s is None:
            error.retry_after_s = _seconds_until(reset[1], headers)
        return error


def _seconds_until(reset: str, headers: Mapping[str, str]) -> float | None:
    try:
        return seconds_until(datetime.fromisoformat(f"{reset}+08:00"), headers)
    except ValueError:
        return None


def signed_token(key: str, now_ms: int) -> str:
    """A JWT as the vendor wants it: `sign_type` in the header, times in milliseconds. Lives an hour.

    Raises UpstreamError for a key that is not `<id>.<secret>`.
    """
    name, _, secret = key.partition(".")
    if not secret:
        raise UpstreamError(Fault.CREDENTIAL_REJECTED, "A Zhipu key is <id>.<secret>; this one has no dot.", sent=False)
    header = {"alg": "HS256", "sign_type": "SIGN"}
    claims = {"api_key": name, "exp": now_ms + _TOKEN_LIVES_MS, "timestamp": now_ms}
    signed = b".".join(_base64url(orjson.dumps(part)) for part in (header, claims))
    return b".".join((signed, _base64url(hmac.digest(secret.encode(), signed, "sha256")))).decode()


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _messages(messages: Iterable[Mapping[str, Any]], upstream: str, *, drop: bool) -> list[JsonObject]:
    """Authors have no names here, and images no detail."""
    told = told_messages(messages, _PARTS, upstream=upstream, drop=drop)
    for index, message in enumerate(told):
        content = message.get("content")
        for place, part in enumerate(content if isinstance(content, list) else ()):
            if part["type"] == "image_url":
                check_detail(part, f"messages[{index}].content[{place}]", upstream=upstream, drop=drop)
                part["image_url"] = {"url": part["image_url"]["url"]}
        if content is not None:
            message["content"] = named_content(message)
        message.pop("name", None)
    return told


def _tool(tool: Mapping[str, Any], path: str, upstream: str, *, drop: bool) -> JsonObject:
    if tool["type"] == "custom" and not drop:
        raise refusal(path, upstream, "custom tools are not known")
    if tool["type"] != "function":
        return dict(tool)
    if tool["function"].get("strict") and not drop:
        raise refusal(f"{path}.function.strict", upstream, "how strictly a schema is followed cannot be asked for")
    return {"type": "function", "function": {k: v for k, v in tool["function"].items() if k != "strict"}}


def _user_id(user: str) -> str:
    """Between 6 and 128 characters; another length is replaced by a digest that stays the same for the same user."""
    return user if _SHORTEST_USER <= len(user) <= _LONGEST_USER else sha256(user.encode()).hexdigest()[:32]


PROVIDERS: Final = (Zhipu(),)
