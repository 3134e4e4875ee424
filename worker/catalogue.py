"""Publishes what fronts may know: built from the configuration and the discovered models, kept alive in Redis.

Every worker offers its own; the one with the newest file wins while any worker backs it. See `catalogue.lua`.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

import structlog

from shared.bus import Bus, Script
from shared.catalogue import (
    CATALOGUE_FORMAT,
    Catalogue,
    FrontPolicy,
    KeyPolicy,
    ModelEntry,
    PassthroughPolicy,
    QueuePolicy,
    key_digest,
)
from shared.names import CATALOGUE, CATALOGUE_NEWS
from worker.config.canonical import canonical
from worker.config.loading import Loaded
from worker.config.schema import Auth, Config, KeyConfig
from worker.secrets import Secrets, SecretsError

PUBLISH = Script("catalogue", (files("worker") / "catalogue.lua").read_text())
_log = structlog.get_logger()


class Standing(StrEnum):
    """How a worker's configuration stands to the one that fronts use."""

    CURRENT = "current"
    OUTDATED = "outdated"
    CONFLICTING = "conflicting"
    FOREIGN = "foreign"


_MEANINGS = {
    Standing.CURRENT: "fronts use this worker's configuration",
    Standing.OUTDATED: "another worker has a newer configuration file; copy it to this one",
    Standing.CONFLICTING: "another worker has a different configuration of the same age; make both files equal",
    Standing.FOREIGN: "other workers have another secret key; give all of them the same PENSTOCK_SECRET_KEY",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A catalogue with what orders it. `fingerprint` is that of the whole configuration, not of the catalogue alone."""

    catalogue: Catalogue
    fingerprint: str
    revision: int
    """Grows with each change of the discovered models."""


def make_offer(
    loaded: Loaded,
    secrets: Secrets,
    models: Iterable[ModelEntry],
    patterns: Iterable[ModelEntry],
    revision: int,
    own_key_models: Iterable[ModelEntry] = (),
) -> Offer:
    """All three kinds of models are the route table's."""
    config = loaded.config
    catalogue = Catalogue(
        generation=loaded.generation,
        models=tuple(models),
        patterns=tuple(patterns),
        keys=tuple(_policy(key, secrets.hmac_key) for key in config.keys),
        hmac_key=secrets.hmac_key,
        sealing_key=secrets.sealing_key,
        sealing_key_id=secrets.key_id,
        cors_origins=config.server.cors_origins,
        queue=QueuePolicy(max_depth=config.queue.max_depth, max_bytes=config.queue.max_bytes),
        front=FrontPolicy(**config.front.model_dump()),
        passthrough=_passthrough(config, own_key_models),
        auth_required=config.server.auth is not Auth.NONE,
        admin_digest=key_digest(secrets.hmac_key, config.admin.key.get_secret_value()) if config.admin.key else b"",
        openai_style_api=config.admin.openai_style_api,
    )
    return Offer(catalogue, fingerprint(config, secrets), revision)


def fingerprint(config: Config, secrets: Secrets) -> str:
    """Equal for equal configurations. Keyed with an unpublished key, so that it tells nothing about their secrets."""
    text = canonical([CATALOGUE_FORMAT, config], reveal=True)
    return hmac.new(secrets.derive("fingerprint"), text, hashlib.sha256).hexdigest()


class CataloguePublisher:
    """Keeps an offer in Redis. `on_standing` is called with each change of this worker's standing, for metrics."""

    def __init__(self, bus: Bus, on_standing: Callable[[Standing], None] = lambda _: None) -> None:
        """Before the bus starts."""
        self.standing: Standing | None = None
        self.version = 0
        """Of the last publication of our own; 0 before the first."""
        self._bus = bus
        self._on_standing = on_standing
        self._offer: Offer | None = None
        self._body = b""
        bus.add_scripts(PUBLISH)

    def offer(self, offer: Offer) -> None:
        """What `tick` and `publish_now` publish from now on."""
        self._offer, self._body = offer, offer.catalogue.encode()

    async def publish_now(self) -> Standing:
        """At start. Raises SecretsError if living workers have another secret, and BusDown."""
        standing = await self.tick()
        if standing is Standing.FOREIGN:
            raise SecretsError(_MEANINGS[standing])
        return standing

    async def tick(self) -> Standing:
        """Once a second: a sign of life, and the body where it is wanted. Raises BusDown and CommandRefused."""
        reply = await self._call(b"")
        if reply[0] == b"wanted":
            reply = await self._call(self._body)
        if reply[0] == b"published":
            self.version = int(reply[1])
        self._stand(Standing.CURRENT if reply[0] == b"published" else Standing(reply[0].decode()))
        assert self.standing is not None
        return self.standing

    async def _call(self, body: bytes) -> list[bytes]:
        assert self._offer is not None, "nothing was offered yet"
        offer = self._offer
        args = (f"{offer.catalogue.generation:020}", offer.fingerprint, f"{offer.revision:020}")
        reply: list[bytes] = await self._bus.run(
            PUBLISH, [CATALOGUE], [*args, offer.catalogue.sealing_key_id, CATALOGUE_NEWS, body]
        )
        return reply

    def _stand(self, standing: Standing) -> None:
        if standing is self.standing:
            return
        log = _log.info if standing is Standing.CURRENT else _log.warning
        log("configuration standing", standing=standing.value, meaning=_MEANINGS[standing])
        self.standing = standing
        self._on_standing(standing)


def _passthrough(config: Config, models: Iterable[ModelEntry]) -> PassthroughPolicy | None:
    provider = config.passthrough and config.provider(config.passthrough.provider)
    if not provider:
        return None
    typed_errors = provider.kind.own_error_type is not None
    return PassthroughPolicy(provider.name, tuple(models), config.queue.wait_s, typed_errors=typed_errors)


def _policy(key: KeyConfig, hmac_key: bytes) -> KeyPolicy:
    return KeyPolicy(
        digest=key_digest(hmac_key, key.key.get_secret_value()),
        name=key.name,
        models=(*key.models, *key.model_map.values()),
        default_model=key.default_model,
        queue_wait_s=key.queue_wait_s,
        revoked=key.revoked,
        model_map=tuple(key.model_map.items()),
    )
