"""How far a request is led through routes that lead to routes. Pure."""

from dataclasses import dataclass

from shared.errors import NotFound
from worker.config.nesting import DEEPEST, MOST_TARGETS


@dataclass(frozen=True, slots=True)
class Way:
    """From a route to one that it leads to; `ends` are what all ways from there have come to."""

    keys: tuple[str, ...]
    ends: list[str]

    def on(self, key: str) -> "Way":
        """Raises NotFound for what is too much to be followed with each request."""
        if len(self.keys) == DEEPEST:
            raise self._endless(f"through more than {DEEPEST} routes, one behind the other")
        return Way((*self.keys, key), self.ends)

    def end(self, name: str) -> None:
        """Raises NotFound, as above."""
        self.ends.append(name)
        if len(self.ends) > MOST_TARGETS:
            raise self._endless(f"to more than {MOST_TARGETS} targets by way of other routes")

    def _endless(self, how: str) -> NotFound:
        text = f"The model {self.keys[0]!r} is configured, but leads {how}."
        return NotFound(text, param="model")
