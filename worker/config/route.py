"""Routes of penstock.yaml: which targets answer for a model name, in which order, and what happens when one fails."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from worker.config.strict import Count, DropParams, Fields, ModelName, Seconds, Strict, Weight
from worker.faults import Fault


class Strategy(StrEnum):
    WEIGHTED = "weighted"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    LEAST_BUSY = "least-busy"
    PRIORITY = "priority"
    RACE = "race"


class Mode(StrEnum):
    MERGE = "merge"
    """Equal ids of several providers become one model; `provider/model` works as well."""
    PREFIX = "prefix"
    """Models are listed as `provider/model`; a plain id is accepted where one provider alone offers it."""


_TRANSIENT = frozenset({Fault.RATE_LIMITED, Fault.OVERLOADED, Fault.UPSTREAM_FAULT, Fault.TIMED_OUT})
_ACCOUNT = frozenset({Fault.CREDENTIAL_REJECTED, Fault.PERMISSION_DENIED, Fault.QUOTA_EXHAUSTED})
_TARGET = frozenset({Fault.CHALLENGED, Fault.MODEL_NOT_FOUND, Fault.DISCONTINUED})
_PROMPT = frozenset({Fault.CONTEXT_TOO_LONG, Fault.CONTENT_FILTERED})


class Retries(Strict):
    """What is tried again before the client has seen anything, by cause. An empty list switches a step off."""

    attempts: Count = 4
    """Calls of an upstream for one request, the first included."""
    within_s: Seconds = 120
    """Once the first attempt was so long ago nothing is tried any more, and a wait for a limit that would end later is
    not begun. Waits before the first attempt are bounded by `queue_wait_s` alone.
    """
    other_credential: frozenset[Fault] = _TRANSIENT | _ACCOUNT
    """Causes that try another credential of the same target. A bot challenge is none: it would meet them all."""
    other_target: frozenset[Fault] = _TRANSIENT | _ACCOUNT | _TARGET
    fallback: frozenset[Fault] = _TRANSIENT | _ACCOUNT | _TARGET | _PROMPT
    """Causes that go on to the route's `fallbacks` once its targets are used up."""


class Affinity(Strict):
    """The same caller with the same beginning of a conversation keeps its credential while that one is ready."""

    ttl_s: Seconds = 600
    """Forgotten after so long without a request."""
    prefix_messages: Count = 2
    """Messages that make the beginning of a conversation."""


class Target(Strict):
    """One place a route can send to. A bare string in the file stands for `{model: string}`."""

    model: ModelName
    """Another route's name, `provider/model`, `account prefix/model` or a merged model; the route's own name means what
    providers offer under it. A `*` takes the text that the `*` of the route's own name stood for.
    """
    weight: Weight = 1
    """Share with `weighted`; 0 is a standby, used when nothing else can answer."""

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, data: Any) -> Any:
        return {"model": data} if isinstance(data, str) else data


class RouteConfig(Strict):
    """One entry of `models`. A string or a list in the file stands for its targets: that is an alias."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    strategy: Strategy | None = None
    """Absent: `routing.strategy`."""
    race_delay_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """With `race`: the next target starts after so long without content; 0 starts all at once."""
    fallbacks: tuple[ModelName, ...] = ()
    """Model names that answer instead when every target has failed, or rests because it failed before. At their limits
    the targets are waited for as long as `queue_wait_s` allows.
    """
    retries: Retries | None = None
    """Absent: `routing.retries`."""
    affinity: Affinity | None = None
    """Absent: `routing.affinity`."""
    disabled: bool = False
    """As if it were not there."""
    queue_wait_s: Seconds | None = None
    """Longest wait for a worker and a free credential; a key's own wins. Absent: `queue.wait_s`."""
    overrides: Fields = Field(default_factory=dict)
    defaults: Fields = Field(default_factory=dict)
    drop_params: DropParams = False

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"targets": [data]}
        return {"targets": data} if isinstance(data, list) else data

    @model_validator(mode="after")
    def _delay_needs_race(self) -> Self:
        if "race_delay_s" in self.model_fields_set and self.strategy not in {None, Strategy.RACE}:
            raise ValueError("race_delay_s works with strategy: race only")
        return self


class Routing(Strict):
    """What holds for every route that does not say otherwise, and for merged models that have no route."""

    mode: Mode = Mode.MERGE
    strategy: Strategy = Strategy.WEIGHTED
    retries: Retries = Retries()
    affinity: Affinity | None = None
