"""penstock.yaml as a whole. Each section's keys and meanings stand in the module of its noun."""

from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import Field, model_validator

from worker.config.key import KeyConfig, refuse_sample
from worker.config.nesting import nesting
from worker.config.problems import Location, failure, unknown
from worker.config.provider import CredentialConfig, HealthCheck, Limits, ProviderConfig, Timeouts
from worker.config.route import Affinity, Mode, Retries, RouteConfig, Routing, Strategy, Target
from worker.config.service import Admin, Auth, Front, Passthrough, Queue, Redis, Server, Worker
from worker.config.strict import ModelName, Strict

__all__ = [
    "Admin",
    "Affinity",
    "Auth",
    "Config",
    "CredentialConfig",
    "Front",
    "HealthCheck",
    "KeyConfig",
    "Limits",
    "Mode",
    "Passthrough",
    "ProviderConfig",
    "Queue",
    "Redis",
    "Retries",
    "RouteConfig",
    "Routing",
    "Server",
    "Strategy",
    "Target",
    "Timeouts",
    "Worker",
]


class Config(Strict):
    server: Server = Server()
    front: Front = Front()
    worker: Worker = Worker()
    queue: Queue = Queue()
    redis: Redis | None = None
    """Absent: `penstock up` starts its own."""
    providers: tuple[ProviderConfig, ...] = ()
    models: Mapping[ModelName, RouteConfig] = Field(default_factory=dict)
    """Routes by the name that clients ask for; a `*` in it stands for any text."""
    routing: Routing = Routing()
    keys: tuple[KeyConfig, ...] = ()
    passthrough: Passthrough | None = None
    admin: Admin = Admin()

    def provider(self, name: str) -> ProviderConfig | None:
        return next((provider for provider in self.providers if provider.name == name), None)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = [*_twice(self), *_without_account(self), *_passthrough(self), *nesting(self.models), *_admin(self)]
        if problems:
            raise failure(problems, "Config")
        return self


_Problems = Iterator[tuple[Location, str]]


def _twice(config: Config) -> _Problems:
    """Names that must tell two things apart and do not."""
    labels: set[str] = set()
    names: set[str] = set()
    for i, provider in enumerate(config.providers):
        if provider.name in names:
            yield ("providers", i, "name"), f"{provider.name!r} is the name of two providers"
        elif provider.label in labels:
            yield ("providers", i, "prefix"), f"{provider.label!r} stands before the models of two providers"
        names.add(provider.name)
        labels.add(provider.label)
    for i, provider in enumerate(config.providers):
        accounts: set[str] = set()
        for j, credential in enumerate(provider.credentials):
            here: Location = ("providers", i, "credentials", j)
            if credential.name in accounts:
                yield (*here, "name"), f"{credential.name!r} is the name of two credentials"
            accounts.add(credential.name)
            if credential.prefix in labels:
                yield (*here, "prefix"), f"{credential.prefix!r} already stands before other models"
            if credential.prefix:
                labels.add(credential.prefix)
    yield from _same_keys(config)


def _same_keys(config: Config) -> _Problems:
    names: set[str] = set()
    secrets: dict[str, str] = {}
    for i, key in enumerate(config.keys):
        if key.name in names:
            yield ("keys", i, "name"), f"{key.name!r} is the name of two keys"
        names.add(key.name)
        first = secrets.setdefault(key.key.get_secret_value(), key.name)
        if first != key.name:
            yield ("keys", i, "key"), f"is the same secret as that of {first!r}"


def _without_account(config: Config) -> _Problems:
    passthrough = config.passthrough.provider if config.passthrough else None
    for i, provider in enumerate(config.providers):
        if not provider.credentials and provider.name != passthrough and not provider.disabled:
            wanted = ", ".join(field.name for field in provider.kind.credential_fields if field.required)
            yield ("providers", i, "credentials"), f"needs at least one, with {wanted or 'a name'}"


def _passthrough(config: Config) -> _Problems:
    if config.passthrough is None:
        return
    name = config.passthrough.provider
    provider = config.provider(name)
    if provider is None:
        yield ("passthrough", "provider"), unknown(name, (one.name for one in config.providers), "provider")
    elif provider.kind.own_key_field is None:
        yield ("passthrough", "provider"), f"{name!r} is of a type of which one bearer key is no whole credential"


def _admin(config: Config) -> _Problems:
    if config.admin.key is not None:
        try:
            refuse_sample(config.admin.key)
        except ValueError as error:
            yield ("admin", "key"), str(error)
        if any(key.key == config.admin.key for key in config.keys):
            yield ("admin", "key"), "is also a client key; administration needs a secret of its own"
