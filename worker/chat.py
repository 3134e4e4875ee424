"""One chat completion, from the claimed job to its terminal frame: routes, leases, attempts, and the answer."""

import asyncio
import contextlib
import time
from collections import deque
from enum import Enum, auto
from functools import partial
from typing import Any, Final

from shared.errors import GatewayError, NotFound, RateLimited, Unavailable
from worker.accounts.leases import Delay, Lease
from worker.accounts.states import SIGN_IN_ENDED
from worker.attempt import Attempt
from worker.choice import Choice, NoLease, Patience
from worker.config.route import Strategy
from worker.faults import Fault, UpstreamError, to_client
from worker.job import Job, Park
from worker.racing import race
from worker.retry import LIMITS, fault_behind, may_attempt, refusal
from worker.routing.route import Destination, Route
from worker.sending import Sender
from worker.state import WorkerState

_ELSEWHERE_S: Final = 0.2
_WAIT_HERE_S: Final = 0.05
"""A shorter wait is not worth a way through Redis."""
_SOON_S: Final = 2.0
_WORTH_WAITING: Final = frozenset({Fault.RATE_LIMITED, Fault.OVERLOADED})
"""Upstreams that asked to come back. After another fault the client hears of it, unless an account is free soon."""


async def run_chat(ctx: dict[str, Any], job: Job) -> None:
    """Answers `job`. Raises the GatewayError that the client gets, or Park when it must wait."""
    await _Chat(ctx["state"], job).answer()


class _Waits(Enum):
    """For what a route lets a request wait."""

    NEVER = auto()
    FOR_LIMITS = auto()
    FOR_ANYTHING = auto()


class _Failed(Exception):
    """A route has no more to offer; what the client would hear, and the fault on which fallbacks depend. `rests` says
    that one of its accounts, which have failed, would be back in time.
    """

    def __init__(self, fault: Fault, error: GatewayError, *, rests: bool = False) -> None:
        super().__init__(fault)
        self.fault = fault
        self.error = error
        self.rests = rests


