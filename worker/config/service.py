"""The sections of penstock.yaml about the gateway itself: where it listens, how long it waits, how much it holds."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from worker.config.strict import Count, Name, Seconds, Strict

MIB = 1024 * 1024


class Auth(StrEnum):
    KEYS = "keys"
    NONE = "none"


class Server(Strict):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    cors_origins: tuple[str, ...] = ()
    """Browser pages that may call: `*`, or origins such as https://chat.example.com."""
    auth: Auth = Auth.KEYS
    """`none` lets everybody in who reaches the port; allowed on loopback addresses only."""

    @model_validator(mode="after")
    def _open_only_on_loopback(self) -> Self:
        if self.auth is Auth.NONE and not is_loopback(self.host):
            raise ValueError(f"auth: none is allowed on loopback addresses only, and host is {self.host}")
        return self


class Front(Strict):
    """How fronts treat clients. Sizes in bytes."""

    keep_alive_s: Seconds = 10
    """A waiting client gets a comment this often once its answer has been committed."""
    commit_after_s: Seconds = 15
    """Silence after which a streamed answer commits to status 200 and starts its keep-alive comments."""
    max_body_bytes: Count = 32 * MIB
    body_timeout_s: Seconds = 30
    """A request's body has to arrive within this time."""


class Worker(Strict):
    """How workers work."""

    slots: Count = 1000
    """Jobs that one worker runs at once."""
    drain_s: Seconds = 60
    """Running jobs get this long after SIGTERM."""
    max_answer_bytes: Count = 64 * MIB
    """A larger answer of an upstream is a 502."""
    discovery_s: Seconds = 300
    """Model lists are asked of the upstreams this often."""


class Queue(Strict):
    """What may wait. Past any of these a request is refused at once with 503 and Retry-After."""

    max_depth: Count = 10_000
    max_bytes: Count = 256 * MIB
    wait_s: Seconds = 60
    """Longest wait for a worker and a free credential, where neither route nor key says otherwise."""


class Redis(Strict):
    url: SecretStr
    """redis://, rediss:// or unix://; redis+sentinel://host:port,host:port/name for a Sentinel set."""


class Passthrough(Strict):
    """An unknown bearer is taken for the caller's own key for this provider."""

    provider: Name


class Admin(Strict):
    """Administration over HTTP; PENSTOCK_MASTER_KEY sets the key as well."""

    key: SecretStr | None = None
    openai_style_api: bool = False
    """Serve /verify, /getAllModelConfig and /updateModelConfig of openai-style-api."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. An empty host means all interfaces."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
