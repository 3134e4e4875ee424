"""Qwen Code's OAuth accounts at portal.qwen.ai, whose free tier ended on 2026-04-15.

Sources: QwenLM/qwen-code `packages/core/src/qwen/` (`qwenOAuth2.ts`, `resource_url`) and its DashScope provider
(headers); its pull requests 3207 and 3210 (the end of the free tier) and issues 3281, 3390 and 3403, by which accounts
without a plan are answered with an exhausted quota and, since, with 401 although their token is fresh. The wire is
DashScope's OpenAI-compatible mode.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from worker.faults import Fault, UpstreamError
from worker.providers.compatible import CompatibleOptions, CompatibleProvider
from worker.providers.compatible_row import OLD_FUNCTIONS, Row
from worker.providers.contract import (
    USER_AGENT,
    Capabilities,
    ChatCall,
    Credential,
    CredentialField,
    JsonObject,
    Options,
    Settings,
    Status,
    UpstreamRequest,
)
from worker.providers.fields import named, refusal

_ENDED: Final = (
    " Qwen Code's free tier ended on 2026-04-15, and accounts without a plan are refused like this: use a DashScope "
    "API key (provider type `dashscope`) or a Coding Plan key."
)
_ROW: Final = Row(
    type_name="qwen-code",
    title="Qwen Code (OAuth)",
    base_url="https://portal.qwen.ai/v1",
    note="The free tier ended on 2026-04-15; accounts without a plan are refused. Use `dashscope` with an API key.",
    key_page="`penstock login qwen-code`; the token lasts hours and is refreshed",
    renames={"max_completion_tokens": "max_tokens"},
    refuses={
        "*": f"{OLD_FUNCTIONS} reasoning_effort n logprobs top_logprobs logit_bias frequency_penalty service_tier"
    },
    tool_choices="none auto function",  # in compatible mode there is no "required"
    codes={
        "invalid_access_token": Fault.CREDENTIAL_REJECTED,
        "insufficient_quota": Fault.QUOTA_EXHAUSTED,
        "data_inspection_failed": Fault.CONTENT_FILTERED,
    },
    capabilities=Capabilities(json_schema=False, reasoning=False),
)


class QwenCode(CompatibleProvider):
    status = Status.UNOFFICIAL
    options: ClassVar[type[Options]] = CompatibleOptions
    static_models = (
        "qwen3-coder-plus",
        "qwen3-coder-turbo",
        "qwen3-plus",
        "qwen3-turbo",
        "coder-model",
        "vision-model",
    )

    def __init__(self) -> None:
        super().__init__(_ROW)
        self.credential_fields = (
            CredentialField("access_token", help="from `penstock login qwen-code` or ~/.qwen/oauth_creds.json"),
            CredentialField("refresh_token", required=False),
            CredentialField("resource_url", secret=False, required=False, help="the account's API host"),
            CredentialField("expiry", secret=False, required=False, help="RFC 3339, or ms since 1970; empty: unknown"),
            CredentialField("client_id", secret=False, required=False, help="the OAuth client that signed in"),
        )

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        """To the account's own host, if its token came with one and the configuration names no other."""
        request = super().build_request(chat, credential)
        host = credential.values.get("resource_url")
        if not host or chat.settings.base_url != _ROW.base_url:
            return request
        return UpstreamRequest(
            request.method, f"{resource_base(host)}/chat/completions", request.headers, request.body, request.streamed
        )

    def headers(self, settings: Settings, credential: Credential) -> tuple[tuple[str, str], ...]:
        return (
            *super().headers(settings, credential),
            ("authorization", f"Bearer {credential.values['access_token']}"),
            ("x-dashscope-cachecontrol", "enable"),
            ("x-dashscope-authtype", "qwen-oauth"),
            ("x-dashscope-useragent", USER_AGENT),
        )

    def body(self, chat: ChatCall) -> JsonObject:
        """One system message, in front. Coder models take a schema for a wish for any JSON (help.aliyun.com,
        "Structured output": json_object alone).
        """
        body = super().body(chat)
        if (body.get("response_format") or {}).get("type") == "json_schema":
            if not chat.settings.drop_params:
                raise refusal("response_format", self.title, "it has json_object, no json_schema")
            del body["response_format"]
        body["messages"] = _one_system(body["messages"])
        return body

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        error = super().parse_error(status, headers, body)
        if error.fault in {Fault.QUOTA_EXHAUSTED, Fault.CREDENTIAL_REJECTED}:
            return UpstreamError(error.fault, error.message + _ENDED, code=error.code)
        return error

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        """There is no such call."""
        return None


def resource_base(host: str) -> str:
    """The API base of a token's `resource_url`, which comes with or without scheme and version."""
    base = host.rstrip("/") if "://" in host else f"https://{host.rstrip('/')}"
    return base if base.endswith("/v1") else f"{base}/v1"


def _one_system(messages: list[JsonObject]) -> list[JsonObject]:
    system = [message for message in messages if message["role"] == "system"]
    if len(system) < 2 and messages[: len(system)] == system:  # noqa: PLR2004  one is what is wanted
        return messages
    text = "\n\n".join(named(message, "\n\n".join(_texts(message["content"]))) for message in system)
    return [{"role": "system", "content": text}, *(message for message in messages if message["role"] != "system")]


def _texts(content: str | list[JsonObject]) -> list[str]:
    return [content] if isinstance(content, str) else [part["text"] for part in content]


PROVIDERS = (QwenCode(),)
