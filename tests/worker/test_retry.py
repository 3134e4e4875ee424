"""What is tried again, and what a client hears when nothing is left to try."""

import pytest

from worker.accounts.states import State
from worker.config.route import Retries
from worker.faults import Fault
from worker.retry import fault_behind, may_attempt, refusal, scope, stays_in_use

RETRIES = Retries()


@pytest.mark.parametrize("fault", list(Fault))
def test_a_request_that_is_wrong_is_wrong_everywhere(fault: Fault) -> None:
    """Only INVALID_REQUEST ends at once; everything else has somewhere to go."""
    allowed = scope(fault, RETRIES)
    assert (allowed.same_target or allowed.other_targets or allowed.fallbacks) == (fault is not Fault.INVALID_REQUEST)


def test_a_challenge_does_not_meet_the_other_cookies() -> None:
    assert not scope(Fault.CHALLENGED, RETRIES).same_target


def test_causes_can_be_switched_off() -> None:
    assert not scope(Fault.TIMED_OUT, Retries(other_credential=frozenset())).same_target


def test_attempts_are_bounded_in_number_and_time() -> None:
    assert may_attempt(RETRIES, 3, 1)
    assert not may_attempt(RETRIES, 4, 1)
    assert not may_attempt(RETRIES, 1, 120)


def test_an_account_that_rests_needs_no_leaving_out() -> None:
    assert not stays_in_use(Fault.RATE_LIMITED, None)
    assert stays_in_use(Fault.UPSTREAM_FAULT, None)
    assert not stays_in_use(Fault.OVERLOADED, 3.0)
    assert stays_in_use(Fault.PERMISSION_DENIED, None)


@pytest.mark.parametrize("why", [*State, *Fault, "rpm", "tpm", "tpd", "concurrency", "line", "left out"])
@pytest.mark.parametrize("wait_s", [None, 12.3])
def test_every_reason_has_an_error_that_does_not_blame_the_callers_key(why: str, wait_s: float | None) -> None:
    error = refusal("gpt-4", why, wait_s)
    assert error.retry_after_s == wait_s
    assert error.status == (429 if fault_behind(why) is Fault.RATE_LIMITED else error.status)
    assert error.code != "invalid_api_key"
    assert "gpt-4" in error.message
