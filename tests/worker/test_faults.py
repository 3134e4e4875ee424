"""Faults as clients see them: each says whether it is safe to ask again."""

import pytest

from worker.faults import Fault, UpstreamError, quoted, to_client

UNCERTAIN = (Fault.UPSTREAM_FAULT, Fault.TIMED_OUT)
SAFE = "safe to send the request again"
TWICE = "may be processed twice"
PART = "not the whole answer"


@pytest.mark.parametrize("fault", UNCERTAIN)
def test_what_was_not_sent_may_be_sent_again(fault: Fault) -> None:
    assert SAFE in to_client(UpstreamError(fault, "It cannot be reached.", sent=False)).message


@pytest.mark.parametrize("fault", UNCERTAIN)
def test_what_was_sent_may_be_processed_twice(fault: Fault) -> None:
    message = to_client(UpstreamError(fault, "It broke off.")).message
    assert message.startswith("It broke off. ")
    assert TWICE in message
    assert SAFE not in message


@pytest.mark.parametrize(
    ("said", "goes_on"), [("It broke off", "off. The"), ("It broke.", "broke. The"), ("Is it?", "it? The")]
)
def test_the_advice_is_a_sentence_of_its_own(said: str, goes_on: str) -> None:
    assert goes_on in to_client(UpstreamError(Fault.UPSTREAM_FAULT, said)).message


@pytest.mark.parametrize("fault", Fault)
def test_a_part_is_never_taken_for_the_whole(fault: Fault) -> None:
    error = UpstreamError(fault, "It broke off.")
    error.shown = True
    message = to_client(error).message
    assert PART in message
    assert SAFE not in message


@pytest.mark.parametrize("fault", sorted(set(Fault) - set(UNCERTAIN)))
def test_an_upstream_that_refused_has_done_nothing(fault: Fault) -> None:
    message = to_client(UpstreamError(fault, "It refused.")).message
    assert TWICE not in message


@pytest.mark.parametrize("fault", Fault)
def test_the_operators_account_is_never_the_callers_fault(fault: Fault) -> None:
    """Whatever an upstream says of it is not for callers either."""
    error = to_client(UpstreamError(fault, f"Refused: {quoted('account 4711 is overdue')}"))
    assert error.status not in {401, 403}
    assert ("4711" in error.message) == (error.status in {400, 404})
