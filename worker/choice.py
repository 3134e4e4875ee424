"""Which destination of a route is next, and an account for it: strategies, what has failed, waiting."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from worker.accounts.leases import Accounts, Ask, Candidate, Delay, Lease
from worker.accounts.names import kept_key
from worker.accounts.pools import Pool
from worker.config.route import Strategy
from worker.dispatch import Dispatch
from worker.faults import UpstreamError
from worker.job import Job
from worker.providers.contract import JsonObject, LocalProvider
from worker.reservation import reserve
from worker.retry import scope, stays_in_use
from worker.routing.route import Destination, Route, Stage

_TURNS: Final = frozenset({Strategy.WEIGHTED, Strategy.ROUND_ROBIN})


class NoLease(Exception):
    """No account now; `delay` says whether to wait."""

    def __init__(self, delay: Delay) -> None:
        super().__init__(delay.why)
        self.delay = delay


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request waits in line: until `until_ms` (unix; 0: not at all), and if there are `reasons`, only for
    these of a Delay.
    """

    until_ms: int
    reasons: frozenset[str] = frozenset()


class Choice:
    """One request's way through one route; what has failed is not asked again."""

    def __init__(self, dispatch: Dispatch, route: Route, job: Job, body: JsonObject) -> None:
        self._accounts: Accounts = dispatch.accounts
        self._pools: Mapping[str, Pool] = dispatch.pools
        self._route = route
        self._job = job
        self._body = body
        self._open = list(route.destinations)
        self._left_out: set[tuple[str, str, str]] = set()  # provider, model, credential
        self._kept = _kept(dispatch, route, job, body)

    @property
    def stages(self) -> list[tuple[Stage, list[Destination]]]:
        """Those that have a destination left, with what is left."""
        left = [(stage, [one for one in stage.destinations if one in self._open]) for stage in self._route.stages]
        return [(stage, destinations) for stage, destinations in left if destinations]

    def may_ask(self, destination: Destination) -> bool:
        return any(one is destination for one in self._open)

    async def take(self, patience: Patience) -> tuple[Destination, Lease | None]:
        """The first stage that has room gives it; when none has, the first one waits. Raises NoLease."""
        stages = self.stages
        for stage, destinations in stages if len(stages) > 1 else ():
            try:
                return await self.lease(stage, destinations, Patience(0))
            except NoLease:
                continue
        return await self.lease(*stages[0], patience)

    async def lease(
        self, stage: Stage, destinations: Sequence[Destination], patience: Patience | None = None
    ) -> tuple[Destination, Lease | None]:
        """Without `patience` it takes what is free, whoever stands in line. Raises NoLease."""
        if len(destinations) == 1 and isinstance(destinations[0].provider.kind, LocalProvider):
            return destinations[0], None
        order = _ordered(stage, destinations)
        found = await self._accounts.lease(self._ask(stage, order, patience))
        if isinstance(found, Delay):
            raise NoLease(found)
        return order[found.candidate], found

    def narrow(self, destination: Destination, lease: Lease | None, error: UpstreamError) -> bool:
        """After a fault: what may still be asked. -> whether anything may."""
        allowed = scope(error.fault, self._route.retries)
        if lease is None or not allowed.same_target:
            self._open = [one for one in self._open if one is not destination]
        elif stays_in_use(error.fault, error.retry_after_s):
            self._left_out.add((lease.pool, destination.model, lease.credential))
        if not allowed.other_targets:
            self._open = [one for one in self._open if one is destination]
        return bool(self._open)

    def _ask(self, stage: Stage, order: Sequence[Destination], patience: Patience | None) -> Ask:
        affinity = self._route.affinity
        even = stage.strategy is Strategy.ROUND_ROBIN
        return Ask(
            tuple(_candidate(one, even=even) for one in order),
            self._tokens(order),
            rid=self._job.triple[0] if patience else "",
            place=self._job.score,
            deadline_ms=patience.until_ms if patience else 0,
            order="turns" if stage.strategy in _TURNS else str(stage.strategy) if _by_load(stage) else "given",
            turns=stage.name,
            kept=self._kept,
            kept_s=round(affinity.ttl_s) if affinity else 0,
            luck=random.random(),  # noqa: S311  no secret
            left_out=self._left_out_of(order),
            awaited=patience.reasons if patience else frozenset(),
        )

    def _left_out_of(self, order: Sequence[Destination]) -> frozenset[tuple[int, str]]:
        """An account that failed with one model may serve another."""
        if not self._left_out:
            return frozenset()
        return frozenset(
            (number, credential)
            for number, one in enumerate(order)
            for pool, model, credential in self._left_out
            if (pool, model) == (one.provider.name, one.model)
        )

    def _tokens(self, destinations: Sequence[Destination]) -> int:
        """Nothing is estimated where nobody counts."""
        pools = [self._pools[one.provider.name] for one in destinations]
        if not any(pool.counts_tokens for pool in pools):
            return 0
        return reserve(self._body, strict=any(pool.strict for pool in pools))


def _by_load(stage: Stage) -> bool:
    return stage.strategy is Strategy.LEAST_BUSY


def _candidate(one: Destination, *, even: bool) -> Candidate:
    weight = min(one.weight, 1) if even else one.weight
    return Candidate(one.provider.name, weight, one.credential, f"{one.model}@{one.credential}")


def _ordered(stage: Stage, destinations: Sequence[Destination]) -> list[Destination]:
    """For `random`, drawn one after the other by weight; standbys stay behind."""
    if stage.strategy is not Strategy.RANDOM:
        return list(destinations)
    drawn = [random.random() ** (1 / one.weight) if one.weight else 0 for one in destinations]  # noqa: S311  no secret
    return [one for _, one in sorted(zip(drawn, destinations, strict=True), key=lambda pair: -pair[0])]


def _kept(dispatch: Dispatch, route: Route, job: Job, body: JsonObject) -> str:
    """The key of a conversation: its caller and its beginning, hashed with a secret. Empty without affinity."""
    if route.affinity is None:
        return ""
    beginning = body["messages"][: route.affinity.prefix_messages]
    return kept_key(dispatch.digest(orjson.dumps([job.envelope.caller_digest, route.name, beginning])))
