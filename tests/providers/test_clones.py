"""What clones of OpenAI's dialect say in words of their own: shapes of errors, codes, finish reasons."""

import json
from typing import Any, Final

import pytest

from tests.providers.cases import FOLDER, Case, map_stream, parts
from worker.faults import Fault, UpstreamError
from worker.joining import join
from worker.providers.compatible_complaint import Complaint, read_complaint
from worker.providers.contract import Framing

CASE: Final = Case(FOLDER / "openai-compatible" / "text")
SHAPES: Final[list[tuple[Any, Complaint]]] = [
    ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, Complaint("m", "c", "t", "p")),
    ({"error": {"msg": "m"}}, Complaint("m")),
    ({"error": {"detail": "m"}}, Complaint("m")),
    ({"error": "m", "code": "c", "type": "t", "message": "other"}, Complaint("m", "c", "t")),
    ({"error": "m", "error_type": "t"}, Complaint("m", None, "t")),
    ({"detail": "m", "message": "other"}, Complaint("m")),
    ({"detail": [{"loc": ["body", "n"], "msg": "too many", "input": "prompt"}]}, Complaint("body.n: too many")),
    ({"code": 17, "message": "m"}, Complaint("m", "17")),
    ({"code": 17, "msg": "m"}, Complaint("m", "17")),
    ({"error_code": 17, "error_msg": "m"}, Complaint("m", "17")),
    ([{"error": {"message": "m", "code": 400}}], Complaint("m", "400")),
]
CODES: Final = {
    "invalid_api_key": Fault.CREDENTIAL_REJECTED,
    "account_deactivated": Fault.CREDENTIAL_REJECTED,
    "authentication_error": Fault.CREDENTIAL_REJECTED,
    "invalid_authentication_error": Fault.CREDENTIAL_REJECTED,
    "incorrect_api_key_error": Fault.CREDENTIAL_REJECTED,
    "permission_denied_error": Fault.PERMISSION_DENIED,
    "rate_limit_exceeded": Fault.RATE_LIMITED,
    "rate_limit_reached_error": Fault.RATE_LIMITED,
    "insufficient_quota": Fault.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": Fault.QUOTA_EXHAUSTED,
    "billing_not_active": Fault.QUOTA_EXHAUSTED,
    "exceeded_current_quota_error": Fault.QUOTA_EXHAUSTED,
    "insufficient_balance": Fault.QUOTA_EXHAUSTED,
    "content_filter": Fault.CONTENT_FILTERED,
    "content_policy_violation": Fault.CONTENT_FILTERED,
    "context_length_exceeded": Fault.CONTEXT_TOO_LONG,
    "exceed_context_size_error": Fault.CONTEXT_TOO_LONG,
    "model_not_found": Fault.MODEL_NOT_FOUND,
    "resource_not_found_error": Fault.MODEL_NOT_FOUND,
    "engine_overloaded_error": Fault.OVERLOADED,
    "overloaded": Fault.OVERLOADED,
    "overloaded_error": Fault.OVERLOADED,
    "server_is_overloaded": Fault.OVERLOADED,
    "unexpected_output": Fault.UPSTREAM_FAULT,
}
REASONS: Final = {
    "stop": "stop",
    "eos": "stop",
    "stop_sequence": "stop",
    "normal": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_call": "tool_calls",
    "sensitive": "content_filter",
    "a_reason_of_tomorrow": "a_reason_of_tomorrow",
}


@pytest.mark.parametrize(("body", "said"), SHAPES, ids=[json.dumps(body) for body, _ in SHAPES])
def test_every_shape_of_an_error_is_read(body: Any, said: Complaint) -> None:
    """Each names the member that counts where there are several."""
    assert read_complaint(json.dumps(body).encode()) == said


@pytest.mark.parametrize("member", ["code", "type"])
@pytest.mark.parametrize("word", CODES)
def test_a_word_tells_what_no_status_does(word: str, member: str) -> None:
    """Inside a stream it is all that there is."""
    event = json.dumps({"error": {"message": "m", member: word}})
    with pytest.raises(UpstreamError) as caught:
        list(map_stream(CASE.provider.stream_mapper(CASE.call(stream=True)), Framing.SSE, parts(f"data: {event}\n\n")))
    assert caught.value.fault is CODES[word]


def test_a_long_error_is_cut_short() -> None:
    """Some send their whole stack, or the prompt."""
    error = CASE.provider.parse_error(400, {}, json.dumps({"error": {"message": "x" * 501}}).encode())
    assert "x" * 500 in error.message
    assert "x" * 501 not in error.message


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_to_finish_is_openais(reason: str) -> None:
    """The same streamed and whole; what nobody knows passes as it is."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": reason}
    whole = CASE.provider.parse_response(CASE.call(), json.dumps({"choices": [choice]}).encode())
    event = json.dumps({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": reason}]})
    joined = join(CASE.mapped(parts(f"data: {event}\n\ndata: [DONE]\n\n")))
    assert [answer["choices"][0]["finish_reason"] for answer in (whole, joined)] == [REASONS[reason]] * 2


@pytest.mark.parametrize(
    "reason", [None, "", "null", "error", "network_error", "abort", "insufficient_system_resource"]
)
def test_an_answer_that_was_not_finished_is_none(reason: str | None) -> None:
    """By whichever word a clone says so."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": reason}
    with pytest.raises(UpstreamError, match="not finished"):
        CASE.provider.parse_response(CASE.call(), json.dumps({"choices": [choice]}).encode())


def test_choices_without_an_index_are_counted() -> None:
    """Two choices are never both the first."""
    choice = {"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    whole = CASE.provider.parse_response(CASE.call(), json.dumps({"choices": [choice, choice]}).encode())
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
