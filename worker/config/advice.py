"""What a valid configuration leaves to be desired: told at start and by `penstock check`, never an error."""

from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase

from worker.config.key import is_sample
from worker.config.schema import Auth, Config, ProviderConfig
from worker.providers.contract import Status

_SHORT_KEY = 16


def advise(config: Config) -> Iterator[str]:
    """One sentence for each weakness; no secret in it."""
    yield from _access(config)
    for provider in config.providers:
        yield from _provider(provider)
    yield from _targets(config)


def _access(config: Config) -> Iterator[str]:
    if config.server.auth is Auth.KEYS and not config.keys and config.passthrough is None:
        yield "no client key is configured: `penstock up` makes one, anything else refuses every request"
    if config.server.auth is Auth.NONE:
        yield "auth: none: whoever can reach this machine's loopback address uses your accounts"
    short = [key.name for key in config.keys if len(key.key.get_secret_value()) < _SHORT_KEY]
    if short:
        yield f"short enough to be guessed: client key {', '.join(short)}; `penstock keys` makes long ones"


def _provider(provider: ProviderConfig) -> Iterator[str]:
    kind = provider.kind
    if kind.status is Status.NOT_OFFERED or (kind.status is Status.DISCONTINUED and not provider.base_url):
        yield f"provider {provider.name!r} answers every request with 410: {kind.note}"
    elif kind.status is Status.UNOFFICIAL:
        yield f"provider {provider.name!r} is unofficial: {kind.note}"
    for credential in provider.credentials:
        for field in kind.credential_fields:
            value = credential.values.get(field.name)
            if value is not None and field.secret and is_sample(value.get_secret_value()):
                yield f"{field.name} of credential {provider.name}/{credential.name} looks like a placeholder"


def _targets(config: Config) -> Iterator[str]:
    """Targets that lead nowhere as far as can be told without asking any upstream for its models."""
    labels = config.labels()
    listed = {name for provider in config.providers for name in (*(provider.models or ()), *provider.model_map)}
    open_ended = any(provider.models is None or "*" in provider.models for provider in config.providers)
    for name, route in config.models.items():
        wanted = [target.model for target in route.targets] + list(route.fallbacks)
        for model in wanted:
            known = model in listed or model.partition("/")[0] in labels or _is_route(config, model)
            if not known and not (open_ended and "/" not in model):
                near = get_close_matches(model, [*config.models, *listed, *labels], n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield f"route {name!r} leads to {model!r}, which is neither a route nor a model of a provider{hint}"


def _is_route(config: Config, model: str) -> bool:
    return any(fnmatchcase(model, name) for name in config.models)
