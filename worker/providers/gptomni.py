"""gptomni.ai by the cookie of a signed-in person: a text in, a text out.

Source: lzA6/gptomni-2api (`app/providers/`), the only public description. The body is JSON under a text content type,
and the answer is bare UTF-8 text whose end is the end of the body: a cut that is clean cannot be told from an end.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import orjson
from pydantic import Field

from worker.faults import Fault, UpstreamError
from worker.providers.chunks import ChunkWriter
from worker.providers.contract import (
    Capabilities,
    ChatCall,
    Chunk,
    Credential,
    CredentialField,
    Event,
    Framing,
    Options,
    Status,
    UpstreamRequest,
)
from worker.providers.fields import wishes
from worker.providers.sessions import StreamedProvider, challenge, is_page, may_become_page, session_error
from worker.providers.transcript import dialogue, transcript

_SITE = "gptomni.ai"


class GptOmniOptions(Options):
    last_message_only: bool = Field(False, description="Send the last user message without the dialogue before it.")


class GptOmni(StreamedProvider):
    type_name = "gptomni"
    title = "GPT Omni (gptomni.ai web session)"
    status = Status.UNOFFICIAL
    note = "Not verified: whether the site still answers is unknown. It takes any model name and always answers alike."
    default_base_url = "https://gptomni.ai"
    credential_fields = (CredentialField("cookie", help="the whole Cookie header of gptomni.ai"),)
    credential_source = "Browser tools on gptomni.ai after signing in: request header `Cookie`. Expiry unknown."
    capabilities = Capabilities(tools=False, images=False, json_schema=False, reasoning=False, usage=False)
    options: ClassVar[type[Options]] = GptOmniOptions
    static_models = ("gptomni",)

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        wishes(chat.body, (), upstream=self.title, drop=chat.settings.drop_params)
        options = chat.settings.options
        assert isinstance(options, GptOmniOptions)
        talk = dialogue(chat, self.title)
        base_url = chat.settings.base_url
        headers = (
            ("content-type", "text/plain;charset=UTF-8"),
            ("cookie", credential.values["cookie"]),
            ("origin", base_url),
            ("referer", f"{base_url}/zh"),
        )
        body = orjson.dumps({"prompt": talk.question if options.last_message_only else transcript(talk)})
        url = f"{base_url}/api/chatWithText"
        return UpstreamRequest("POST", url, headers, body, streamed=True, framing=Framing.RAW)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return session_error(status, headers, body, site=_SITE)

    def stream_mapper(self, chat: ChatCall) -> "GptOmniMapper":
        return GptOmniMapper(chat)


class GptOmniMapper:
    """Passes text on once it cannot be a web page: a challenge or a sign-in page comes with status 200 too."""

    def __init__(self, chat: ChatCall) -> None:
        self._chunks = ChunkWriter(chat)
        self._held = b""
        self.ended = False

    def feed(self, event: Event) -> Sequence[Chunk]:
        if self._chunks.began:
            return (self._chunks.delta(content=event.data.decode()),)
        self._held += event.data
        if is_page(self._held):
            raise challenge(_SITE)
        return () if may_become_page(self._held) else self._release()

    def finish(self) -> Sequence[Chunk]:
        rest = () if self._chunks.began else self._release()
        if not self._chunks.began:
            raise UpstreamError(Fault.UPSTREAM_FAULT, f"{_SITE} answered with nothing.")
        self.ended = True
        return (*rest, self._chunks.finish("stop"))

    def _release(self) -> Sequence[Chunk]:
        held, self._held = self._held, b""
        return (self._chunks.delta(content=held.decode()),) if held.strip() else ()


PROVIDERS = (GptOmni(),)
