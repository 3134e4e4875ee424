"""What can go wrong at an upstream, as a closed vocabulary, and how each fault looks to a client.

A provider says *what* happened (`Fault`); whether to retry, to fail over, to bench the credential or to blame the
caller follows from the fault alone, never from an error's text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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

    `message` may quote the upstream, with `quoted` around its words. `code` is the upstream's own code where it
    helps the caller. `retry_after_s` is the upstream's own wish. `sent` is False only when it is certain that the
    upstream has not seen the request; `shown` says that a part of its answer was given out before.
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
        self.shown = False


MISSHAPEN = (KeyError, IndexError, TypeError, AttributeError, ValueError)
"""What reading an answer raises that does not have the shape of its protocol."""


def misshapen() -> UpstreamError:
    """For one of MISSHAPEN: an upstream that changed its protocol is an error of its own, never a crash of ours."""
    return UpstreamError(Fault.UPSTREAM_FAULT, "The upstream's answer does not have the shape that its protocol has.")


def not_connected() -> UpstreamError:
    """The limit for connecting passed, by either driver. Nothing was sent."""
    return UpstreamError(
        Fault.TIMED_OUT, "The connection to the upstream timed out.", code="connect_timeout", sent=False
    )


# Around what an upstream said; no text of either side has these characters.
_BEGIN, _END = "\x02", "\x03"
_QUOTATION: Final = re.compile(rf":? ?{_BEGIN}[^{_END}]*{_END}")
_MARKS: Final = re.compile(f"[{_BEGIN}{_END}]")
_SHORTEST_SECRET: Final = 6


def quoted(text: str) -> str:
    """An upstream's own words, for a part of UpstreamError's message. Only the caller whom they concern gets them."""
    text = _MARKS.sub("", text)
    return f"{_BEGIN}{text}{_END}" if text else ""


def mask(error: UpstreamError, secrets: Iterable[str]) -> None:
    """Upstreams quote the key that they reject, or all that they were sent: nobody is shown it."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            error.message = error.message.replace(secret, "[key]")
            error.code = error.code and error.code.replace(secret, "[key]")
            error.param = error.param and error.param.replace(secret, "[key]")


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

# Faults of the request itself: what the upstream says of it helps its caller. Else it speaks of the operator's account.
_ABOUT_THE_REQUEST = frozenset(
    {Fault.INVALID_REQUEST, Fault.CONTENT_FILTERED, Fault.CONTEXT_TOO_LONG, Fault.MODEL_NOT_FOUND}
)
_UNQUOTED = {
    Fault.PERMISSION_DENIED: "The upstream does not allow this to the gateway's account.",
    Fault.RATE_LIMITED: "The upstream's rate limit is reached. Retry later.",
    Fault.QUOTA_EXHAUSTED: "The gateway's account at the upstream is used up.",
    Fault.OVERLOADED: "The upstream is overloaded. Retry later.",
}


def _for_client(error: UpstreamError, *, callers_key: bool) -> str:
    if callers_key or error.fault in _ABOUT_THE_REQUEST:
        return _MARKS.sub("", error.message)
    return _QUOTATION.sub("", error.message) or _UNQUOTED.get(error.fault, "The upstream failed on this request.")


# After these nobody knows what the upstream has done. All others are its answer, or come before it was asked.
UNCERTAIN = frozenset({Fault.UPSTREAM_FAULT, Fault.TIMED_OUT})


def _with_advice(said: str, error: UpstreamError) -> str:
    """And whether it is safe to ask again."""
    if error.shown:
        advice = "What was received is not the whole answer. Asked again, the upstream answers anew."
    elif error.fault not in UNCERTAIN:
        return said
    elif error.sent:
        advice = "The upstream may have processed the request: sent again, it may be processed twice."
    else:
        advice = "Nothing was sent to the upstream: it is safe to send the request again."
    return f"{said if said.endswith(('.', '?')) else f'{said}.'} {advice}"


def to_client(error: UpstreamError, *, callers_key: bool = False, own_type: str | None = None) -> GatewayError:
    """The error as a client sees it, with whether it is safe to ask again: an operator's bad credential is never the
    caller's 401.

    With `callers_key` and an `own_type`, an error that has the upstream's code keeps that code and has this type.
    """
    shape = (_CALLER_SHAPES.get(error.fault) if callers_key else None) or _SHAPES[error.fault]
    own = own_type if callers_key and error.code else None
    code = (error.code or shape.code) if own or error.fault in _OWN_CODES else shape.code
    return GatewayError(
        _with_advice(_for_client(error, callers_key=callers_key), error),
        status=shape.status,
        type=own or shape.type,
        code=code,
        param=error.param,
        retry_after_s=error.retry_after_s,
    )
