"""Bing Chat's "Sydney", which was shut down in 2025, and servers that still speak its protocol.

Sources: vsakkas/sydney.py (`sydney/constants.py`, `sydney/sydney.py`), its README and issue 186 (the end); Microsoft's
SignalR hub protocol for the frames: JSON ended by U+001E, types 1 (update), 2 (result), 3 (completion), 6 (ping),
7 (close). The client's own ping goes out with the question: the server waits 30 s for one, and answers are shorter.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Literal
from urllib.parse import quote as percent_encode

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import cut_short, event_object, json_object
from worker.providers.chunks import ChunkWriter
from worker.providers.compatible_errors import quote
from worker.providers.contract import (
    Answer,
    Ask,
    Capabilities,
    ChatCall,
    Chunk,
    Credential,
    CredentialField,
    Event,
    Exchange,
    Framing,
    JsonObject,
    Options,
    Status,
    UpstreamRequest,
    UpstreamResponse,
)
from worker.providers.fields import wishes
from worker.providers.sessions import SessionProvider, challenge, is_challenge, session_error
from worker.providers.transcript import dialogue, transcript

_SITE = "Bing Chat"
_END = "\x1e"
_GONE = (
    "Bing Chat (Sydney) was shut down: Microsoft replaced it by Copilot, which has another protocol and no public API. "
    "Use `azure-openai`, or set base_url to a server of your own that speaks Sydney's protocol."
)
_SIGNATURE, _ENCRYPTED = "x-sydney-conversationsignature", "x-sydney-encryptedconversationsignature"
_STYLES = {
    "creative": ("h3imaginative", "clgalileo", "gencontentv3"),
    "balanced": ("galileo",),
    "precise": ("h3precise", "clgalileo"),
}
_RESULTS = {
    "Throttled": Fault.RATE_LIMITED,
    "UnauthorizedRequest": Fault.CREDENTIAL_REJECTED,
    "ProcessingMessage": Fault.RATE_LIMITED,
}


class BingSydneyOptions(Options):
    style: Literal["creative", "balanced", "precise"] = "balanced"


class BingSydney(SessionProvider):
    type_name = "bing-sydney"
    title = "Bing Chat (Sydney)"
    status = Status.DISCONTINUED
    note = "Shut down in 2025: answers 410 unless base_url names a server that speaks its protocol."
    credential_fields = (CredentialField("cookie", required=False, help="Cookie header of that server; `_U` at Bing"),)
    credential_source = "There is none any more for Microsoft's own service."
    capabilities = Capabilities(tools=False, images=False, json_schema=False, reasoning=False, usage=False)
    options: ClassVar[type[Options]] = BingSydneyOptions
    static_models = ("bing-balanced", "bing-creative", "bing-precise")

    def exchange(self, chat: ChatCall, credential: Credential) -> Exchange:
        """Creates a conversation, then asks over the WebSocket; conversations end by themselves."""
        base_url = chat.settings.base_url
        if not base_url:
            raise UpstreamError(Fault.DISCONTINUED, _GONE, sent=False)
        wishes(chat.body, (), upstream=self.title, drop=chat.settings.drop_params)
        prompt = transcript(dialogue(chat, self.title))
        cookie = credential.values.get("cookie")
        headers = (("cookie", cookie),) if cookie else ()
        created = yield Ask(UpstreamRequest("GET", f"{base_url}/turing/conversation/create", headers))
        assert created is not None
        hub, conversation = self._conversation(base_url, created)
        yield Answer(
            UpstreamRequest(
                "GET",
                hub,
                headers,
                streamed=True,
                framing=Framing.WEBSOCKET,
                messages=tuple(_frame(message) for message in _question(chat, prompt, conversation)),
            )
        )

    def _conversation(self, base_url: str, created: UpstreamResponse) -> tuple[str, JsonObject]:
        """The hub's address and the conversation: `{"conversationId", "clientId", "result"}` and two headers."""
        told = json_object(created.body)
        result = told.get("result") or {}
        if created.status != HTTPStatus.OK or result.get("value") != "Success":
            raise self.parse_error(created.status, created.headers, created.body)
        hub = f"{base_url.replace('http', 'ws', 1)}/sydney/ChatHub"
        if _ENCRYPTED in created.headers:
            hub += f"?sec_access_token={percent_encode(created.headers[_ENCRYPTED], safe='')}"
        return hub, {**told, "signature": created.headers.get(_SIGNATURE) or told.get("conversationSignature")}

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        result = json_object(body).get("result")
        if isinstance(result, dict) and result.get("value") != "Success":
            return _refusal(result)
        if "copilot" in headers.get("location", ""):
            return UpstreamError(Fault.DISCONTINUED, _GONE)
        if is_challenge(status, headers, body):
            return challenge(_SITE)
        if status == HTTPStatus.NOT_FOUND:
            return UpstreamError(Fault.DISCONTINUED, _GONE)
        if status == HTTPStatus.OK and not body:
            return UpstreamError(Fault.CREDENTIAL_REJECTED, f"{_SITE} created no conversation for this cookie.")
        return session_error(status, headers, body, site=_SITE)

    def stream_mapper(self, chat: ChatCall) -> "BingSydneyMapper":
        return BingSydneyMapper(chat)


