"""CodeGeeX, the backend of its IDE plug-in, by the token of a signed-in person.

Sources: WenChunTech/OpenAICompatible `src/provider/codegeex/codegeex.go` and `src/model/codegeex/` (body, model list);
a community adapter of mid-2025 (history pairs, events `add` and `finish`); linuxdeepin/deepin-unioncode
`codegeexmanager.cpp` (address). There is no official description. The text of `finish` is the whole answer, not its
last piece, so it counts only where no `add` came before it.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from pydantic import Field

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import cut_short, event_object, json_object
from worker.providers.chunks import ChunkWriter
from worker.providers.compatible_errors import quote
from worker.providers.contract import (
    Capabilities,
    ChatCall,
    Chunk,
    Credential,
    CredentialField,
    Event,
    JsonObject,
    Options,
    Settings,
    Status,
    UpstreamRequest,
)
from worker.providers.fields import wishes
from worker.providers.sessions import StreamedProvider, derived_uuid, session_error
from worker.providers.transcript import dialogue, message_text

_SITE = "CodeGeeX"
_EVENTS = frozenset({"", "add", "finish"})
_SIGN_IN_WORDS = ("token", "login", "登录")
_PLUG_IN_FIELDS = {
    "ide": "ide",
    "ide_version": "ide_version",
    "plugin_version": "plugin_version",
    "machine_id": "machineId",
    "locale": "locale",
}


class CodeGeexOptions(Options):
    flat: bool = Field(False, description="Send the messages as lines of JSON in one prompt instead of history pairs.")


def _about_the_plug_in(name: str) -> CredentialField:
    return CredentialField(name, secret=False, required=False, help=f"{name} of the plug-in; may be empty")


class CodeGeex(StreamedProvider):
    type_name = "codegeex"
    title = "CodeGeeX (IDE plug-in backend)"
    status = Status.UNOFFICIAL
    note = "No public contract, last seen working in 2025; Zhipu's API (`zhipu`) is the official way to its models."
    default_base_url = "https://codegeex.cn"
    credential_fields = (
        CredentialField("token", help="the value of the header Code-Token"),
        *(_about_the_plug_in(name) for name in ("user_id", "user_role", *_PLUG_IN_FIELDS, "talk_id")),
    )
    credential_source = "Browser tools on codegeex.cn after signing in: request header `Code-Token`. Expiry unknown."
    capabilities = Capabilities(tools=False, images=False, json_schema=False, reasoning=False, usage=False)
    options: ClassVar[type[Options]] = CodeGeexOptions

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        wishes(chat.body, (), upstream=self.title, drop=chat.settings.drop_params)
        options = chat.settings.options
        assert isinstance(options, CodeGeexOptions)
        prompt, history = _flat(chat, self.title) if options.flat else _pairs(chat, self.title)
        body = {**_session(chat, credential), "model": chat.model, "prompt": prompt, "history": history}
        headers = (
            ("accept", "text/event-stream"),
            ("content-type", "application/json"),
            ("code-token", credential.values["token"]),
        )
        url = f"{chat.settings.base_url}/prod/code/chatCodeSseV3/chat"
        return UpstreamRequest("POST", url, headers, orjson.dumps(body), streamed=True)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Errors are undocumented: JSON with `code` and `msg` has been seen with status 200 in place of a stream."""
        said = _said(json_object(body))
        if status == HTTPStatus.OK and _is_about_the_token(said):
            return _rejected(said)
        return session_error(status, headers, body, site=_SITE, said=said)

    def stream_mapper(self, chat: ChatCall) -> "CodeGeexMapper":
        return CodeGeexMapper(chat)

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        headers = (("accept", "application/json"), ("code-token", credential.values["token"]))
        return UpstreamRequest("GET", f"{settings.base_url}/prod/v3/chat/model", headers)

    def parse_models(self, body: bytes) -> list[str]:
        """`{"options": [{"id", "name", "host"}], "default"}`."""
        listed = json_object(body).get("options")
        if not isinstance(listed, list):
            raise self.parse_error(200, {}, body)
        return [str(model["id"]) for model in listed]


def _said(told: JsonObject) -> str:
    return str(told.get("msg") or told.get("message") or "")


def _is_about_the_token(said: str) -> bool:
    return any(word in said.lower() for word in _SIGN_IN_WORDS)


def _rejected(said: str) -> UpstreamError:
    return UpstreamError(Fault.CREDENTIAL_REJECTED, f"{_SITE} rejected the token: {quote(said)}")


def _session(chat: ChatCall, credential: Credential) -> JsonObject:
    """What the plug-in tells about itself. `talkId`, a conversation, is derived from the completion's id if not set."""
    given = credential.values
    role = given.get("user_role") or "0"
    if not role.isdecimal():
        raise UpstreamError(
            Fault.CREDENTIAL_REJECTED, "A CodeGeeX credential's user_role must be a number.", sent=False
        )
    return {
        "user_id": given.get("user_id", ""),
        "user_role": int(role),
        **{field: given.get(name, "") for name, field in _PLUG_IN_FIELDS.items()},
        "talkId": given.get("talk_id") or derived_uuid(chat.completion_id, "talk"),
        "agent": None,
        "candidates": None,
    }


def _pairs(chat: ChatCall, upstream: str) -> tuple[str, list[JsonObject]]:
    """The last user message and the exchanges before it. A system prompt has no field, so it leads the first one."""
    talk = dialogue(chat, upstream)
    texts = [turn.text for turn in talk.turns]
    if talk.turns[0].role == "assistant":
        texts.insert(0, "")
    if talk.system:
        texts[0] = f"{talk.system}\n\n{texts[0]}"
    history = [
        {"query": query, "answer": answer, "id": derived_uuid(chat.completion_id, str(number))}
        for number, (query, answer) in enumerate(zip(texts[:-1:2], texts[1::2], strict=True))
    ]
    return texts[-1], history


def _flat(chat: ChatCall, upstream: str) -> tuple[str, None]:
    """The predecessor's form: each message as one line of JSON."""
    drop = chat.settings.drop_params
    lines = [
        orjson.dumps({"role": message["role"], "content": message_text(message, index, upstream, drop=drop)}).decode()
        for index, message in enumerate(chat.body["messages"])
    ]
    return "\n".join(lines), None


def _reported(event: Event) -> UpstreamError:
    """Events of other names are undocumented, JSON or not."""
    said = _said(json_object(event.data)) or event.data.decode(errors="replace") or event.name
    if _is_about_the_token(said):
        return _rejected(said)
    return UpstreamError(Fault.UPSTREAM_FAULT, f"{_SITE} reports an error: {quote(said)}")


class CodeGeexMapper:
    def __init__(self, chat: ChatCall) -> None:
        self._chunks = ChunkWriter(chat)
        self.ended = False

    def feed(self, event: Event) -> Sequence[Chunk]:
        if event.name not in _EVENTS:
            raise _reported(event)
        data: Any = event_object(event.data, _SITE)
        text = data.get("text")
        if "text" not in data and event.name != "finish":
            raise _reported(event)
        if event.name == "finish":
            self.ended = True
            whole = [self._chunks.delta(content=text)] if text and not self._chunks.began else []
            return [*whole, self._chunks.finish("stop")]
        return [self._chunks.delta(content=text)] if text else ()

    def finish(self) -> Sequence[Chunk]:
        if not self.ended:
            raise cut_short(_SITE)
        return ()


PROVIDERS = (CodeGeex(),)
