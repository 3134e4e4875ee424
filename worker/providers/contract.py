"""What a provider is: a translator between OpenAI's chat dialect and one upstream's wire format.

The worker calls, in this order: `exchange` (or, for the common single request, `build_request`), then for a streamed
answer `stream_mapper` with `feed` per event and `finish` at the clean end of the body, for a whole one
`parse_response`, and for any status that is not 2xx `parse_error`. Providers are stateless; what one answer needs to
remember lives in its `StreamMapper`.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol

import orjson
from pydantic import BaseModel, ConfigDict

from worker.faults import UpstreamError

JsonObject = dict[str, Any]

USER_AGENT = "penstock/0.1.0"
"""What every upstream is told, web sessions too: never a browser's name."""


class Status(StrEnum):
    OFFICIAL = "official"
    UNOFFICIAL = "unofficial"
    DISCONTINUED = "discontinued"
    NOT_OFFERED = "not offered"


class Framing(StrEnum):
    """How an upstream cuts its streamed answer into events."""

    SSE = "sse"
    LINES = "lines"  # one event per non-empty line
    RAW = "raw"  # whatever arrives is text, cut on UTF-8 boundaries
    WEBSOCKET = "websocket"  # one event per text message


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One value of a credential in penstock.yaml: `api_key`, `cookie`, ..."""

    name: str
    secret: bool = True
    required: bool = True
    help: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    streaming: bool = True
    tools: bool = True
    images: bool = True
    json_schema: bool = True
    reasoning: bool = True
    usage: bool = True


class Options(BaseModel):
    """Keys of a provider's entry in penstock.yaml beyond the common ones; a dialect subclasses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Credential:
    """One account at an upstream: `values` maps its field names to secrets, which no repr shows."""

    name: str
    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """One provider entry of the configuration, as its translator sees it. `base_url` has no trailing slash."""

    name: str
    base_url: str
    options: Options
    drop_params: bool = False


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One chat completion. `body` is the validated OpenAI request after defaults and overrides; never mutate it."""

    body: Mapping[str, Any]
    model: str  # the upstream's own model id
    stream: bool  # what the client asked for
    completion_id: str  # "chatcmpl-..." for dialects that have no id of their own
    created: int  # unix time, s
    settings: Settings


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request to send. `headers` and `body` may hold secrets and prompts, so no repr shows them.

    With `Framing.WEBSOCKET` the url is ws:// or wss:// and `messages` are sent once the socket is open.
    `streamed` says how the *answer* comes: it may differ from what the client asked, and the worker joins or splits.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    streamed: bool = False
    framing: Framing = Framing.SSE
    messages: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A whole answer, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """A side request of an exchange; its whole `UpstreamResponse`, whatever its status, is sent back in.

    `creates` says that it leaves something behind which the exchange removes after its answer. Such a request is
    awaited, and its creation removed, even if the client has left meanwhile.
    """

    request: UpstreamRequest
    creates: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The request whose answer is the chat completion. The generator is resumed, with None, when that answer has
    ended, failed or been cancelled; what it still asks then (deleting a conversation) is done in the background.

    `stop`, for an upstream that answers on when its client is gone, ends that. It is asked before anything else, and
    only where the answer was left; what it is answered does not count.
    """

    request: UpstreamRequest
    stop: UpstreamRequest | None = None


Exchange = Generator[Ask | Answer, UpstreamResponse | None, None]


class Event(NamedTuple):
    """One event of a streamed answer: the joined data lines of an SSE event, a line, a text piece or a message."""

    data: bytes
    name: str = ""


class Chunk:
    """A `chat.completion.chunk`. `raw`, where set, is its ready SSE event, and `data` what it parses to, which is done
    when somebody asks. `text`, where set beside `raw`, is all that it says, as the content of choice 0.
    """

    __slots__ = ("_data", "raw", "text")

    def __init__(self, data: JsonObject | None, raw: bytes | None = None, text: str | None = None) -> None:
        self._data = data
        self.raw = raw
        self.text = text

    @property
    def data(self) -> JsonObject:
        if self._data is None:
            assert self.raw is not None
            self._data = orjson.loads(self.raw.removeprefix(b"data: "))
        return self._data


