"""What configuration does to a request's fields: overrides win over the client, defaults fill, drops remove. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

FRAME: Final = frozenset({"model", "messages", "stream"})
"""What is the client's own: the configuration refuses every rule for it."""


class Shapes(Protocol):
    """A provider, a route or a key of the configuration."""

    @property
    def overrides(self) -> Mapping[str, Any]: ...
    @property
    def defaults(self) -> Mapping[str, Any]: ...
    @property
    def drop_params(self) -> bool | tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class FieldRules:
    """`drop_unsupported` is what providers are told; `dropped` never reaches an upstream, not even as an override."""

    overrides: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    drop_unsupported: bool = False

    def under(self, outer: "FieldRules") -> "FieldRules":
        """Both, `outer` winning: a route's over a provider's, a key's over a route's."""
        return FieldRules(
            {**self.overrides, **outer.overrides},
            {**self.defaults, **outer.defaults},
            self.dropped | outer.dropped,
            self.drop_unsupported or outer.drop_unsupported,
        )

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new body; null counts as left out."""
        shaped = {**body, **self.overrides}
        for name, value in self.defaults.items():
            if shaped.get(name) is None:
                shaped[name] = value
        for name in self.dropped:
            shaped.pop(name, None)
        return shaped


def rules_of(section: Shapes) -> FieldRules:
    drop = section.drop_params
    names = frozenset(drop) if isinstance(drop, tuple) else frozenset()
    return FieldRules(section.overrides, section.defaults, names, drop is True)


def stack(inner: FieldRules, outer: Iterable[FieldRules]) -> FieldRules:
    """From the innermost (a provider's) outwards."""
    for rules in outer:
        inner = inner.under(rules)
    return inner
