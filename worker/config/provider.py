"""Providers of penstock.yaml: upstreams with their accounts. Keys beyond the common ones belong to the type."""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, ModelWrapValidatorHandler, SecretStr, SerializeAsAny, field_validator, model_validator

from worker.config.strict import Count, DropParams, Fields, ModelName, Name, Proxy, Seconds, Strict, Weight
from worker.config.typed import check_provider
from worker.providers.contract import Options
from worker.providers.contract import Provider as ProviderType
from worker.providers.registry import providers


class Limits(Strict):
    """What one credential may use, over all workers together. Absent: no limit."""

    rpm: Count | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    concurrency: Count | None = None
    tpm_strict: bool = False
    """Reserve the most tokens that a request could use rather than an estimate."""
    adaptive: bool = False
    """Learn limits that are not given from what the upstream answers."""


class Timeouts(Strict):
    connect_s: Seconds = 10
    first_token_s: Seconds = 60
    between_chunks_s: Seconds = 60
    total_s: Seconds = 600


class HealthCheck(Strict):
    """Asks each credential now and then whether it still works; costs a call."""

    every_s: Seconds = 60
    model: ModelName | None = None
    """Ask this model for one token; without it the model list is asked for, which most upstreams do not charge."""


class CredentialConfig(Strict):
    """One account at an upstream. In the file its secret fields stand beside the others."""

    name: Name
    weight: Weight = 1
    disabled: bool = False
    prefix: Name | None = None
    """`prefix/model` asks this account and no other."""
    limits: Limits = Limits()
    values: Mapping[str, SecretStr] = Field(default_factory=dict)


class ProviderConfig(Strict):
    name: Name
    type: str
    base_url: str = ""
    """Without a trailing slash. Absent: that of the type."""
    proxy: Proxy | None = None
    """http:// or https://, for outbound calls."""
    prefix: Name | None = None
    """Stands in for the name in `prefix/model`."""
    models: tuple[ModelName, ...] | None = None
    """Absent: asked of the upstream. `*` accepts any name."""
    model_map: Mapping[ModelName, ModelName] = Field(default_factory=dict)
    """Offered name -> the upstream's own model id."""
    weight: Weight = 1
    """Share among the providers of a merged model."""
    disabled: bool = False
    accept_unofficial: bool = False
    overrides: Fields = Field(default_factory=dict)
    defaults: Fields = Field(default_factory=dict)
    drop_params: DropParams = False
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    """For credentials that have none of their own."""
    health_check: HealthCheck | None = None
    credentials: tuple[CredentialConfig, ...] = ()
    options: SerializeAsAny[Options] = Options()

    @property
    def kind(self) -> ProviderType:
        return providers()[self.type]

    @property
    def label(self) -> str:
        """What stands before the slash in `provider/model`."""
        return self.prefix or self.name

    @model_validator(mode="wrap")
    @classmethod
    def _typed(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        common, credential = set(cls.model_fields), set(CredentialConfig.model_fields)
        return check_provider(data, validate, common=common, credential=credential)

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname):
            raise ValueError("must be an http:// or https:// address")
        if parts.username or parts.password:
            raise ValueError("must not hold a user or password; they belong to the credentials")
        return url.rstrip("/")
