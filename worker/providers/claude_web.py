"""claude.ai by the cookie of a signed-in person: a conversation is created, asked and deleted.

Sources: the web client's bundle of March 2026 as published by third parties (endpoints, completion body, the uuid that
stands for "no parent", `current_leaf_message_uuid`); tian-minghui/openai-style-api `adapters/claude_web.py` (prompt
template, single_conversation); public clients of 2026 that were tried against the site (of the cookies, send the
session's alone; `account_session_invalid`; `stop_response` has no body, and without it the site answers on when the
connection is gone). There is no official description.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from pydantic import Field, ValidationInfo, field_validator

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import json_object
from worker.providers.claude_web_events import SITE, ClaudeWebMapper, site_error, unix_time
from worker.providers.compatible_errors import retry_after
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
from worker.providers.sessions import SessionProvider, ask, derived_uuid, session_error
from worker.providers.transcript import dialogue, message_text, transcript

_NO_PARENT = "00000000-0000-4000-8000-000000000000"
_ACCOUNT_DEFAULT = "default"


class ClaudeWebOptions(Options):
    prompt: str | None = Field(None, description="Template with {newMessage} and {history} for dialogues.")
    single_conversation: bool = Field(False, description="Ask everything in one conversation, which is kept.")
    conversation_id: str | None = Field(None, description="The conversation of single_conversation; else one is made.")
    keep_conversations: bool = Field(False, description="Do not delete the conversation of a request.")

    @field_validator("prompt")
    @classmethod
    def _asks(cls, prompt: str | None) -> str | None:
        if prompt is not None and "{newMessage}" not in prompt:
            raise ValueError("the template must contain {newMessage}")
        return prompt

    @field_validator("conversation_id")
    @classmethod
    def _is_shared(cls, conversation: str | None, info: ValidationInfo) -> str | None:
        if conversation is not None and not info.data.get("single_conversation"):
            raise ValueError("it counts only with single_conversation: true")
        return conversation


class ClaudeWeb(SessionProvider):
    type_name = "claude-web"
    title = "Claude (claude.ai web session)"
    status = Status.UNOFFICIAL
    note = "Automated use of a consumer session is against the service's terms; use `anthropic` with an API key."
    default_base_url = "https://claude.ai"
    credential_fields = (
        CredentialField("cookie", help="the Cookie header of claude.ai, or the value of its sessionKey alone"),
        CredentialField("organization_id", secret=False, required=False, help="which organisation, if not the first"),
    )
    credential_source = "Browser tools on claude.ai after signing in: cookie `sessionKey`. Lasts weeks; no refresh."
    capabilities = Capabilities(tools=False, images=False, json_schema=False, reasoning=False, usage=False)
    options: ClassVar[type[Options]] = ClaudeWebOptions
    static_models = (
        _ACCOUNT_DEFAULT,
        "claude-opus-4-7",
        "claude-opus-4-6",
        "claude-sonnet-4-6",
        "claude-sonnet-4-5",
        "claude-haiku-4-5",
    )

    def exchange(self, chat: ChatCall, credential: Credential) -> Exchange:
        """Finds the organisation unless the credential names it, opens a conversation, asks, deletes what it opened."""
        wishes(chat.body, (), upstream=self.title, drop=chat.settings.drop_params)
        options = _options(chat.settings)
        prompt = _prompt(chat, options, self.title)
        site = _Site(chat.settings.base_url, credential)
        organization = site.organization or _chat_organization((yield from ask(self, site.request("GET", ""))))
        folder = f"/{organization}/chat_conversations"
        if options.single_conversation:
            own = derived_uuid("claude-web", organization, chat.settings.name, credential.name)
            conversation = options.conversation_id or own
            parent = yield from self._reopen(site, folder, conversation)
        else:
            attempt = (chat.completion_id, credential.name, str(chat.created))
            conversation, parent = derived_uuid(*attempt), _NO_PARENT
            yield from ask(self, site.request("POST", folder, {"uuid": conversation, "name": ""}), creates=True)
        body = _completion(chat, prompt, parent)
        asked = f"{folder}/{conversation}"
        # In a conversation that all share, the answer that runs may be another's.
        stop = None if options.single_conversation else site.request("POST", f"{asked}/stop_response")
        yield Answer(site.request("POST", f"{asked}/completion", body, streamed=True), stop)
        if not (options.single_conversation or options.keep_conversations):
            yield from ask(self, site.request("DELETE", asked))

    def _reopen(self, site: "_Site", folder: str, conversation: str) -> Any:
        """The uuid of the conversation's last message; makes the conversation where there is none."""
        try:
            found = yield from ask(self, site.request("GET", f"{folder}/{conversation}"))
        except UpstreamError as error:
            if error.code != "not_found_error":
                raise
            yield from ask(self, site.request("POST", folder, {"uuid": conversation, "name": ""}))
            return _NO_PARENT
        return (found or {}).get("current_leaf_message_uuid") or _NO_PARENT

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """`{"type": "error", "error": {"type", "message", "details": {"error_code"}}}`, or a page."""
        error = json_object(body).get("error")
        if not isinstance(error, dict):
            return session_error(status, headers, body, site=SITE)
        return site_error(error, status, unix_time(headers.get("date")), retry_after(headers, status))

    def stream_mapper(self, chat: ChatCall) -> ClaudeWebMapper:
        return ClaudeWebMapper(chat)