class StreamMapper(Protocol):
    """Maps one streamed answer; one object per answer."""

    ended: bool
    """True once the upstream's own end marker was seen; nothing that follows is read."""

    def feed(self, event: Event) -> Sequence[Chunk]:
        """Raises UpstreamError for an error event and for an event that is not valid."""

    def finish(self) -> Sequence[Chunk]:
        """What is still owed when the body ended cleanly. Raises UpstreamError(UPSTREAM_FAULT) if the upstream had not
        finished: no finish reason is ever invented.
        """


class Provider(ABC):
    """One provider type. The class attributes are what `penstock providers` and the README table show."""

    type_name: str
    """The `type` of a provider entry in penstock.yaml."""
    title: str
    status: Status = Status.OFFICIAL
    note: str = ""
    """One sentence on what is special: terms of service, why discontinued."""
    default_base_url: str | None = None
    environment_variable: str | None = None
    """The usual variable with its key: `penstock up` without a file offers every provider whose variable is set."""
    credential_fields: tuple[CredentialField, ...] = (CredentialField("api_key"),)
    credential_source: str = ""
    """Where a person finds the credential, and when it expires."""
    capabilities: Capabilities = Capabilities()
    options: ClassVar[type[Options]] = Options
    static_models: tuple[str, ...] = ()
    """Offered where the upstream has no model list."""
    own_error_type: str | None = None
    """The type of errors with this upstream's own code, towards callers with keys of their own. None: OpenAI's."""

    @property
    def own_key_field(self) -> str | None:
        """The value of a credential that a caller's bearer key can be; None where one value is no credential."""
        field = next((field for field in self.credential_fields if field.secret), None)
        if field is None or any(other.required for other in self.credential_fields if other is not field):
            return None
        return field.name

    @abstractmethod
    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        """Raises InvalidRequest, naming the field, for what this upstream cannot do."""

    @abstractmethod
    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        """A whole answer as a `chat.completion` with usage where the upstream gives it. Raises UpstreamError."""

    @abstractmethod
    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Classifies by status and code. Header names are lower case. Also asked about 2xx answers that
        `parse_response` could not read, so it must accept any body.
        """

    @abstractmethod
    def stream_mapper(self, chat: ChatCall) -> StreamMapper: ...

    def exchange(self, chat: ChatCall, credential: Credential) -> Exchange:
        """The calls that make one answer; overridden where an upstream needs more than one."""
        yield Answer(self.build_request(chat, credential))

    def models_request(self, settings: Settings, credential: Credential) -> UpstreamRequest | None:
        """The request that lists the upstream's models, or None where there is no such call."""
        del settings, credential
        return None

    def next_models_request(self, asked: UpstreamRequest, body: bytes) -> UpstreamRequest | None:
        """What to ask after `asked`, which was answered with `body`; None where the list has no further page."""
        del asked, body
        return None

    def parse_models(self, body: bytes) -> list[str]:
        """Model ids from a list answer. Raises UpstreamError if it is none."""
        raise NotImplementedError(self.type_name)


class LocalProvider(Provider):
    """A provider without an upstream: it answers by itself, and the worker asks it for nothing else."""

    credential_fields: tuple[CredentialField, ...] = ()

    @abstractmethod
    def local_answer(self, chat: ChatCall) -> Sequence[Chunk]:
        """The whole answer as a stream mapper would give it. Raises UpstreamError as an upstream's answer would."""

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        raise NotImplementedError(self.type_name)

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        raise NotImplementedError(self.type_name)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        raise NotImplementedError(self.type_name)

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        raise NotImplementedError(self.type_name)
