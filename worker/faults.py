"""What can go wrong at an upstream, as a closed vocabulary, and how each fault looks to a client.

A provider says *what* happened (`Fault`); whether to retry, to fail over, to bench the credential or to blame the
caller follows from the fault alone, never from an error's text.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.errors import GatewayError


class Fault(StrEnum):
    CREDENTIAL_REJECTED = "credential_rejected"
    PERMISSION_DENIED = "permission_denied"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    CONTENT_FILTERED = "content_filtered"
    CONTEXT_TOO_LONG = "context_too_long"
    MODEL_NOT_FOUND = "model_not_found"
    INVALID_REQUEST = "invalid_request"
    OVERLOADED = "overloaded"
    UPSTREAM_FAULT = "upstream_fault"
    TIMED_OUT = "timed_out"
    CHALLENGED = "challenged"
    DISCONTINUED = "discontinued"


class UpstreamError(Exception):
    """An upstream refused, failed or answered with something that is no answer.

    `message` may quote the upstream, never a secret or a prompt of ours. `code` is the upstream's own code where it
    helps the caller. `retry_after_s` is the upstream's own wish. `sent` is False only when it is certain that the
    upstream has not seen the request.
    """

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
        self.sent = sent


@dataclass(frozen=True, slots=True)
class _Shape:
    status: int
    type: str
    code: str | None


_SHAPES = {
    Fault.CREDENTIAL_REJECTED: _Shape(503, "server_error", "upstream_credential_invalid"),
    Fault.PERMISSION_DENIED: _Shape(503, "server_error", "upstream_permission_denied"),
    Fault.RATE_LIMITED: _Shape(429, "requests", "rate_limit_exceeded"),
    Fault.QUOTA_EXHAUSTED: _Shape(503, "server_error", "upstream_quota_exhausted"),
    Fault.CONTENT_FILTERED: _Shape(400, "invalid_request_error", "content_filter"),
    Fault.CONTEXT_TOO_LONG: _Shape(400, "invalid_request_error", "context_length_exceeded"),
    Fault.MODEL_NOT_FOUND: _Shape(404, "invalid_request_error", "model_not_found"),
    Fault.INVALID_REQUEST: _Shape(400, "invalid_request_error", None),
    Fault.OVERLOADED: _Shape(503, "server_error", "overloaded"),
    Fault.UPSTREAM_FAULT: _Shape(502, "server_error", "upstream_error"),
    Fault.TIMED_OUT: _Shape(504, "server_error", "timeout"),
    Fault.CHALLENGED: _Shape(503, "server_error", "upstream_challenge"),
    Fault.DISCONTINUED: _Shape(410, "invalid_request_error", "service_discontinued"),
}
# With the caller's own key these three are the caller's to mend.
_CALLER_SHAPES = {
    Fault.CREDENTIAL_REJECTED: _Shape(401, "invalid_request_error", "invalid_api_key"),
    Fault.PERMISSION_DENIED: _Shape(403, "invalid_request_error", "permission_denied"),
    Fault.QUOTA_EXHAUSTED: _Shape(429, "insufficient_quota", "insufficient_quota"),
}

# Where the error's own code tells the caller more: which field, which time limit.
_OWN_CODES = (Fault.INVALID_REQUEST, Fault.TIMED_OUT)


def to_client(error: UpstreamError, *, callers_key: bool = False) -> GatewayError:
    """The error as a client sees it: an operator's bad credential is never the caller's 401."""
    shape = (_CALLER_SHAPES.get(error.fault) if callers_key else None) or _SHAPES[error.fault]
    code = (error.code or shape.code) if error.fault in _OWN_CODES else shape.code
    return GatewayError(
        error.message,
        status=shape.status,
        type=shape.type,
        code=code,
        param=error.param,
        retry_after_s=error.retry_after_s,
    )