class _Chat:
    def __init__(self, state: WorkerState, job: Job) -> None:
        self._state = state
        self._job = job
        self._routes = state.dispatch.routes
        self._accounts = state.dispatch.accounts
        self._sender = Sender(state, job)
        self._has_waited = job.triple[2] > 1

    async def answer(self) -> None:
        if time.time() * 1000 > self._job.envelope.deadline_ms and not self._job.out.shown:
            raise RateLimited("The request waited in the queue longer than it may. Retry later.", retry_after_s=1)
        await self._deliver(*await self._reach_any())

    async def _reach_any(self) -> tuple[Attempt, bytes | None]:
        """By the route of the asked name, then by its fallbacks where the fault allows them. While a route's accounts
        rest after failures, a fallback that is ready takes its place; when none is, the route is waited for.
        """
        route = self._route()
        names = deque(route.fallbacks)
        resting: Route | None = None
        waits = _Waits.FOR_LIMITS
        while True:
            try:
                return await self._reach(route, waits if names or resting else _Waits.FOR_ANYTHING)
            except _Failed as failed:
                resting = resting or (route if failed.rests else None)
                goes_on = failed.fault in route.retries.fallback and self._may_attempt(route)
                other = self._fallback(names) if goes_on else None
                if other is None and (resting is None or not self._may_attempt(resting)):
                    raise failed.error from failed.__cause__
            if other is not None:
                route, waits = other, _Waits.NEVER if resting else _Waits.FOR_LIMITS
            elif resting is not None:
                route, resting, waits = resting, None, _Waits.FOR_ANYTHING

    def _route(self) -> Route:
        envelope = self._job.envelope
        if envelope.sealed_key:
            return self._own_route()
        try:
            return self._routes.resolve(envelope.model)
        except NotFound:
            if self._state.is_outdated:  # another worker has the configuration that fronts use
                raise Park(_ELSEWHERE_S) from None
            raise

    def _own_route(self) -> Route:
        """With a key of the caller's own: to its provider alone, whatever routes the configuration has."""
        passthrough = self._state.config.passthrough
        if passthrough is not None:
            return self._routes.direct(passthrough.provider, self._job.envelope.model)
        if self._state.is_outdated:
            raise Park(_ELSEWHERE_S)
        raise Unavailable("The configuration has changed and takes no callers' own keys now.", code="not_ready")

    def _fallback(self, names: deque[str]) -> Route | None:
        while names:
            with contextlib.suppress(NotFound):
                return self._routes.resolve(names.popleft())
        return None

    def _may_attempt(self, route: Route) -> bool:
        history = self._sender.history
        return may_attempt(route.retries, history.counted, history.elapsed_s)

    # ---- reaching an upstream

    async def _reach(self, route: Route, waits: _Waits) -> tuple[Attempt, bytes | None]:
        """An attempt that has brought its first content. Raises _Failed, Park, GatewayError."""
        choice = Choice(self._state.dispatch, route, self._job, self._sender.body)
        failure: UpstreamError | None = None
        while True:
            try:
                if route.stages[0].strategy is Strategy.RACE and failure is None:
                    return await self._race(choice, route, waits)
                return await self._try_one(choice, route, waits)
            except NoLease as none:
                await self._wait_or_fail(route, none.delay, failure)
            except _Fault as fault:
                failure = fault.error
                left = fault.renewed or choice.narrow(fault.destination, fault.lease, failure)
                if not left or not self._may_attempt(route):
                    raise self._failed(failure) from failure
                self._state.metrics.retried(fault.destination.provider.name, failure.fault)

    async def _try_one(self, choice: Choice, route: Route, waits: _Waits) -> tuple[Attempt, bytes | None]:
        if self._job.envelope.sealed_key:
            return await self._send(choice.stages[0][1][0], None)
        return await self._send(*await choice.take(self._patience(route, waits)))

    def _patience(self, route: Route, waits: _Waits) -> Patience:
        """The time for tries bounds the waits between them as well; before the first there is the queue's alone."""
        if waits is _Waits.NEVER:
            return Patience(0)
        until_ms, first_ms = self._job.envelope.deadline_ms, self._sender.history.first_ms
        if first_ms:
            until_ms = min(until_ms, first_ms + round(route.retries.within_s * 1000))
        return Patience(until_ms, LIMITS if waits is _Waits.FOR_LIMITS else frozenset())

    async def _race(self, choice: Choice, route: Route, waits: _Waits) -> tuple[Attempt, bytes | None]:
        """Of as many destinations as there may be tries. Raises NoLease when nobody could start, to wait then."""
        stage, destinations = choice.stages[0]
        most = max(1, route.retries.attempts - self._sender.history.counted)
        faults: list[_Fault] = []

        async def contend(destination: Destination) -> tuple[Attempt, bytes | None]:
            if not choice.may_ask(destination):  # after a fault that leads to no other target
                raise faults[-1]
            try:
                return await self._send(*await choice.lease(stage, [destination]))
            except _Fault as fault:
                choice.narrow(fault.destination, fault.lease, fault.error)
                faults.append(fault)
                raise

        async def discard(late: tuple[Attempt, bytes | None]) -> None:
            await late[0].end(asyncio.CancelledError())

        try:
            contenders = [partial(contend, one) for one in destinations[:most]]
            return await race(contenders, stage.race_delay_s, discard, may_join=partial(self._may_attempt, route))
        except NoLease:
            if faults:
                raise faults[-1] from None
            return await self._try_one(choice, route, waits)

    async def _send(self, destination: Destination, lease: Lease | None) -> tuple[Attempt, bytes | None]:
        if self._has_waited and lease is not None:
            self._leave_lines()
        attempt = await self._prepare(destination, lease)
        try:
            return attempt, await attempt.first()
        except UpstreamError as error:
            renewed = attempt.is_renewable(error) and await self._renew(attempt)
            self._sender.history.count(error.fault)
            raise _Fault(destination, lease, error, renewed=renewed) from error

    async def _prepare(self, destination: Destination, lease: Lease | None) -> Attempt:
        """Whatever it raises, the lease is given back: _Fault, GatewayError."""
        try:
            return await self._sender.attempt(destination, lease)
        except BaseException as error:
            if lease is not None:
                refused = isinstance(error, UpstreamError) and error.fault is Fault.CREDENTIAL_REJECTED
                fault, ends = (Fault.CREDENTIAL_REJECTED, SIGN_IN_ENDED) if refused else (None, None)
                self._accounts.settle(lease, tokens=0, fault=fault, consequence=ends)
            if isinstance(error, UpstreamError):
                self._sender.history.count(error.fault)
                raise _Fault(destination, lease, error) from error
            raise

    async def _renew(self, attempt: Attempt) -> bool:
        """Whether the account has another token now; when its sign-in has ended, nobody else need try."""
        assert attempt.renew is not None
        try:
            await attempt.renew()
        except UpstreamError as error:
            if error.fault is Fault.CREDENTIAL_REJECTED and attempt.lease is not None:
                self._accounts.bench(attempt.lease.pool, attempt.lease.credential, error.fault, SIGN_IN_ENDED)
            return False
        return True

    # ---- waiting

    def _leave_lines(self) -> None:
        """It may have stood in line for another account than the one that it got, and would be in the way of all behind
        it there for as long as it runs.
        """
        self._has_waited = False
        routes = [self._route()]
        names = deque(routes[0].fallbacks)
        while (route := self._fallback(names)) is not None:
            routes.append(route)
        self._accounts.leave(
            self._job.triple[0], {(one.provider.name, one.credential) for route in routes for one in route.destinations}
        )

    async def _wait_or_fail(self, route: Route, delay: Delay, failure: UpstreamError | None) -> None:
        patient = failure is None or failure.fault in _WORTH_WAITING or delay.wait_s < _SOON_S
        if delay.kind == "wait" and patient:
            if delay.wait_s > _WAIT_HERE_S:
                raise Park(delay.wait_s, self._sender.history.encode())
            self._has_waited = True
            await asyncio.sleep(delay.wait_s)
            return
        rests = delay.kind == "rests" and patient
        if failure is not None:
            raise self._failed(failure, rests=rests) from failure
        wait_s = None if delay.kind == "none" else delay.wait_s
        raise _Failed(fault_behind(delay.why), refusal(route.name, delay.why, wait_s), rests=rests)

    def _failed(self, error: UpstreamError, *, rests: bool = False) -> _Failed:
        return _Failed(error.fault, self._tell(error), rests=rests)

    def _tell(self, error: UpstreamError) -> GatewayError:
        if not self._job.envelope.sealed_key:
            return to_client(error)
        passthrough = self._state.config.passthrough
        provider = passthrough and self._state.config.provider(passthrough.provider)
        return to_client(error, callers_key=True, own_type=provider.kind.own_error_type if provider else None)

    # ---- answering

    async def _deliver(self, attempt: Attempt, piece: bytes | None) -> None:
        """From the first content on nothing is tried again: an error goes to the client as it is."""
        out, sender = self._job.out, self._sender
        provider = attempt.destination.provider.name
        try:
            out.start(provider=provider, attempts=sender.history.attempts, queue_ms=sender.queue_ms)
            if piece is not None:
                await (out.stream if self._job.envelope.stream else out.result)(piece)
            await attempt.rest(out)
        except BaseException as error:
            await attempt.end(error)
            if isinstance(error, UpstreamError):
                raise self._tell(error) from error
            raise
        answer = attempt.answer
        out.end(done=answer.done, usage=answer.usage)
        await attempt.end()


class _Fault(Exception):
    """One attempt failed before its first content; `renewed` says that the same account may be asked again."""

    def __init__(
        self, destination: Destination, lease: Lease | None, error: UpstreamError, *, renewed: bool = False
    ) -> None:
        super().__init__(error.fault)
        self.destination = destination
        self.lease = lease
        self.error = error
        self.renewed = renewed
