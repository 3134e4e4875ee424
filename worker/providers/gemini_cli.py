"""Gemini through Code Assist, the service behind Google's Gemini CLI, with a person's sign-in.

The body is that of the Gemini API in an envelope with model and project; the ids that the service wants per prompt and
per conversation are derived from the call. Google forbids third-party software to use the CLI's own sign-in: bring an
OAuth client of your own where your licence permits it. `enabled_credit_types` is never sent: it allows the service to
go on at the expense of a person's Google One credits, which the CLI does only after asking (`billing/billing.ts`), and
accounts that have such credits are no longer served.

Source: `packages/core/src/code_assist/{server,converter,types}.ts` of google-gemini/gemini-cli. The service has no list
of models; of those that others have, gemini-3-pro-preview was taken down (router-for-me/CLIProxyAPI, pull request
1824).
"""

from collections.abc import Mapping
from typing import ClassVar, Final

import orjson

from worker.faults import UpstreamError
from worker.providers.contract import (
    ChatCall,
    Credential,
    CredentialField,
    JsonObject,
    Options,
    Provider,
    Status,
    StreamMapper,
    UpstreamRequest,
)
from worker.providers.gemini_answer import GenerateMapper, parse_answer
from worker.providers.gemini_errors import parse_error
from worker.providers.gemini_request import FIELDS, GeminiOptions, build_body
from worker.providers.old_functions import completion_as_asked, mapper_as_asked
from worker.providers.sessions import derived_uuid

_UPSTREAM: Final = "Gemini Code Assist"
# Its requests have a fixed list of members, without a tier.
_FIELDS: Final = FIELDS - {"service_tier"}


class GeminiCli(Provider):
    type_name = "gemini-cli"
    title = "Gemini Code Assist"
    status = Status.UNOFFICIAL
    note = (
        "Needs a Code Assist Standard or Enterprise licence: Google ended it for personal accounts on 2026-06-18. Its "
        "terms do not allow third-party software to use the CLI's sign-in, and the account may be suspended. Prefer "
        "type gemini with an API key."
    )
    default_base_url = "https://cloudcode-pa.googleapis.com/v1internal"
    credential_fields = (
        CredentialField("access_token", help="expires after an hour"),
        CredentialField("refresh_token", required=False, help="renews the access token"),
        CredentialField("expiry", secret=False, required=False, help="RFC 3339 or ms since 1970; empty: unknown"),
        CredentialField("client_id", secret=False, required=False, help="the OAuth client that signed in"),
        CredentialField("client_secret", required=False, help="of that OAuth client"),
        CredentialField("project_id", secret=False, required=False, help="Google Cloud project; licences need it"),
    )
    credential_source = "penstock login gemini-cli, or ~/.gemini/oauth_creds.json of the CLI; renewed each hour"
    options: ClassVar[type[Options]] = GeminiOptions
    static_models = (
        "gemini-2.5-pro",
        "gemini-2.5-flash",
        "gemini-2.5-flash-lite",
        "gemini-3.1-pro-preview",
        "gemini-3.1-pro-preview-customtools",
        "gemini-3-flash-preview",
        "gemini-3.1-flash-lite-preview",
        "gemini-3.5-flash",
        "gemma-4-31b-it",
        "gemma-4-26b-a4b-it",
    )

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        request = build_body(chat, _FIELDS)
        account = credential.values.get("project_id") or credential.name
        request["session_id"] = derived_uuid("session", account, _opening(request))
        envelope = {
            "model": chat.model,
            "user_prompt_id": derived_uuid("prompt", chat.completion_id),
            "request": request,
        }
        if credential.values.get("project_id"):
            envelope["project"] = credential.values["project_id"]
        method = "streamGenerateContent?alt=sse" if chat.stream else "generateContent"
        headers = (
            ("content-type", "application/json"),
            ("authorization", f"Bearer {credential.values['access_token']}"),
        )
        url = f"{chat.settings.base_url}:{method}"
        return UpstreamRequest("POST", url, headers, orjson.dumps(envelope), streamed=chat.stream)

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        return completion_as_asked(chat, parse_answer(chat, body, _UPSTREAM, wrapped=True))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return parse_error(status, headers, body, _UPSTREAM)

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        return mapper_as_asked(chat, GenerateMapper(chat, _UPSTREAM, wrapped=True))


def _opening(request: JsonObject) -> str:
    """What a conversation keeps as it goes on: its first turn."""
    return orjson.dumps(request["contents"][0]).decode()


PROVIDERS: Final = (GeminiCli(),)
