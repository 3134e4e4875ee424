"""An error that comes with status 200, as an event of a stream or in an answer's place, is what it would be otherwise.

Upstreams that have begun to stream cannot change the status any more; llama.cpp, older SGLang and Hugging Face's TGI
answer invalid requests like that (ggml-org/llama.cpp issue 14566, sgl-project/sglang pull request 21900,
huggingface/huggingface_hub pull request 2558).
"""

from typing import Any, Final

import orjson
import pytest

from tests.providers.cases import Case, cases, map_stream, parts, raised
from worker.faults import Fault, UpstreamError, to_client
from worker.providers.compatible import CompatibleProvider
from worker.providers.contract import Framing

ERRORS: Final[list[tuple[int, dict[str, Any]]]] = [
    (400, {"error": {"message": "m", "type": "invalid_request_error", "param": "messages", "code": None}}),
    (400, {"error": {"message": "m", "type": "invalid_request_error", "code": "invalid_value"}}),
    (400, {"error": {"message": "m", "type": "invalid_request_error", "code": "invalid_request_error"}}),
    (400, {"error": {"message": "m", "type": "BadRequestError", "code": 400}}),
    (400, {"object": "error", "message": "m", "type": "BadRequestError", "code": None}),
    (400, {"error": {"message": "The maximum context length is 8 tokens", "type": "invalid_request_error"}}),
    (400, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}}),
    (401, {"error": {"message": "m", "type": "authentication_error"}}),
    (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}}),
    (403, {"error": {"message": "m", "type": "permission_error"}}),
    (404, {"error": {"message": "m", "type": "not_found_error"}}),
    (422, {"error": "Input validation error", "error_type": "validation"}),
    (429, {"error": {"message": "Please try again in 20s.", "type": "rate_limit_error"}}),
    (429, {"error": {"message": "m", "type": "tokens", "code": None}}),
    (429, {"error": {"message": "m", "type": "requests", "code": None}}),
    (500, {"error": {"message": "m", "type": "server_error", "code": None}}),
    (500, {"error": {"message": "m", "type": "invalid_request_error", "code": "api_error"}}),
    (503, {"error": {"message": "m", "type": "unavailable_error"}}),
    (503, {"error": {"message": "m", "type": "service_unavailable_error", "code": "server_is_overloaded"}}),
    (504, {"error": {"message": "m", "type": "timeout_error"}}),
]
STREAMED: Final = [case for case in cases() if case.path("stream.sse")]
FIRST: Final = {case.provider.type_name: case for case in reversed(STREAMED)}
SHAPED: Final = [case for case in FIRST.values() if isinstance(case.provider, CompatibleProvider)]
# Both interfaces of the one that has two.
CASES: Final = [*SHAPED, FIRST["dashscope"], *(case for case in STREAMED if case.name == "dashscope/compatible")]
EACH: Final = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def streamed(case: Case, body: Any) -> UpstreamError:
    mapper = case.provider.stream_mapper(case.call(stream=True))
    with pytest.raises(UpstreamError) as caught:
        list(map_stream(mapper, Framing.SSE, parts(f"data: {orjson.dumps(body).decode()}\n\n")))
    return caught.value


def whole(case: Case, body: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        case.provider.parse_response(case.call(), orjson.dumps(body))
    return caught.value


@EACH
@pytest.mark.parametrize(("status", "body"), ERRORS)
def test_status_200_hides_no_error(case: Case, status: int, body: dict[str, Any]) -> None:
    """As an event, as a plain answer and as JSON in a stream's place it is what it is with a status of its own."""
    expected = case.provider.parse_error(status, {}, orjson.dumps(body))
    found = [streamed(case, body), whole(case, body), case.provider.parse_error(200, {}, orjson.dumps(body))]
    assert [raised(error) for error in found] == [raised(expected)] * 3


@EACH
def test_the_callers_fault_is_told_as_the_callers(case: Case) -> None:
    """And the operator's as ours, which no rejected key of an account changes."""
    callers = {"error": {"message": "m", "type": "invalid_request_error", "param": "top_k", "code": None}}
    told = to_client(streamed(case, callers))
    assert (told.status, told.type, told.param) == (400, "invalid_request_error", "top_k")
    operators = {"error": {"message": "m", "type": "authentication_error", "code": None}}
    told = to_client(streamed(case, operators))
    assert (told.status, told.code) == (503, "upstream_credential_invalid")


@EACH
def test_an_error_that_says_nothing_of_its_kind_is_the_upstreams(case: Case) -> None:
    """Nobody is blamed by a guess."""
    assert streamed(case, {"error": {"message": "m", "type": "strange"}}).fault is Fault.UPSTREAM_FAULT
