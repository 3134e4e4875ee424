"""Which model name leads where: aliases, merged and prefixed names, wildcards, nested routes. Pure.

A name is looked for in this order: a route of exactly this name, `label/model`, a merged model, the route whose pattern
fits best, a provider whose pattern fits. In prefix mode nothing is merged, and the last is a model that one provider
alone offers.
"""

import contextlib
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.catalogue import ModelEntry
from shared.errors import NotFound
from worker.config.nesting import DEEPEST
from worker.config.route import Mode, RouteConfig, Strategy
from worker.config.schema import Config
from worker.routing.fields import rules_of
from worker.routing.offers import Labels, Offer, merged, offers_of
from worker.routing.patterns import STAR, best_match, fill
from worker.routing.route import Destination, Route, Stage
from worker.routing.stages import joined, ruled, weigh
from worker.routing.way import Way

_NEAR_NAMES = 3
_SOME_TEXT = "NAME"
_OWNER = "penstock"


@dataclass(frozen=True, slots=True)
class Dangling:
    """A target or fallback that leads nowhere: `where` is its place in the file."""

    where: tuple[str | int, ...]
    name: str
    why: str


class RouteTable:
    """One configuration with one set of discovered models; immutable, so a request keeps the one it began with."""

    def __init__(self, config: Config, offers: Sequence[Offer]) -> None:
        enabled = {name: route for name, route in config.models.items() if not route.disabled}
        self._config = config = config.model_copy(update={"models": enabled})
        self._offers = offers
        self._labels = Labels.of(offers)
        named, merges = merged(offers), config.routing.mode is Mode.MERGE
        self._merged = named if merges else {}
        self._unique = {} if merges else {name: found for name, found in named.items() if len(found) == 1}
        self._wild = [name for name in config.models if STAR in name]
        self._found: dict[str, Route] = {}

    @classmethod
    def build(cls, config: Config, discovered: Mapping[str, Sequence[str]]) -> "RouteTable":
        """`discovered` is provider name -> the upstream's model ids."""
        return cls(config, offers_of(config, discovered))

    def resolve(self, model: str) -> Route:
        """Raises NotFound, with the nearest names, for a name that leads nowhere."""
        route = self._found.get(model)
        if route is None:
            route = self._route(model)
            if model in self._config.models or model in self._merged:  # not whatever clients make up
                self._found[model] = route
        return route

    def direct(self, provider: str, model: str) -> Route:
        """The route to one provider alone, for a caller with a key of its own: to what the name means there, else to
        the upstream's model of that name. It has no fallbacks, and its strategy asks for no account.

        Raises NotFound, also for a name that is not in the file's list of the provider's models.
        """
        offer = next((offer for offer in self._offers if offer.provider.name == provider), None)
        destinations = self._at(provider, model)
        if offer is not None and not destinations:
            labelled = self._labels.find(model)
            name = labelled[2] if labelled is not None and labelled[0] is offer else model
            trusted = offer.trusted_model(name)
            destinations = [] if trusted is None else [offer.destination(trusted)]
        if not destinations:
            raise NotFound(f"The model '{model}' does not exist. GET /v1/models lists what does.", param="model")
        stage = Stage(model, Strategy.PRIORITY, tuple(destinations))
        return Route(model, (stage,), (), self._config.routing.retries, None, None)

    def _at(self, provider: str, model: str) -> list[Destination]:
        try:
            destinations = self.resolve(model).destinations
        except NotFound:
            return []
        return [one for one in destinations if one.provider.name == provider]

    # ---- what may be asked for

    def public_models(self) -> list[ModelEntry]:
        """What `GET /v1/models` lists: routes, then merged models or, in prefix mode, `label/model`."""
        names = dict.fromkeys(name for name in self._config.models if STAR not in name)
        if self._config.routing.mode is Mode.MERGE:
            names |= dict.fromkeys(self._merged)
        else:
            names |= dict.fromkeys(f"{offer.provider.label}/{name}" for offer in self._offers for name in offer.names)
        return [self._entry(name) for name in names]

    def models_of(self, provider: str) -> list[ModelEntry]:
        """Those of the listed models that a caller with a key of its own for this provider can ask."""
        return [entry for entry in self.public_models() if self._at(provider, entry.id)]

    def patterns(self) -> list[ModelEntry]:
        """What is accepted besides the listed names: those with a `*`, what stands before a slash among them, and plain
        ones that are unique in prefix mode.
        """
        wild = [*self._wild, *(f"{label}/*" for label in self._labels.known)]
        if self._config.routing.mode is Mode.MERGE:
            wild += [pattern for offer in self._offers for pattern in offer.patterns]
        wild += [name for name in self._unique if self._configured(name) is None]
        return [self._entry(name) for name in dict.fromkeys(wild)]

    def _entry(self, name: str) -> ModelEntry:
        route = self._config.models.get(name)
        destinations = self._merged.get(name, ())
        owner = destinations[0].provider.name if len(destinations) == 1 and route is None else _OWNER
        wait_s = (route.queue_wait_s if route else None) or self._config.queue.wait_s
        return ModelEntry(name, owned_by=owner, queue_wait_s=wait_s)

    # ---- looking up

    def _route(self, name: str) -> Route:
        found = self._configured(name)
        if found is not None:
            return self._expand(name, *found)
        destinations = self._offered(name)
        if not destinations:
            raise self._not_found(name)
        return self._plain(name, destinations)

    def _configured(self, name: str) -> tuple[str, RouteConfig, str] | None:
        """(key, route, what its `*` stands for); patterns come after everything that is offered by name."""
        if name in self._config.models and STAR not in name:
            return name, self._config.models[name], ""
        labelled = self._labels.find(name)
        if name in self._merged or (labelled and labelled[0].upstream_model(labelled[2]) is not None):
            return None
        found = best_match(self._wild, name)
        return (found[0], self._config.models[found[0]], found[1]) if found else None

    def _offered(self, name: str, *, trust: bool = False) -> list[Destination]:
        labelled = self._labels.find(name)
        if labelled is not None:
            offer, credential, rest = labelled
            model = offer.trusted_model(rest) if trust or not offer.listed else offer.upstream_model(rest)
            if model is not None:
                return [offer.destination(model, credential)]
        if name in self._merged:
            return self._merged[name]
        if self._config.routing.mode is Mode.PREFIX:
            return self._unique.get(name, [])
        wild = [(offer, offer.upstream_model(name)) for offer in self._offers]
        return [offer.destination(model) for offer, model in wild if model is not None]

    def _plain(self, name: str, destinations: Sequence[Destination]) -> Route:
        routing = self._config.routing
        stage = Stage(name, routing.strategy, tuple(destinations))
        return Route(name, (stage,), (), routing.retries, routing.affinity, None)

    # ---- routes of the file

    def _expand(self, name: str, key: str, route: RouteConfig, star: str) -> Route:
        routing = self._config.routing
        stages = self._stages(key, route, star, Way((key,), []))
        if not any(stage.destinations for stage in stages):
            raise NotFound(f"The model '{name}' is configured, but none of its targets exists now.", param="model")
        fallbacks = tuple(fill(fallback, star) for fallback in route.fallbacks)
        retries = route.retries or routing.retries
        return Route(name, tuple(stages), fallbacks, retries, route.affinity or routing.affinity, route.queue_wait_s)

    def _stages(self, key: str, route: RouteConfig, star: str, way: Way) -> list[Stage]:
        """One stage; with `priority`, nested routes keep strategies of their own as stages of their own."""
        strategy = route.strategy or self._config.routing.strategy
        inner = [(target.weight, self._inner(fill(target.model, star), way)) for target in route.targets]
        if strategy is Strategy.PRIORITY:
            stages = joined(key, [stage for _, nested in inner for stage in nested])
        else:
            stages = [Stage(key, strategy, weigh(inner), route.race_delay_s)]
        rules = rules_of(route)
        return [ruled(stage, rules) for stage in stages]

    def _inner(self, name: str, way: Way) -> list[Stage]:
        """What a target leads to. Circles cannot be: the configuration refuses those of exact names, and a pattern is
        not followed twice. Raises NotFound where that takes too long.
        """
        found = self._configured(name)
        if found is not None and found[0] not in way.keys:
            key, route, star = found
            return self._stages(key, route, star, way.on(key))
        way.end(name)
        return [Stage(name, self._config.routing.strategy, tuple(self._offered(name, trust=True)))]

    # ---- what is wrong

    def dangling(self) -> list[Dangling]:
        """For `penstock check`: targets and fallbacks that lead nowhere."""
        return [problem for key, route in self._config.models.items() for problem in self._problems(key, route)]

    def _problems(self, key: str, route: RouteConfig) -> Iterator[Dangling]:
        asked: list[tuple[tuple[str | int, ...], str]] = [
            (("models", key, "targets", i, "model"), target.model) for i, target in enumerate(route.targets)
        ]
        asked += [(("models", key, "fallbacks", i), name) for i, name in enumerate(route.fallbacks)]
        for where, name in asked:
            if STAR in name and STAR in key:
                continue  # what it stands for is known when it is asked for
            if not self._leads_somewhere(name, (key,) if "targets" in where else ()):
                yield Dangling(where, name, self._suggestion(name))

    def _leads_somewhere(self, name: str, keys: tuple[str, ...]) -> bool:
        """What leads too far is told as that; see `endless`."""
        with contextlib.suppress(NotFound):
            return any(stage.destinations for stage in self._inner(name, Way(keys, [])))
        return True

    def endless(self) -> Iterator[tuple[str, str]]:
        """For `penstock check`: patterns that lead back to themselves by way of others, or too far, and how; as they do
        for some text. A way back is not followed: there the name means what providers offer.
        """
        told: set[frozenset[str]] = set()
        for key in self._wild:
            circle = self._circle(fill(key, _SOME_TEXT), (), set())
            if circle and (routes := frozenset(circle)) not in told:
                told.add(routes)
                yield key, f"leads back to itself: {' -> '.join(circle)}"
            elif not circle:
                yield from self._too_far(key)

    def _circle(self, name: str, path: tuple[str, ...], done: set[str]) -> tuple[str, ...]:
        """The first way back from where `name` leads by patterns alone; to a pattern itself there is none."""
        found = self._configured(name)
        if found is None or found[0] in path[-1:] or found[0] in done or len(path) > DEEPEST:
            return ()
        key, route, star = found
        if key in path:
            return (*path[path.index(key) :], key)
        patterns = [target.model for target in route.targets if STAR in target.model]
        ways = (self._circle(fill(pattern, star), (*path, key), done) for pattern in patterns)
        circle = next((way for way in ways if way), ())
        done.add(key)
        return circle

    def _too_far(self, key: str) -> Iterator[tuple[str, str]]:
        try:
            self._inner(fill(key, _SOME_TEXT), Way((), []))
        except NotFound as error:
            yield key, error.message

    def _suggestion(self, name: str) -> str:
        near = self._near(name)
        return f"nothing offers it; did you mean {' or '.join(near)}?" if near else "nothing offers it"

    def _near(self, name: str) -> list[str]:
        names = [entry.id for entry in self.public_models()]
        names += [f"{offer.provider.label}/{model}" for offer in self._offers for model in offer.names]
        return difflib.get_close_matches(name, dict.fromkeys(names), n=_NEAR_NAMES)

    def _not_found(self, model: str) -> NotFound:
        near = self._near(model)
        hint = (
            f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else " GET /v1/models lists what does."
        )
        return NotFound(f"The model '{model}' does not exist.{hint}", param="model")
