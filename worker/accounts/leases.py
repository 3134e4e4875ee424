"""Choosing and leasing credentials: one round trip to Redis, and everything else without waiting for it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from shared.bus import Argument, Bus, BusDown, Script
from worker.accounts.learning import Lesson
from worker.accounts.pools import ROW, Pool
from worker.accounts.scripts import AccountScripts
from worker.accounts.states import Consequence
from worker.faults import Fault

LEASE_MS: Final = 6000
RENEW_EVERY_S: Final = 1.5
_NO_LESSON: Final = Lesson()
_MOST_UNSENT: Final = 10_000
_NOTHING_HELD: Final = 2
_AWAY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool that may serve a request; with `credential` only that one of it. Weight 0 is a standby. `turn` tells it
    from other candidates of the same pool when turns are counted.
    """

    pool: str
    weight: int = 1
    credential: str = ""
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants. Without `rid` it never waits in line; `place` orders the line; `deadline_ms` is unix time
    by which it must have been leased; with `awaited`, it waits for these reasons of a Delay alone. `order` is "given",
    "turns" (by weight, counted under `turns`) or "least-busy". `left_out` has a candidate's number and a
    credential that is not asked for it.
    """

    candidates: Sequence[Candidate]
    tokens: int
    rid: str = ""
    place: str = "0"
    deadline_ms: int = 0
    order: str = "given"
    turns: str = ""
    kept: str = ""
    kept_s: int = 0
    luck: float = 0.0
    left_out: frozenset[tuple[int, str]] = frozenset()
    awaited: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Lease:
    """`candidate` is the number of the chosen one; `probe` says that everybody waits for how this one goes."""

    id: str
    candidate: int
    pool: str
    credential: str
    leased_ms: float
    tokens: int
    probe: bool
    taken_at: float  # the loop's clock, s
    settled: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class Delay:
    """No lease now. `why`: rpm, tpm, tpd, concurrency, line, or a state. `kind`: "wait" until `wait_s` have passed;
    "rests": they would, but for a reason that is not awaited; "late": that is beyond the deadline; "none": no time will
    help.
    """

    kind: str
    candidate: int
    wait_s: float
    why: str


def _recall_nothing(_pool: str, _credential: str) -> str:
    return ""


class Accounts:
    """All pools, as one worker sees them. `worker` makes lease names unique. `recall` tells of (pool, credential) what
    is remembered for a Redis that has lost it (see Remembered).
    """

    def __init__(
        self,
        bus: Bus,
        scripts: AccountScripts,
        worker: str,
        recall: Callable[[str, str], str] = _recall_nothing,
    ) -> None:
        """Before the bus starts."""
        self._recall = recall
        self._bus = bus
        self._scripts = scripts
        self._worker = worker
        self._count = 0
        self._pools: Mapping[str, Pool] = {}
        self._seen: set[str] = set()
        self._lines: set[tuple[str, str]] = set()
        self._held: dict[str, Lease] = {}
        self._unsent: list[tuple[Script, list[Argument]]] = []
        bus.add_scripts(*scripts.all())

    def use(self, pools: Mapping[str, Pool]) -> None:
        self._pools = {**self._pools, **pools}  # a request that began with an older configuration may still ask

    async def lease(self, ask: Ask) -> Lease | Delay:
        """Waits while Redis is away: what was leased just before, and not heard of, ends by itself."""
        while True:
            try:
                return await self._ask(ask)
            except BusDown:
                await asyncio.sleep(_AWAY_S)
                await self._bus.up.wait()

    async def _ask(self, ask: Ask) -> Lease | Delay:
        self._count += 1
        lease_id = f"{self._worker}.{self._count}"
        args = self._arguments(ask, lease_id)
        reply = await self._call(args, ask.candidates, lease_id)
        while reply[0] == b"stale":
            await self.sync({candidate.pool for candidate in ask.candidates})
            reply = await self._call(args, ask.candidates, lease_id)
        if reply[0] == b"leased":
            return self._granted(reply, ask.candidates, lease_id, ask.tokens)
        kind, number, wait_ms, why = reply
        if kind == b"wait":
            candidate = ask.candidates[number]
            self._lines.add((candidate.pool, candidate.credential))
        return Delay(kind.decode(), number, wait_ms / 1000, why.decode())

    def settle(
        self,
        lease: Lease,
        *,
        tokens: int | None = None,
        fault: Fault | None = None,
        consequence: Consequence | None = None,
        lesson: Lesson = _NO_LESSON,
        well: bool = False,
    ) -> None:
        """Ends a lease, once. `tokens` is what was really used, None if unknown; neither `well` nor `fault` says that
        nothing was learned of the account, as when the client left.
        """
        if lease.settled:
            return
        lease.settled = True
        self._held.pop(lease.id, None)
        held_ms = round((asyncio.get_running_loop().time() - lease.taken_at) * 1000)
        args: list[Argument] = [lease.pool, lease.credential, lease.id, lease.leased_ms, lease.tokens]
        args += [-1 if tokens is None else tokens, held_ms, "well" if well else "ill" if consequence else "nothing"]
        args += _consequence(fault, consequence)
        args += [round(lesson.rest_s * 1000), lesson.rpm, lesson.tpm]
        self._post(self._scripts.settle, args)

    def recover(self, lease: Lease) -> None:
        """First content has come. Only a probe has news for the others."""
        if lease.probe:
            self._post(self._scripts.recover, [lease.pool, lease.credential, lease.id])

    def leave(self, rid: str, lines: Iterable[tuple[str, str]]) -> None:
        """A request that may have waited for these (pool, credential or "" for any) is served now, by whichever."""
        self._post(self._scripts.leave, [rid, *chain.from_iterable(lines)])

    def bench(self, pool: str, credential: str, fault: Fault, suffered: Consequence) -> None:
        """A fault was seen without a lease: by a health check, or when a token could not be renewed."""
        args: list[Argument] = [pool, credential, "", 0, 0, -1, 0, "ill", *_consequence(fault, suffered), 0, 0, 0]
        self._post(self._scripts.settle, args)

    def revive(self, pool: str, credential: str) -> None:
        """Somebody knows that the account works again: it was renewed, checked or reset."""
        self._post(self._scripts.recover, [pool, credential, ""])

    async def renew(self) -> None:
        """Every `RENEW_EVERY_S`. Raises BusDown or CommandRefused."""
        unsent, self._unsent = self._unsent, []
        for script, args in unsent:
            self._post(script, args)
        lines = list(self._lines)
        held: list[Argument] = [LEASE_MS, len(lines)]
        for line in lines:
            held += line
        for lease in self._held.values():
            held += (lease.pool, lease.credential, lease.id)
        if len(held) > _NOTHING_HELD:
            waiting = await self._bus.run(self._scripts.renew, args=held)
            self._lines.difference_update(line for line, waits in zip(lines, waiting, strict=True) if not waits)

    def _arguments(self, ask: Ask, lease_id: str) -> list[Argument]:
        left_out = "".join(f" {number}/{name} " for number, name in ask.left_out)
        args: list[Argument] = [
            ask.rid,
            ask.place,
            ask.deadline_ms,
            lease_id,
            LEASE_MS,
            ask.tokens,
            ask.order,
            ask.turns,
        ]
        awaited = f" {' '.join(ask.awaited)} " if ask.awaited else ""
        args += [ask.kept, ask.kept_s, ask.luck, left_out, awaited]
        for candidate in ask.candidates:
            pool = self._pools[candidate.pool]
            args += (
                candidate.pool,
                pool.generation,
                pool.digest,
                candidate.weight,
                candidate.credential,
                candidate.turn,
            )
        return args

    async def _call(self, args: list[Argument], candidates: Sequence[Candidate], lease_id: str) -> list[Any]:
        future = self._bus.run(self._scripts.lease, args=args)
        try:
            reply: list[Any] = await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: self._give_back(done, candidates, lease_id))
            raise
        return reply

    def _give_back(self, done: asyncio.Future[Any], candidates: Sequence[Candidate], lease_id: str) -> None:
        """The lease was granted after the one who wanted it had gone."""
        if not done.cancelled() and done.exception() is None and done.result()[0] == b"leased":
            self.settle(self._granted(done.result(), candidates, lease_id, tokens=0))

    def _granted(self, reply: list[Any], candidates: Sequence[Candidate], lease_id: str, tokens: int) -> Lease:
        _, number, name, at_ms, probe = reply
        pool, taken_at = candidates[number].pool, asyncio.get_running_loop().time()
        self._seen.add(pool)
        lease = Lease(lease_id, number, pool, name.decode(), float(at_ms), tokens, probe == 1, taken_at)
        self._held[lease_id] = lease
        return lease

    async def sync(self, pools: Iterable[str]) -> None:
        """Tells Redis what these pools are now. Raises BusDown."""
        for name in pools:
            head, rows = self._pools[name].arguments[:8], self._pools[name].arguments[8:]
            args: list[Argument] = [*head, int(name in self._seen)]
            for i in range(0, len(rows), ROW):
                args += (*rows[i : i + ROW], self._recall(name, str(rows[i])))
            await self._bus.run(self._scripts.sync, args=args)

    def _post(self, script: Script, args: list[Argument]) -> None:
        def check(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and isinstance(future.exception(), BusDown):
                self._keep(script, args)

        try:
            self._bus.run(script, args=args).add_done_callback(check)
        except BusDown:
            self._keep(script, args)

    def _keep(self, script: Script, args: list[Argument]) -> None:
        if len(self._unsent) < _MOST_UNSENT:
            self._unsent.append((script, args))


def _consequence(fault: Fault | None, ends: Consequence | None) -> list[Argument]:
    """Six arguments of settle.lua."""
    if ends is None:
        return ["", "", 0, 0, 0, 0]
    return [ends.state, fault or "", round(ends.rest_s * 1000), ends.borne, int(ends.doubles), int(ends.probe)]