def _frame(message: JsonObject) -> str:
    return orjson.dumps(message).decode() + _END


def _style(chat: ChatCall) -> str:
    """By the model's name, else as configured."""
    named = chat.model.removeprefix("bing-")
    assert isinstance(chat.settings.options, BingSydneyOptions)
    return named if named in _STYLES else chat.settings.options.style


def _question(chat: ChatCall, prompt: str, conversation: JsonObject) -> Sequence[JsonObject]:
    """The handshake, a ping and the question."""
    style = _style(chat)
    argument = {
        "source": "cib",
        "optionsSets": ["nlu_direct_response_filter", "deepleo", "disable_emoji_spoken_text", *_STYLES[style]],
        "allowedMessageTypes": ["Chat"],
        "sliceIds": [],
        "verbosity": "verbose",
        "scenario": "SERP",
        "plugins": [],
        "isStartOfSession": True,
        "message": {"author": "user", "inputMethod": "Keyboard", "text": prompt, "messageType": "Chat"},
        "conversationSignature": conversation["signature"],
        "participant": {"id": conversation.get("clientId")},
        "tone": style.capitalize(),
        "spokenTextMode": "None",
        "conversationId": conversation.get("conversationId"),
    }
    ask: JsonObject = {"type": 4, "target": "chat", "invocationId": "0", "arguments": [argument]}
    return {"protocol": "json", "version": 1}, {"type": 6}, ask


def _refusal(result: JsonObject) -> UpstreamError:
    value = str(result.get("value"))
    if value == "CaptchaChallenge":
        return challenge(_SITE)
    return UpstreamError(_RESULTS.get(value, Fault.UPSTREAM_FAULT), f"{_SITE} answered {value}.", code=value)


class BingSydneyMapper:
    """Updates repeat the whole answer so far; the result repeats it once more."""

    def __init__(self, chat: ChatCall) -> None:
        self._chunks = ChunkWriter(chat)
        self._text = ""
        self.ended = False

    def feed(self, event: Event) -> Sequence[Chunk]:
        chunks: list[Chunk] = []
        for record in event.data.split(_END.encode()):
            if record and not self.ended:
                chunks += self._record(event_object(record, _SITE))
        return chunks

    def finish(self) -> Sequence[Chunk]:
        if not self.ended:
            raise cut_short(_SITE)
        return ()

    def _record(self, data: JsonObject) -> Sequence[Chunk]:
        match data:
            case {"type": 1, "arguments": [{"messages": [message, *_]}, *_]}:
                return self._more(message)
            case {"type": 2, "item": {"result": {"value": "Success"}, **item}}:
                return self._whole(item.get("messages"))
            case {"type": 2, "item": {"result": dict(result)}}:
                raise _refusal(result)
            case {"error": str(said)}:
                raise UpstreamError(Fault.UPSTREAM_FAULT, f"{_SITE} closed the connection: {quote(said)}")
            case {"type": int()} | {}:
                return ()

    def _whole(self, messages: Any) -> Sequence[Chunk]:
        answers = [message for message in messages or () if message.get("author") == "bot"]
        chunks = [chunk for message in answers[-1:] for chunk in self._more(message)]
        self.ended = True
        return [*chunks, self._chunks.finish("stop")]

    def _more(self, message: Any) -> Sequence[Chunk]:
        """What the answer says beyond the last update. Notices of a search and internal messages are left out."""
        text = message.get("text")
        if not isinstance(text, str) or message.get("messageType", "Chat") != "Chat" or _is_notice(message):
            return ()
        if not text.startswith(self._text):
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"{_SITE} took back a part of its answer.")
        fresh, self._text = text[len(self._text) :], text
        return (self._chunks.delta(content=fresh),) if fresh else ()


def _is_notice(message: JsonObject) -> bool:
    match message.get("adaptiveCards"):
        case [{"body": [{"inlines": _}, *_]}, *_]:
            return True
    return False


PROVIDERS = (BingSydney(),)
