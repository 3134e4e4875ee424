"""What is tried again before the client has seen anything: by cause, bounded in number and time. Pure."""

from dataclasses import dataclass
from typing import Final

from shared.errors import GatewayError
from worker.accounts.states import State, consequence
from worker.config.route import Retries
from worker.faults import Fault, UpstreamError, to_client

LIMITS: Final = frozenset({"rpm", "tpm", "tpd", "concurrency", "line", Fault.RATE_LIMITED.value})
"""Reasons of a Delay that are no failure: of accounts that are busy, and of those whose upstream set a limit."""
_FAULTS = {fault.value: fault for fault in Fault} | {
    State.EXHAUSTED.value: Fault.QUOTA_EXHAUSTED,
    State.PROBING.value: Fault.OVERLOADED,
    "left out": Fault.OVERLOADED,
}

_UPSTREAMS = frozenset({Fault.UPSTREAM_FAULT, Fault.TIMED_OUT})
_REASONS = {
    Fault.RATE_LIMITED: "are at their limits",
    Fault.QUOTA_EXHAUSTED: "have used up their quota",
    Fault.OVERLOADED: "rest, because their upstreams fail",
    Fault.DISCONTINUED: "belong to a service that was discontinued",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a request may go after a fault."""

    same_target: bool
    other_targets: bool
    fallbacks: bool


def scope(fault: Fault, retries: Retries) -> Scope:
    return Scope(fault in retries.other_credential, fault in retries.other_target, fault in retries.fallback)


def may_attempt(retries: Retries, counted: int, elapsed_s: float) -> bool:
    """`counted` attempts have failed, the first was `elapsed_s` ago."""
    return counted < retries.attempts and elapsed_s < retries.within_s


def stays_in_use(fault: Fault, retry_after_s: float | None) -> bool:
    """Whether an account that showed this fault is still offered, so that a retry must leave it out itself."""
    suffered = consequence(fault, retry_after_s)
    return suffered is None or suffered.borne > 0


def fault_behind(why: str) -> Fault:
    """The fault that an account's unreadiness amounts to, for deciding on fallbacks."""
    if why in LIMITS:
        return Fault.RATE_LIMITED
    return _FAULTS.get(why, Fault.CREDENTIAL_REJECTED)


def refusal(model: str, why: str, wait_s: float | None) -> GatewayError:
    """What a client hears when no account can take its request in time; `wait_s` None says that none ever can."""
    fault = fault_behind(why)
    if fault in _UPSTREAMS:
        fault = Fault.OVERLOADED
    reason = _REASONS.get(fault, "must be renewed by the operator: `penstock accounts` tells why")
    wait = "" if wait_s is None else f" The estimated wait is {wait_s:.1f} s, longer than this request may wait."
    return to_client(UpstreamError(fault, f"All accounts of the model {model!r} {reason}.{wait}", retry_after_s=wait_s))
