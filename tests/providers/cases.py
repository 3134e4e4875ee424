"""Reads the fixtures of provider types: `tests/providers/<type_name>/` holds one folder for each case.

In the type's folder
    errors.json          [{"status", "headers"?, "body", "fault", "retry_after_s"?, "code"?, "param"?}]: `parse_error`.
                         `body` is JSON or a text; a text is sent as it stands.
    models.json          {"request", "body", "models"}: the list call, an answer, and the ids found in it; "next", the
                         call for its next page where it has one; `"settings"` and `"credential"` as in chat.json.
    garbage.json         true where any text is a valid answer of this upstream (raw text): no garbage is tried.

In a case's folder
    chat.json            {"request": an OpenAI request without "stream"} and, where they differ from the defaults:
                         "model" (the upstream's id), "credential" {field: value} (default: test-<field>), "options",
                         "base_url", "drop_params", "completion_id", "created", and "like": "<type>/<case>", the case
                         whose files count where this one has none.
    request.json         golden request of the plain call: {"method", "url", "headers", "body"?, "streamed"?,
                         "framing"?, "messages"?}. `body` and each message is JSON or a text; all headers are compared.
    stream_request.json  the same for the streamed call.
    exchange.json, stream_exchange.json
                         instead of these where an upstream needs several calls: a list of {"ask": request, "response":
                         {"status"?, "headers"?, "body"}} and one {"answer": request, "stop"?: request that ends
                         an answer that nobody hears}.
    exchange_errors.json [{"responses": [response, ...], "fault", "retry_after_s"?}]: the exchange must raise after the
                         last of these responses; with none of them, at once.
    response.json, response.txt
                         a whole answer of the upstream, byte for byte.
    completion.json      the `chat.completion` that it is; also what the joined stream must equal.
    stream.sse, stream.lines, stream.raw, stream.ws.json
                         a streamed answer, byte for byte, in the request's framing; the last is a list of messages.
    chunks.json          the `data` of the chunks that it maps to.
    stream_completion.json
                         what the joined stream must equal where that is not completion.json.
    refusals.json        [{"request": members to set or, with null, to remove, "param", "drops"?: true}]: InvalidRequest
                         must name `param`; with drop_params the request must be built, unless `drops` is false.
    broken_streams.json  [{"stream": text or list of messages, "fault", "retry_after_s"?}]: mapping must raise.
    broken_answers.json  [{"body", "fault"}]: 200 answers that `parse_response` must refuse.
    local_errors.json    [{"request": members to set, "fault"}]: for a provider without an upstream.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.faults import UpstreamError
from worker.providers.compatible import CompatibleProvider
from worker.providers.compatible_row import Row
from worker.providers.contract import (
    ChatCall,
    Chunk,
    Credential,
    Event,
    Framing,
    Provider,
    Settings,
    StreamMapper,
    UpstreamRequest,
    UpstreamResponse,
)
from worker.providers.registry import providers
from worker.sse import splitter

FOLDER = Path(__file__).parent
MAX_EVENT_BYTES = 1 << 20
STREAMS = {
    "stream.sse": Framing.SSE,
    "stream.lines": Framing.LINES,
    "stream.raw": Framing.RAW,
    "stream.ws.json": Framing.WEBSOCKET,
}


@dataclass(frozen=True)
class Case:
    """One case of one provider type."""

    folder: Path

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def provider(self) -> Provider:
        return providers()[self.folder.parent.name]

    @property
    def chat(self) -> Mapping[str, Any]:
        data: Mapping[str, Any] = json.loads((self.folder / "chat.json").read_bytes())
        return data

    def path(self, *names: str) -> Path | None:
        """The first of these files that the case has, or the one it is like."""
        for folder in (self.folder, FOLDER / self.chat.get("like", self.name)):
            for name in names:
                if (folder / name).exists():
                    return folder / name
        return None

    def json(self, *names: str) -> Any:
        """The content of the first of these files, None where there is none."""
        path = self.path(*names)
        return None if path is None else json.loads(path.read_bytes())

    def call(
        self, *, stream: bool = False, changes: Mapping[str, Any] | None = None, drop_params: bool | None = None
    ) -> ChatCall:
        """The chat with `changes` made to its request: null removes a member."""
        chat = self.chat
        body = {**deepcopy(chat["request"]), **(changes or {})}
        body = {name: value for name, value in body.items() if value is not None or name in chat["request"]}
        drop = chat.get("drop_params", False) if drop_params is None else drop_params
        return ChatCall(
            body={**body, "stream": stream} if stream else body,
            model=chat.get("model", body["model"]),
            stream=stream,
            completion_id=chat.get("completion_id", "chatcmpl-0123456789abcdef"),
            created=chat.get("created", 1_700_000_000),
            settings=settings(self.provider, chat, drop_params=drop),
        )

    @property
    def credential(self) -> Credential:
        return credential(self.provider, self.chat)

    @property
    def framing(self) -> Framing:
        path = self.path(*STREAMS)
        assert path is not None, f"{self.name} has no streamed answer"
        return STREAMS[path.name]

    @property
    def stream_parts(self) -> list[bytes]:
        """The streamed answer: one piece of bytes, or the messages of a WebSocket."""
        path = self.path(*STREAMS)
        assert path is not None, f"{self.name} has no streamed answer"
        return parts(json.loads(path.read_bytes()) if path.name == "stream.ws.json" else path.read_bytes())

    def mapped(self, pieces: Sequence[bytes]) -> list[Chunk]:
        """The chunks of a streamed answer that came in these pieces and then ended."""
        return list(map_stream(self.provider.stream_mapper(self.call(stream=True)), self.framing, pieces))


def settings(provider: Provider, data: Mapping[str, Any], *, drop_params: bool = False) -> Settings:
    base_url = data.get("base_url", provider.default_base_url) or "https://upstream.test/v1"
    return Settings("test", base_url, provider.options(**data.get("options", {})), drop_params=drop_params)


def credential(provider: Provider, data: Mapping[str, Any]) -> Credential:
    values = {field.name: f"test-{field.name}" for field in provider.credential_fields if field.required}
    return Credential("test", data.get("credential", values))


def parts(stream: Any) -> list[bytes]:
    """A stream of fixtures as bytes: a text, or a list of messages, each JSON or a text."""
    if isinstance(stream, bytes):
        return [stream]
    if isinstance(stream, str):
        return [stream.encode()]
    return [message.encode() if isinstance(message, str) else json.dumps(message).encode() for message in stream]


def map_stream(mapper: StreamMapper, framing: Framing, pieces: Sequence[bytes]) -> Iterator[Chunk]:
    """Splits and maps as the worker does: nothing is read after the end marker, `finish` comes at a clean end."""
    for event in split_events(framing, pieces):
        yield from mapper.feed(event)
        if mapper.ended:
            return
    yield from mapper.finish()


def split_events(framing: Framing, pieces: Sequence[bytes]) -> Iterator[Event]:
    if framing is Framing.WEBSOCKET:
        yield from (Event(piece) for piece in pieces)
        return
    cutter = splitter(framing, MAX_EVENT_BYTES)
    for piece in pieces:
        yield from cutter.feed(piece)
    yield from cutter.close()


def payload(data: bytes | str) -> Any:
    """JSON where it is JSON, else the text."""
    try:
        return json.loads(data)
    except ValueError:
        return data if isinstance(data, str) else data.decode()


def as_golden(request: UpstreamRequest) -> dict[str, Any]:
    """A request in the form of request.json, members at their defaults left out."""
    golden: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "headers": {name.lower(): value for name, value in request.headers},
    }
    if request.body:
        golden["body"] = payload(request.body)
    if request.streamed:
        golden["streamed"] = True
    if request.framing is not Framing.SSE:
        golden["framing"] = request.framing.value
    if request.messages:
        golden["messages"] = [payload(message) for message in request.messages]
    return golden


def response(data: Mapping[str, Any]) -> UpstreamResponse:
    """A response of fixtures: `body` is JSON or a text."""
    body = data.get("body", "")
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return UpstreamResponse(data.get("status", 200), data.get("headers", {}), raw)


def type_folders() -> list[Path]:
    return sorted(path for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def has_quirks(provider: Provider) -> bool:
    """False for an OpenAI-shaped upstream that wants nothing otherwise: `openai-compatible` speaks for it."""
    if not isinstance(provider, CompatibleProvider) or provider.type_name == "openai-compatible":
        return True
    row = provider.row
    plain = Row(
        type_name=row.type_name,
        title=row.title,
        base_url=row.base_url,
        variable=row.variable,
        key_page=row.key_page,
        note=row.note,
        key_required=row.key_required,
    )
    return type(provider) is not CompatibleProvider or row != plain


def cases() -> list[Case]:
    """All cases of registered types."""
    return [
        Case(chat.parent)
        for folder in type_folders()
        if folder.name in providers()
        for chat in sorted(folder.glob("*/chat.json"))
    ]


def raised(error: UpstreamError) -> dict[str, Any]:
    """What fixtures compare of an error."""
    return {"fault": error.fault.value, "code": error.code, "param": error.param, "retry_after_s": error.retry_after_s}
