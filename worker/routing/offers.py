"""What providers offer, under which names. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.config.provider import ProviderConfig
from worker.config.schema import Config
from worker.routing.fields import rules_of
from worker.routing.patterns import STAR, best_match
from worker.routing.route import Destination


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider's models. `names` are exact, `patterns` have a `*`; with `listed` no other is accepted."""

    provider: ProviderConfig
    names: Mapping[str, str]
    patterns: tuple[str, ...]
    listed: bool

    @classmethod
    def of(cls, provider: ProviderConfig, discovered: Sequence[str]) -> "Offer":
        """`discovered` counts where the file has no list."""
        models = provider.models if provider.models is not None else tuple(discovered)
        mapped = {name: upstream for name, upstream in provider.model_map.items() if STAR not in name}
        names = {name: provider.model_map.get(name, name) for name in models if STAR not in name} | mapped
        return cls(provider, names, tuple(name for name in models if STAR in name), bool(models))

    def upstream_model(self, name: str) -> str | None:
        """The upstream's own id for an offered name; None if it is not offered."""
        known = self.names.get(name)
        if known is not None:
            return known
        return self._mapped(name) if best_match(self.patterns, name) else None

    def trusted_model(self, name: str) -> str | None:
        """As `upstream_model`, but a route of the file is believed against an upstream's list, which may lack what the
        upstream answers all the same; a list in the file itself is not.
        """
        found = self.upstream_model(name)
        return self._mapped(name) if found is None and self.provider.models is None else found

    def _mapped(self, name: str) -> str:
        pattern = best_match((key for key in self.provider.model_map if STAR in key), name)
        return self.provider.model_map[pattern[0]].replace(STAR, pattern[1], 1) if pattern else name

    def destination(self, model: str, credential: str = "") -> Destination:
        provider = self.provider
        return Destination(provider, model, provider.weight, credential, rules_of(provider))


@dataclass(frozen=True, slots=True)
class Labels:
    """What may stand before the slash: a provider's label, or the prefix of one of its accounts."""

    known: Mapping[str, tuple[Offer, str]]

    @classmethod
    def of(cls, offers: Sequence[Offer]) -> "Labels":
        known: dict[str, tuple[Offer, str]] = {}
        for offer in offers:
            known[offer.provider.label] = (offer, "")
            known.setdefault(offer.provider.name, (offer, ""))
        for offer in offers:
            for credential in offer.provider.credentials:
                if credential.prefix and not credential.disabled:
                    known[credential.prefix] = (offer, credential.name)
        return cls(known)

    def find(self, name: str) -> tuple[Offer, str, str] | None:
        """(offer, pinned credential or "", model) of `label/model`."""
        label, slash, model = name.partition("/")
        found = self.known.get(label) if slash else None
        return (*found, model) if found else None


def offers_of(config: Config, discovered: Mapping[str, Sequence[str]]) -> list[Offer]:
    return [
        Offer.of(provider, discovered.get(provider.name, ())) for provider in config.providers if not provider.disabled
    ]


def merged(offers: Sequence[Offer]) -> dict[str, list[Destination]]:
    """Exact name -> everybody who offers it, in the file's order."""
    found: dict[str, list[Destination]] = {}
    for offer, name, model in _named(offers):
        found.setdefault(name, []).append(offer.destination(model))
    return found


def _named(offers: Sequence[Offer]) -> Iterator[tuple[Offer, str, str]]:
    for offer in offers:
        for name, model in offer.names.items():
            yield offer, name, model
