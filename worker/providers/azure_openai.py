"""Azure OpenAI (Microsoft Foundry): OpenAI's dialect at a resource of one's own, with content filter annotations.

Two request styles: `v1` (no api-version, `model` is the deployment) and the dated one (the deployment is in the URL).
Sources: learn.microsoft.com (API version lifecycle, content streaming, error pages), azure.py of the openai package;
for `data_sources`, openai/openai-python issue 2296 and AzureChatClient.cs of Azure/azure-sdk-for-net.
Neither style can list deployments: both model lists name the base models of a region, so deployments are configured.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal
from urllib.parse import quote

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.azure_versions import as_known
from worker.providers.compatible import CompatibleOptions, CompatibleProvider
from worker.providers.compatible_row import Row
from worker.providers.compatible_stream import ChunkMapper
from worker.providers.contract import (
    ChatCall,
    Chunk,
    Credential,
    CredentialField,
    Event,
    JsonObject,
    Options,
    Settings,
    StreamMapper,
)

_OF_CHUNK: Final = ("prompt_filter_results", "prompt_annotations")
_OF_CHOICE: Final = ("content_filter_results", "content_filter_offsets", "content_filter_result")


_CREDENTIAL_FIELDS: Final = (
    CredentialField("api_key", required=False, help="sent as api-key"),
    CredentialField("token", required=False, help="an Entra ID access token, sent as Bearer, never renewed"),
    CredentialField("tenant_id", secret=False, required=False, help="with client_id and client_secret: Entra ID"),
    CredentialField("client_id", secret=False, required=False, help="of the app registration"),
    CredentialField("client_secret", required=False, help="of the app registration"),
    CredentialField(
        "federated_token_file",
        secret=False,
        required=False,
        help="instead of a client_secret: the file with a workload identity's token, as AKS mounts it",
    ),
    CredentialField(
        "managed_identity",
        secret=False,
        required=False,
        help="system, or the client id of an identity of the Azure machine that the workers run on",
    ),
)


class AzureOptions(CompatibleOptions):
    """`api_version` chooses the dated style, for example 2024-10-21; without it requests go the v1 way. What
    the version is too old for is refused, or dropped with drop_params: see `azure_versions`.

    `annotations`: whether answers keep `prompt_filter_results` and `content_filter_results`.
    """

    api_version: str | None = None
    annotations: Literal["strip", "keep"] = "strip"


class AzureOpenAI(CompatibleProvider):
    options: ClassVar[type[Options]] = AzureOptions

    def __init__(self) -> None:
        super().__init__(
            Row(
                type_name="azure-openai",
                title="Azure OpenAI",
                key_page="the resource's Keys and Endpoint page; or an app registration in Entra ID, or a managed "
                "identity, whose tokens are renewed; a token of your own is not",
                note="base_url is the resource's endpoint; a model is the name of a deployment, listed in models.",
                models=(),
                developer_role=True,
                lacks="",
                custom_tools=True,
                codes={
                    "DeploymentNotFound": Fault.MODEL_NOT_FOUND,
                    "404 404": Fault.UPSTREAM_FAULT,  # a wrong path or api-version: the operator's, not the caller's
                    "OperationNotSupported": Fault.INVALID_REQUEST,
                    "string_above_max_length": Fault.CONTEXT_TOO_LONG,
                    "ResponsibleAIPolicyViolation": Fault.CONTENT_FILTERED,
                    "PermissionDenied": Fault.PERMISSION_DENIED,
                    "RateLimitReached": Fault.RATE_LIMITED,
                    "Timeout": Fault.TIMED_OUT,
                },
            )
        )
        self.credential_fields = _CREDENTIAL_FIELDS

    def url(self, settings: Settings, model: str) -> str:
        endpoint = settings.base_url.removesuffix("/v1").removesuffix("/openai")
        version = _options(settings).api_version
        if version is None:
            return f"{endpoint}/openai/v1/chat/completions"
        deployment = quote(model, safe="")
        return f"{endpoint}/openai/deployments/{deployment}/chat/completions?api-version={quote(version, safe='')}"

    def headers(self, settings: Settings, credential: Credential) -> tuple[tuple[str, str], ...]:
        named = _authentication(credential.values)
        return (("content-type", "application/json"), *named, *_options(settings).headers.items())

    def body(self, chat: ChatCall) -> JsonObject:
        body = super().body(chat)
        if body.get("data_sources"):
            # "Extra inputs are not permitted" beside them; their usage is estimated.
            body.pop("stream_options", None)
        version = _options(chat.settings).api_version
        if version is not None:
            del body["model"]
            body = as_known(body, version, drop=chat.settings.drop_params)
        return body

    def tidy_completion(self, data: JsonObject, chat: ChatCall) -> JsonObject:
        completion = super().tidy_completion(data, chat)
        if _options(chat.settings).annotations == "strip":
            _strip(completion)
        return completion

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        return AnnotatedMapper(self._chunk_mapper(chat), keep=_options(chat.settings).annotations == "keep")


class AnnotatedMapper:
    """Takes Azure's filter annotations out of a stream, or keeps those that stand beside content.

    With asynchronous filtering some come in frames of their own, even after the finish reason: these are dropped, as
    is what the first frame says of the prompt unless it is kept, on the next chunk.
    """

    def __init__(self, mapper: ChunkMapper, *, keep: bool) -> None:
        self.ended = False
        self._mapper = mapper
        self._keep = keep
        self._of_prompt: JsonObject = {}

    def feed(self, event: Event) -> Sequence[Chunk]:
        chunks = self._mapper.feed(event)
        self.ended = self._mapper.ended
        if b"_filter_" not in event.data and b"prompt_annotations" not in event.data and not self._of_prompt:
            return chunks
        if not self._keep:
            return [chunk for chunk in map(_stripped, chunks) if chunk is not None]
        if not chunks:
            data = orjson.loads(event.data)
            self._of_prompt |= {name: data[name] for name in _OF_CHUNK if name in data}
        for chunk in chunks[:1]:
            if self._of_prompt:
                chunk.data.update(self._of_prompt)
                chunk.raw, self._of_prompt = None, {}
        return chunks

    def finish(self) -> Sequence[Chunk]:
        return self._mapper.finish()


def _authentication(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """`access_token` is what a service principal was given. Without any, a gateway of the operator's may add it."""
    token = values.get("access_token") or values.get("token")
    if token:
        return (("authorization", f"Bearer {token}"),)
    if values.get("api_key"):
        return (("api-key", values["api_key"]),)
    if any(values.get(name) for name in ("tenant_id", "client_id", "client_secret", "federated_token_file")):
        text = (
            "An Azure credential with an app registration needs tenant_id, client_id and client_secret, or "
            "federated_token_file instead of the last."
        )
        raise UpstreamError(Fault.CREDENTIAL_REJECTED, text, sent=False)
    return ()


def _options(settings: Settings) -> AzureOptions:
    assert isinstance(settings.options, AzureOptions)
    return settings.options


def _strip(data: JsonObject) -> None:
    for name in _OF_CHUNK:
        data.pop(name, None)
    for choice in data["choices"]:
        for name in _OF_CHOICE:
            choice.pop(name, None)


def _stripped(chunk: Chunk) -> Chunk | None:
    """The chunk without annotations; None if it was nothing else."""
    _strip(chunk.data)
    said = [choice for choice in chunk.data["choices"] if choice["delta"] or choice["finish_reason"]]
    return Chunk(chunk.data) if said or chunk.data.get("usage") else None


PROVIDERS: Final = (AzureOpenAI(),)
