"""A configuration as `penstock check` shows it: what it resolves to, and no secret."""

from collections.abc import Iterator

from worker.config.key import KeyConfig
from worker.config.loading import Loaded
from worker.config.provider import CredentialConfig, ProviderConfig
from worker.config.schema import Auth, Config
from worker.routing.table import RouteTable


def describe(loaded: Loaded) -> str:
    """Lines for a person. Models that an upstream has to be asked for are named as such."""
    lines = [f"{loaded.path or 'The environment, without a file'}: valid", *_service(loaded.config)]
    sections = {
        "providers": [line for provider in loaded.config.providers for line in _provider(provider)],
        "models": _models(loaded.config),
        "client keys": [_key(key) for key in loaded.config.keys],
        "warnings": list(loaded.warnings),
    }
    for title, section in sections.items():
        if section:
            lines += ["", title, *(f"  {line}" for line in section)]
    return "\n".join(lines)


def _service(config: Config) -> Iterator[str]:
    access = "open to this machine" if config.server.auth is Auth.NONE else "with client keys"
    yield f"serves on {config.server.host}:{config.server.port} {access}"
    yield f"Redis: {'as redis.url says' if config.redis else 'embedded, or PENSTOCK_REDIS_URL'}"
    if config.passthrough:
        yield f"unknown keys are callers' own for {config.passthrough.provider}"


def _provider(provider: ProviderConfig) -> Iterator[str]:
    """Neither the proxy nor what stands behind a `?` is shown: both may hold a secret."""
    where = (provider.base_url or provider.kind.default_base_url or "").partition("?")[0]
    state = " (disabled)" if provider.disabled else ""
    yield " ".join(f"{provider.name}: {provider.type} {where}".split()) + state
    if provider.models is None:
        offered = ", ".join(provider.kind.static_models) or "asked of the upstream"
    else:
        offered = ", ".join(provider.models)
    yield f"  models    {offered}"
    if provider.credentials:
        accounts = ", ".join(_account(provider, credential) for credential in provider.credentials)
        yield f"  accounts  {accounts}"


def _account(provider: ProviderConfig, credential: CredentialConfig) -> str:
    limits = credential.limits if credential.limits != type(credential.limits)() else provider.limits
    told = [f"weight {credential.weight}"] if credential.weight != 1 else []
    told += [f"{name} {value}" for name, value in limits.model_dump().items() if value]
    told += ["disabled"] if credential.disabled else []
    return f"{credential.name} ({', '.join(told)})" if told else credential.name


def _models(config: Config) -> list[str]:
    table = RouteTable.build(config, {provider.name: provider.kind.static_models for provider in config.providers})
    lines = []
    for name in [*(entry.id for entry in table.public_models()), *(f"{name}" for name in config.models if "*" in name)]:
        route = config.models.get(name)
        if route is None:
            places = [f"{place.label}" for place in table.resolve(name).destinations]
            lines.append(f"{name} -> {', '.join(places)}")
            continue
        strategy = (route.strategy or config.routing.strategy).value
        targets = [f"{target.model}{f' ({target.weight})' if target.weight != 1 else ''}" for target in route.targets]
        how = f"{strategy}: " if len(targets) > 1 else ""
        otherwise = f"; else {', '.join(route.fallbacks)}" if route.fallbacks else ""
        lines.append(f"{name} -> {how}{', '.join(targets)}{otherwise}")
    return lines


def _key(key: KeyConfig) -> str:
    default = f"; default {key.default_model}" if key.default_model else ""
    return f"{key.name}: {'revoked' if key.revoked else ', '.join(key.models)}{default}"
