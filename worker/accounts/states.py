"""In which states an account can be, what a fault does to it, and how to look at it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from worker.accounts.names import account_key, leases_key
from worker.faults import Fault

if TYPE_CHECKING:  # the rest of this module is pure, and so is what imports it
    from shared.bus import Bus

FOREVER_S = -0.001  # the script's -1 ms


class State(StrEnum):
    READY = "ready"
    COOLING = "cooling"
    PROBING = "probing"
    """One request tries whether it has recovered."""
    EXHAUSTED = "exhausted"
    NEEDS_RENEWAL = "needs_renewal"
    """A person must act."""
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Consequence:
    """What an account suffers after `borne` faults in a row: rests `rest_s`, doubling each further time if `doubles`;
    with `probe` one request then tries it before all others may use it.
    """

    state: State
    rest_s: float
    borne: int = 0
    doubles: bool = True
    probe: bool = True


_BREAKER = Consequence(State.COOLING, 5, borne=2)
"""One slow or failed answer says little of an account, so only the third in a row, on whichever workers, makes it rest.
A time limit (connect, first token, between chunks) counts as any other failure of the upstream; that of the whole
answer too where nothing of it had come. The wait in the queue ends before there is an account, so it counts for none.
"""
_CONSEQUENCES = {
    Fault.RATE_LIMITED: Consequence(State.COOLING, 1, probe=False),
    Fault.QUOTA_EXHAUSTED: Consequence(State.EXHAUSTED, 1800),
    Fault.CREDENTIAL_REJECTED: Consequence(State.NEEDS_RENEWAL, 600),
    Fault.CHALLENGED: Consequence(State.NEEDS_RENEWAL, FOREVER_S, doubles=False, probe=False),
    Fault.DISCONTINUED: Consequence(State.DISABLED, FOREVER_S, doubles=False, probe=False),
    Fault.OVERLOADED: _BREAKER,
    Fault.UPSTREAM_FAULT: _BREAKER,
    Fault.TIMED_OUT: _BREAKER,
}


SIGN_IN_ENDED = Consequence(State.NEEDS_RENEWAL, FOREVER_S, doubles=False, probe=False)
"""A token cannot be renewed any more: a person must sign in again."""


def consequence(fault: Fault, retry_after_s: float | None = None) -> Consequence | None:
    """None where the account did nothing wrong: the request is at fault, or a model or resource is not for it.

    An upstream's own word on when to come back is taken as it is.
    """
    usual = _CONSEQUENCES.get(fault)
    if usual is None or retry_after_s is None or usual.rest_s < 0:
        return usual
    return Consequence(usual.state, max(retry_after_s, 0.05), doubles=False, probe=usual.probe)


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as `penstock accounts`, metrics and the admin API show it. Times in unix ms; 0 says none."""

    pool: str
    credential: str
    state: State
    cause: str
    since_ms: int
    until_ms: int
    busy: int
    learned_rpm: int | None


_FIELDS = ("state", "cause", "since_ms", "until_ms", "learned_rpm")


async def view_accounts(bus: "Bus", accounts: Iterable[tuple[str, str]]) -> list[AccountView]:
    """`accounts` are (pool, credential). One that Redis does not know yet is ready. Raises BusDown."""
    asked = [
        (
            pool,
            name,
            bus.command("HMGET", account_key(pool, name), *_FIELDS),
            bus.command("ZCARD", leases_key(f"{pool}/{name}")),
        )
        for pool, name in accounts
    ]
    return [_view(pool, name, await values, await busy) for pool, name, values, busy in asked]


async def read_accounts(
    bus: "Bus", accounts: Iterable[tuple[str, str]], fields: Sequence[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Fields of accounts as Redis has them, "" where it has none. Raises BusDown."""
    asked = {(pool, name): bus.command("HMGET", account_key(pool, name), *fields) for pool, name in accounts}
    return {place: tuple((value or b"").decode() for value in await values) for place, values in asked.items()}


def _view(pool: str, name: str, values: list[bytes | None], busy: int) -> AccountView:
    state, cause, since, until, learned = ((value or b"").decode() for value in values)
    current = State(state or State.READY)
    ends = 0 if current is State.READY or float(until or 0) > _LAST_MS else round(float(until or 0))
    return AccountView(
        pool, name, current, cause, round(float(since or 0)), ends, busy, int(float(learned)) if learned else None
    )


_LAST_MS = 8e15  # beyond it the scripts mean "never"
