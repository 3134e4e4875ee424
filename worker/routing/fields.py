"""What configuration does to a request's fields: overrides win over the client, defaults fill, drops remove. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


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
        """A new body; null counts as left out. `model`, `messages` and `stream` are the client's own."""
        shaped = {**body, **_without_frame(self.overrides)}
        for name, value in _without_frame(self.defaults).items():
            if shaped.get(name) is None:
                shaped[name] = value
        for name in self.dropped:
            shaped.pop(name, None)
        return shaped


_FRAME = frozenset({"model", "messages", "stream"})


def _without_frame(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _FRAME}


def rules_of(section: Shapes) -> FieldRules:
    drop = section.drop_params
    names = frozenset(drop) if isinstance(drop, tuple) else frozenset()
    return FieldRules(section.overrides, section.defaults, names - _FRAME, drop is True)


def stack(inner: FieldRules, outer: Iterable[FieldRules]) -> FieldRules:
    """From the innermost (a provider's) outwards."""
    for rules in outer:
        inner = inner.under(rules)
    return inner
