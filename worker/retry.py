"""What is tried again before the client has seen anything: by cause, bounded in number and time. Pure."""

from dataclasses import dataclass

from shared.errors import GatewayError, RateLimited, Unavailable
from worker.accounts.states import State, consequence
from worker.config.route import Retries
from worker.faults import Fault

_LIMITS = frozenset({"rpm", "tpm", "tpd", "concurrency", "line"})
_FAULTS = {fault.value: fault for fault in Fault} | {
    State.EXHAUSTED.value: Fault.QUOTA_EXHAUSTED,
    State.PROBING.value: Fault.OVERLOADED,
    "left out": Fault.OVERLOADED,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a request may go after a fault."""

    same_target: bool
    other_targets: bool
    fallbacks: bool


def scope(fault: Fault, retries: Retries) -> Scope:
    return Scope(fault in retries.other_credential, fault in retries.other_target, fault in retries.fallback)


def may_attempt(retries: Retries, attempts: int, elapsed_s: float) -> bool:
    """`attempts` have been made, the first `elapsed_s` ago."""
    return attempts < retries.attempts and elapsed_s < retries.within_s


def stays_in_use(fault: Fault, retry_after_s: float | None) -> bool:
    """Whether an account that showed this fault is still offered, so that a retry must leave it out itself."""
    suffered = consequence(fault, retry_after_s)
    return suffered is None or suffered.borne > 0


def fault_behind(why: str) -> Fault:
    """The fault that an account's unreadiness amounts to, for deciding on fallbacks."""
    if why in _LIMITS:
        return Fault.RATE_LIMITED
    return _FAULTS.get(why, Fault.CREDENTIAL_REJECTED)


def refusal(model: str, why: str, wait_s: float | None) -> GatewayError:
    """What a client hears when no account can take its request in time; `wait_s` None says that none ever can."""
    fault = fault_behind(why)
    about = f"{model!r}"
    if wait_s is None:
        return Unavailable(
            f"No account of the model {about} can be used now ({why.replace('_', ' ')}). The operator must act: "
            "`penstock accounts` tells the states of all.",
            code="upstream_quota_exhausted" if fault is Fault.QUOTA_EXHAUSTED else "upstream_credential_invalid",
        )
    wait = f"The estimated wait is {wait_s:.1f} s, longer than this request may wait. Retry after that."
    if fault is Fault.RATE_LIMITED:
        return RateLimited(f"All accounts of the model {about} are at their limits. {wait}", retry_after_s=wait_s)
    if fault is Fault.QUOTA_EXHAUSTED:
        message = f"The quota of all accounts of the model {about} is used up. {wait}"
        return Unavailable(message, code="upstream_quota_exhausted", retry_after_s=wait_s)
    return Unavailable(f"The upstreams of the model {about} are failing and rest. {wait}", retry_after_s=wait_s)
