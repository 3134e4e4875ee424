"""What a valid configuration leaves to be desired: told at start and by `penstock check`, never an error."""

from collections.abc import Iterator

from worker.config.key import is_sample
from worker.config.problems import dotted
from worker.config.schema import Auth, Config, ProviderConfig
from worker.providers.contract import Status
from worker.routing.table import RouteTable

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
    always = {provider.name: provider.kind.static_models for provider in config.providers}
    open_ended = any(provider.models is None for provider in config.providers)
    table = RouteTable.build(config, always)
    for key, how in table.endless():
        yield f"{dotted(('models', key))}: {how}"
    for found in table.dangling():
        if "/" in found.name or not open_ended:
            yield f"{dotted(found.where)}: leads to {found.name!r}: {found.why}"
