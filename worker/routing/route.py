"""What a model name leads to. Pure data."""

from dataclasses import dataclass, field

from worker.config.provider import ProviderConfig
from worker.config.route import Affinity, Retries, Strategy
from worker.routing.fields import FieldRules


@dataclass(frozen=True, slots=True, eq=False)
class Destination:
    """One place to send a request to. `model` is the upstream's own id; `credential` pins an account; weight 0 is a
    standby.
    """

    provider: ProviderConfig
    model: str
    weight: int = 1
    credential: str = ""
    rules: FieldRules = field(default_factory=FieldRules)

    @property
    def label(self) -> str:
        """`provider/model` as logs show it."""
        return f"{self.provider.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class Stage:
    """Destinations that a strategy chooses among; `name` is what their turns are counted under."""

    name: str
    strategy: Strategy
    destinations: tuple[Destination, ...]
    race_delay_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Route:
    """Stages are asked in order: a later one when the earlier have no room or have failed. `fallbacks` are the model
    names that may answer instead, each a route of its own.
    """

    name: str
    stages: tuple[Stage, ...]
    fallbacks: tuple[str, ...]
    retries: Retries
    affinity: Affinity | None
    queue_wait_s: float | None

    @property
    def destinations(self) -> tuple[Destination, ...]:
        return tuple(destination for stage in self.stages for destination in stage.destinations)
