"""What Redis must know of a provider's credentials: weights, limits, order. Pure."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from worker.config.provider import CredentialConfig, Limits, ProviderConfig
from worker.config.route import Strategy
from worker.providers.contract import LocalProvider

Argument = str | int
LOCAL = CredentialConfig(name="local")
"""The account of a provider without an upstream, so that it can take turns with others."""
ROW = 9
"""Arguments of sync.lua for each credential, but for its tenth."""
SMOOTH_FROM_RPM = 50
"""Below it a burst of 4 % is less than two requests, and lateness would be lost: a sliding window counts instead."""


@dataclass(frozen=True, slots=True)
class Pool:
    """`arguments` are those of sync.lua, but for its ninth and what is remembered; `digest` tells of a change."""

    name: str
    generation: int
    digest: str
    arguments: tuple[Argument, ...] = field(repr=False)
    credentials: frozenset[str]
    counts_tokens: bool
    strict: bool


def limits_of(provider: ProviderConfig, credential: CredentialConfig) -> Limits:
    return credential.limits if "limits" in credential.model_fields_set else provider.limits


def pace_of(rpm: int) -> int:
    """Requests per minute without the burst."""
    return rpm if rpm < SMOOTH_FROM_RPM else rpm - rpm * 4 // 100


def build_pools(
    providers: Iterable[ProviderConfig], strategy: Strategy, generation: int, secret: bytes
) -> Mapping[str, Pool]:
    """By provider name. `secret` keys the fingerprints of the credentials' values, which tell of a changed secret."""
    found = (_build(provider, strategy, generation, secret) for provider in providers)
    return {pool.name: pool for pool in found}


def _build(provider: ProviderConfig, strategy: Strategy, generation: int, secret: bytes) -> Pool:
    rows: list[Argument] = []
    for credential in provider.credentials:
        rows += _row(provider, credential, secret)
    if isinstance(provider.kind, LocalProvider):
        rows += _row(provider, LOCAL, secret)
    limits = [limits_of(provider, credential) for credential in provider.credentials if not credential.disabled]
    requests = [limit.rpm and pace_of(limit.rpm) for limit in limits]
    order = Strategy.WEIGHTED if strategy is Strategy.RACE else strategy
    smooth = any(limit.rpm and limit.rpm >= SMOOTH_FROM_RPM for limit in limits)
    sums = (_sum(requests), int(smooth), _sum(limit.tpm for limit in limits), _sum(x.concurrency for x in limits))
    digest = hashlib.sha256(repr((order.value, sums, rows)).encode()).hexdigest()[:16]
    names = frozenset(credential.name for credential in provider.credentials)
    strict = any(limit.tpm_strict for limit in limits)
    counts_tokens = any(limit.tpm or limit.tpd or limit.adaptive for limit in limits)
    arguments = (provider.name, generation, digest, order.value, *sums, *rows)
    return Pool(provider.name, generation, digest, arguments, names, counts_tokens, strict)


def _row(provider: ProviderConfig, credential: CredentialConfig, secret: bytes) -> tuple[Argument, ...]:
    limits = limits_of(provider, credential)
    values = repr(sorted((name, value.get_secret_value()) for name, value in credential.values.items()))
    fingerprint = hmac.digest(secret, values.encode(), hashlib.sha256).hex()[:16]
    counts = (limits.rpm, limits.tpm, limits.tpd, limits.concurrency)
    flags = (int(limits.adaptive), int(credential.disabled or provider.disabled))
    return credential.name, credential.weight, *("" if n is None else n for n in counts), *flags, fingerprint


def _sum(limits: Iterable[int | None]) -> Argument:
    """The empty string when one has no limit: then the pool as a whole has none."""
    known = list(limits)
    return "" if not known or None in known else sum(limit or 0 for limit in known)
