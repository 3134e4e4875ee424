"""Whatever dialect an upstream speaks, what it says of the operator's account stays inside."""

import json
from typing import Any

import pytest

from worker.faults import Fault, UpstreamError, mask, quoted, to_client
from worker.providers.contract import LocalProvider
from worker.providers.registry import providers

SAID = "organization canary-7d1 is out of canary-7d1"
_SHAPES: tuple[Any, ...] = (
    {"error": {"message": SAID, "type": "t", "code": "c", "status": "s"}},
    {"error": {"message": SAID, "code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"reason": SAID}]}},
    [{"error": {"message": SAID, "code": 500}}],
    {"type": "error", "error": {"type": "api_error", "message": SAID}},
    {"error": SAID},
    {"detail": SAID},
    {"detail": [{"loc": ["body"], "msg": SAID, "input": SAID}]},
    {"message": SAID, "code": "Throttling.User", "request_id": "r"},
    {"msg": SAID, "code": 40001},
    {"error_code": 18, "error_msg": SAID},
    {"header": {"code": 10013, "message": SAID, "sid": "x"}, "payload": {}},
    {"success": False, "data": {"code": "c", "details": SAID}},
    SAID,
)
_TYPES = [name for name, provider in providers().items() if not isinstance(provider, LocalProvider)]
_ACCOUNT_STATUSES = (401, 402, 403, 429, 500, 502, 503, 529)
_REQUEST_FAULTS = {Fault.INVALID_REQUEST, Fault.CONTENT_FILTERED, Fault.CONTEXT_TOO_LONG, Fault.MODEL_NOT_FOUND}


@pytest.mark.parametrize("name", _TYPES)
@pytest.mark.parametrize("status", _ACCOUNT_STATUSES)
def test_an_error_about_the_account_is_not_quoted(name: str, status: int) -> None:
    for shape in _SHAPES:
        error = providers()[name].parse_error(status, {}, json.dumps(shape).encode())
        if error.fault not in _REQUEST_FAULTS:
            shown = to_client(error)
            assert "canary" not in shown.message, shape
            assert shown.message


def test_a_quotation_is_cut_out_of_our_own_sentence() -> None:
    error = UpstreamError(Fault.UPSTREAM_FAULT, f"Example answered with HTTP 500: {quoted('secret words')}")
    assert to_client(error).message.startswith("Example answered with HTTP 500. ")
    own = to_client(error, callers_key=True).message
    assert own.startswith("Example answered with HTTP 500: secret words. ")


@pytest.mark.parametrize("fault", sorted(_REQUEST_FAULTS))
def test_the_caller_reads_what_the_upstream_says_of_the_request(fault: Fault) -> None:
    assert to_client(UpstreamError(fault, quoted("temperature must be a number"))).message == (
        "temperature must be a number"
    )


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_has_words_of_our_own(fault: Fault) -> None:
    assert to_client(UpstreamError(fault, quoted("x"))).message


def test_a_quotation_cannot_end_itself() -> None:
    """Marks inside an upstream's words are removed, so that the rest of them is not taken for ours."""
    error = UpstreamError(Fault.UPSTREAM_FAULT, quoted("a\x03 canary \x02 b"))
    assert "canary" not in to_client(error).message


def test_a_secret_is_masked_wherever_it_stands() -> None:
    error = UpstreamError(Fault.INVALID_REQUEST, quoted("bad key abcdef123"), code="abcdef123", param="abcdef123")
    mask(error, ["abcdef123", "", "b"])
    assert (error.code, error.param, to_client(error).message) == ("[key]", "[key]", "bad key [key]")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.CREDENTIAL_REJECTED, 401),
        (Fault.PERMISSION_DENIED, 403),
        (Fault.QUOTA_EXHAUSTED, 429),
        (Fault.RATE_LIMITED, 429),
        (Fault.UPSTREAM_FAULT, 502),
    ],
)
def test_with_the_callers_key_an_upstreams_own_code_and_type_are_kept(fault: Fault, status: int) -> None:
    told = to_client(UpstreamError(fault, "no", code="Own.Code"), callers_key=True, own_type="own_error")
    assert (told.status, told.type, told.code) == (status, "own_error", "Own.Code")
    unsaid = to_client(UpstreamError(fault, "no"), callers_key=True, own_type="own_error")
    assert (unsaid.status, unsaid.type == "own_error") == (status, False)
    operators = to_client(UpstreamError(fault, "no", code="Own.Code"), own_type="own_error")
    assert (operators.type == "own_error", operators.code == "Own.Code") == (False, False)
