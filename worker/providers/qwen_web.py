"""chat.qwen.ai by the token of a signed-in person: a chat is created, asked and deleted.

Sources: WenChunTech/OpenAICompatible `src/provider/qwen/qwen.go` and `src/model/qwen/`; public clients of 2026 for the
`version` header and field, without which the site refuses, for deleting a chat and for the stream's phases;
FreeQwenApi issue 67 for the risk engine. There is no official description. `bx-*` headers belong to the bot protection
and are not sent.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import json_object
from worker.providers.contract import (
    Answer,
    Capabilities,
    ChatCall,
    Credential,
    CredentialField,
    Exchange,
    JsonObject,
    Options,
    Settings,
    Status,
    UpstreamRequest,
)
from worker.providers.fields import wishes
from worker.providers.qwen_web_events import SITE, QwenWebMapper, refusal_in
from worker.providers.sessions import SessionProvider, ask, challenge, derived_uuid, is_challenge, session_error
from worker.providers.transcript import dialogue, transcript

_THINKING_BUDGETS = {
    "minimal": 1024,
    "low": 4096,
    "medium": 16384,
    "high": 38912,
    "xhigh": 81920,
    "max": 81920,
}


class QwenWebOptions(Options):
    chat_type: Literal["t2t", "search"] = Field("t2t", description="search: with web search in every turn.")
    thinking: bool = Field(True, description="Think unless the request's reasoning_effort says otherwise.")
    keep_conversations: bool = Field(False, description="Do not delete the chat of a request.")
    web_version: str = Field("0.2.81", description="The site's version that we speak; old ones are refused.")


class QwenWeb(SessionProvider):
    type_name = "qwen-web"
    title = "Qwen (chat.qwen.ai web session)"
    status = Status.UNOFFICIAL
    note = "The site's risk engine often answers instead of the model; use `dashscope` with an API key."
    default_base_url = "https://chat.qwen.ai"
    credential_fields = (
        CredentialField("token", help="the site's token, a JWT"),
        CredentialField("cookie", required=False, help="the site's Cookie header, where the token alone is refused"),
    )
    credential_source = (
        "Browser tools on chat.qwen.ai after signing in: local storage or cookie `token`. About 30 days."
    )
    capabilities = Capabilities(tools=False, images=False, json_schema=False)
    options: ClassVar[type[Options]] = QwenWebOptions

    def exchange(self, chat: ChatCall, credential: Credential) -> Exchange:
        """Creates a chat, asks in it, and deletes it, for the account fills with chats otherwise."""
        wanted = wishes(chat.body, ("reasoning_effort",), upstream=self.title, drop=chat.settings.drop_params)
        options = _options(chat.settings)
        node = _node(chat, options, transcript(dialogue(chat, self.title)), wanted.get("reasoning_effort"))
        new = _request(chat.settings, credential, "POST", "/v2/chats/new", _new(chat, options))
        created = yield from ask(self, new, creates=True)
        chat_id = _chat_id(created)
        body = _completion(chat, chat_id, node)
        path = f"/v2/chat/completions?chat_id={chat_id}"
        yield Answer(_request(chat.settings, credential, "POST", path, body, streamed=True))
        if not options.keep_conversations:
            yield from ask(self, _request(chat.settings, credential, "DELETE", f"/v2/chats/{chat_id}"))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Refusals have status 200: `{"success": false, "data": {"code", "details", "num"}}`, or are a page."""
        return refusal_in(json_object(body)) or session_error(status, headers, body, site=SITE)

    def stream_mapper(self, chat: ChatCall) -> QwenWebMapper:
        return QwenWebMapper(chat)

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        return _request(settings, credential, "GET", "/models")

    def parse_models(self, body: bytes) -> list[str]:
        """`{"data": [{"id", "info": {"is_active"}}]}`; those that are not active are left out."""
        listed = json_object(body).get("data")
        if not isinstance(listed, list):
            raise self.parse_error(200, {}, body)
        return [model["id"] for model in listed if (model.get("info") or {}).get("is_active", True)]


def _options(settings: Settings) -> QwenWebOptions:
    assert isinstance(settings.options, QwenWebOptions)
    return settings.options


def _request(
    settings: Settings, credential: Credential, method: str, path: str, body: Any = None, *, streamed: bool = False
) -> UpstreamRequest:
    headers = [
        ("authorization", f"Bearer {credential.values['token']}"),
        ("accept", "application/json"),
        ("source", "web"),
        ("version", _options(settings).web_version),
    ]
    if credential.values.get("cookie"):
        headers.append(("cookie", credential.values["cookie"]))
    if body is not None:
        headers.append(("content-type", "application/json"))
    data = b"" if body is None else orjson.dumps(body)
    return UpstreamRequest(method, f"{settings.base_url}/api{path}", tuple(headers), data, streamed=streamed)


def _new(chat: ChatCall, options: QwenWebOptions) -> JsonObject:
    return {
        "title": "New Chat",
        "models": [chat.model],
        "chat_mode": "normal",
        "chat_type": options.chat_type,
        "timestamp": chat.created * 1000,
        "project_id": "",
    }


def _chat_id(created: Any) -> str:
    match created:
        case {"success": True, "data": {"id": str(chat_id)}}:
            return chat_id
    refused = refusal_in(created) if isinstance(created, dict) else None
    if refused is None and is_challenge(HTTPStatus.OK, {}, orjson.dumps(created)):
        refused = challenge(SITE)
    raise refused or UpstreamError(Fault.UPSTREAM_FAULT, f"{SITE} created no chat.")


def _node(chat: ChatCall, options: QwenWebOptions, prompt: str, effort: str | None) -> JsonObject:
    """The one message of a chat; `fid` is derived from the completion's id."""
    features: JsonObject = {
        "thinking_enabled": options.thinking if effort is None else effort != "none",
        "output_schema": "phase",
        "research_mode": "normal",
        "auto_thinking": False,
        "auto_search": options.chat_type == "search",
    }
    if effort in _THINKING_BUDGETS:
        features["thinking_budget"] = _THINKING_BUDGETS[effort]
    return {
        "fid": derived_uuid(chat.completion_id, "message"),
        "parentId": None,
        "parent_id": None,
        "childrenIds": [],
        "role": "user",
        "content": prompt,
        "user_action": "chat",
        "files": [],
        "timestamp": chat.created,
        "models": [chat.model],
        "chat_type": options.chat_type,
        "sub_chat_type": options.chat_type,
        "feature_config": features,
        "extra": {"meta": {"subChatType": options.chat_type}},
    }


def _completion(chat: ChatCall, chat_id: str, node: JsonObject) -> JsonObject:
    return {
        "stream": True,
        "version": "2.1",
        "incremental_output": True,
        "chat_id": chat_id,
        "chat_mode": "normal",
        "model": chat.model,
        "parent_id": None,
        "messages": [node],
        "timestamp": chat.created,
    }


PROVIDERS = (QwenWeb(),)