class _Site:
    """Requests to the site with one account's cookie."""

    def __init__(self, base_url: str, credential: Credential) -> None:
        given = credential.values["cookie"].strip()
        jar = dict(part.strip().partition("=")[::2] for part in given.split(";"))
        # The session alone: with the whole jar of a browser the site takes the session for an invalid one.
        session = jar.get("sessionKey") or ("" if "=" in given else given)
        if not session:
            raise UpstreamError(
                Fault.CREDENTIAL_REJECTED, "A claude.ai credential's cookie must have a sessionKey.", sent=False
            )
        self._cookie = f"sessionKey={session}"
        self._base_url = base_url
        self.organization = credential.values.get("organization_id") or jar.get("lastActiveOrg")

    def request(self, method: str, path: str, body: Any = None, *, streamed: bool = False) -> UpstreamRequest:
        headers = [
            ("cookie", self._cookie),
            ("accept", "text/event-stream" if streamed else "application/json"),
            ("origin", self._base_url),
            ("referer", f"{self._base_url}/"),
        ]
        if body is not None:
            headers.append(("content-type", "application/json"))
        url = f"{self._base_url}/api/organizations{path}"
        data = b"" if body is None else orjson.dumps(body)
        return UpstreamRequest(method, url, tuple(headers), data, streamed=streamed)


def _options(settings: Settings) -> ClaudeWebOptions:
    assert isinstance(settings.options, ClaudeWebOptions)
    return settings.options


def _chat_organization(listed: Any) -> str:
    """The first organisation that may chat: an account can also have ones for the API alone."""
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and "chat" in entry.get("capabilities", ()):
            return str(entry["uuid"])
    raise UpstreamError(Fault.PERMISSION_DENIED, f"This {SITE} account has no organisation that may chat.")


def _prompt(chat: ChatCall, options: ClaudeWebOptions, upstream: str) -> str:
    talk = dialogue(chat, upstream)
    messages = chat.body["messages"]
    if options.prompt is None or len(messages) == 1:
        return transcript(talk)
    drop = chat.settings.drop_params
    history = [
        {"role": message["role"], "content": message_text(message, index, upstream, drop=drop)}
        for index, message in enumerate(messages[:-1])
    ]
    newest = message_text(messages[-1], len(messages) - 1, upstream, drop=drop)
    # The history goes in first: the newest message may itself contain the word {history}.
    before, _, after = options.prompt.partition("{newMessage}")
    shown = orjson.dumps(history).decode()
    return before.replace("{history}", shown) + newest + after.replace("{history}", shown)


def _completion(chat: ChatCall, prompt: str, parent: str) -> JsonObject:
    """`rendering_mode` "messages" selects events like those of the public Messages API."""
    body: JsonObject = {
        "prompt": prompt,
        "parent_message_uuid": parent,
        "timezone": "Etc/UTC",
        "locale": "en-US",
        "rendering_mode": "messages",
        "attachments": [],
        "files": [],
        "sync_sources": [],
        "tools": [],
    }
    return body if chat.model == _ACCOUNT_DEFAULT else {**body, "model": chat.model}


PROVIDERS = (ClaudeWeb(),)
