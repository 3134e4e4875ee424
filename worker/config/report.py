"""What `penstock check` prints: the configuration as it was understood, without a secret, and what to do about it."""

from collections.abc import Iterator, Mapping, Sequence

from worker.config.loading import Loaded
from worker.config.schema import Config, CredentialConfig, ProviderConfig, RouteConfig


def report(loaded: Loaded, discovered: Mapping[str, Sequence[str]] | None = None) -> str:
    """Text for a person. `discovered` has the models of providers for which the file lists none, where known."""
    config = loaded.config
    lines = [f"Configuration: {loaded.path or 'none; from the environment'}", *_service(config)]
    lines += _section("Providers", _providers(config, discovered or {}))
    lines += _section("Routes", _routes(config))
    lines += _section("Client keys", _keys(config))
    lines += _section("Warnings", loaded.warnings)
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Iterator[str] | Sequence[str]) -> list[str]:
    found = list(lines)
    return ["", f"{title}:", *(f"  {line}" for line in found)] if found else []


def _service(config: Config) -> Iterator[str]:
    server = config.server
    yield f"Address: http://{server.host}:{server.port} (auth: {server.auth.value})"
    if config.passthrough:
        yield f"Unknown keys are taken for the caller's own, for provider {config.passthrough.provider}"
    yield f"Names: {config.routing.mode.value}; strategy {config.routing.strategy.value}"
    yield f"Queue: {config.queue.max_depth} jobs, {config.queue.max_bytes} bytes, {config.queue.wait_s:g} s"


def _providers(config: Config, discovered: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for provider in config.providers:
        about = [provider.type, provider.kind.status.value]
        about += [provider.base_url] if provider.base_url else []
        about += ["by proxy"] if provider.proxy else []
        about += ["disabled"] if provider.disabled else []
        yield f"{provider.name}: {', '.join(about)}"
        yield f"  models: {_models(provider, discovered)}"
        for credential in provider.credentials:
            yield f"  credential {credential.name}: {_credential(provider, credential)}"


def _models(provider: ProviderConfig, discovered: Mapping[str, Sequence[str]]) -> str:
    if provider.models is not None:
        names = [*provider.models, *(name for name in provider.model_map if name not in provider.models)]
        return ", ".join(names)
    found = discovered.get(provider.name) or provider.kind.static_models
    return ", ".join(found) or "asked of the upstream"


def _credential(provider: ProviderConfig, credential: CredentialConfig) -> str:
    public = {field.name for field in provider.kind.credential_fields if not field.secret}
    about = [
        f"{name} {value.get_secret_value()}" if name in public else f"{name} ***"
        for name, value in credential.values.items()
    ]
    about += [f"weight {credential.weight}"]
    about += [f"prefix {credential.prefix}"] if credential.prefix else []
    limits = credential.limits if credential.limits.model_fields_set else provider.limits
    about += [f"{name} {value}" for name, value in limits.model_dump().items() if value]
    about += ["disabled"] if credential.disabled else []
    return ", ".join(about)


def _routes(config: Config) -> Iterator[str]:
    for name, route in config.models.items():
        yield f"{name} -> {_targets(route)} ({(route.strategy or config.routing.strategy).value})"
        if route.fallbacks:
            yield f"  then {', '.join(route.fallbacks)}"


def _targets(route: RouteConfig) -> str:
    return ", ".join(f"{t.model} x{t.weight}" if len(route.targets) > 1 else t.model for t in route.targets)


def _keys(config: Config) -> Iterator[str]:
    for key in config.keys:
        about = ["revoked"] if key.revoked else [f"models {', '.join(key.models) or 'none'}"]
        about += [f"default {key.default_model}"] if key.default_model else []
        about += [f"{asked} => {used}" for asked, used in key.model_map.items()]
        yield f"{key.name}: {'; '.join(about)}"
