"""Google's errors -> UpstreamError: by the reasons in `details`, then by status; by text where nothing else tells.

A bad API key is a 400 here; a daily quota and a limit of zero are the same 429 as a short one, and are told apart by
the `quotaId` of their violations. `RetryInfo`, `quotaResetDelay`, the message and Retry-After say how long to wait.

Source: google.rpc error_details (ErrorInfo, QuotaFailure, RetryInfo); errors.py of the google-genai package 3.4; for
the reasons of Code Assist, `googleQuotaErrors.ts` of google-gemini/gemini-cli.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import parsed
from worker.providers.compatible_errors import STATUSES, duration_s, quote, retry_after, told_wait_s, unexplained

_REASONS: Final[Mapping[str, Fault]] = {
    "API_KEY_INVALID": Fault.CREDENTIAL_REJECTED,
    "API_KEY_EXPIRED": Fault.CREDENTIAL_REJECTED,
    "ACCESS_TOKEN_EXPIRED": Fault.CREDENTIAL_REJECTED,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": Fault.CREDENTIAL_REJECTED,
    "CREDENTIALS_MISSING": Fault.CREDENTIAL_REJECTED,
    "CONSUMER_SUSPENDED": Fault.CREDENTIAL_REJECTED,
    "VALIDATION_REQUIRED": Fault.CREDENTIAL_REJECTED,
    "MODEL_CAPACITY_EXHAUSTED": Fault.OVERLOADED,
    "QUOTA_EXHAUSTED": Fault.QUOTA_EXHAUSTED,
    "INSUFFICIENT_G1_CREDITS_BALANCE": Fault.QUOTA_EXHAUSTED,
    "UNSUPPORTED_CLIENT": Fault.DISCONTINUED,
}
_NAMES: Final[Mapping[str, Fault]] = {
    "INVALID_ARGUMENT": Fault.INVALID_REQUEST,
    "FAILED_PRECONDITION": Fault.PERMISSION_DENIED,
    "OUT_OF_RANGE": Fault.INVALID_REQUEST,
    "UNAUTHENTICATED": Fault.CREDENTIAL_REJECTED,
    "PERMISSION_DENIED": Fault.PERMISSION_DENIED,
    "NOT_FOUND": Fault.MODEL_NOT_FOUND,
    "RESOURCE_EXHAUSTED": Fault.RATE_LIMITED,
    "CANCELLED": Fault.UPSTREAM_FAULT,
    "INTERNAL": Fault.UPSTREAM_FAULT,
    "UNKNOWN": Fault.UPSTREAM_FAULT,
    "UNAVAILABLE": Fault.OVERLOADED,
    "DEADLINE_EXCEEDED": Fault.TIMED_OUT,
}
_BAD_KEY: Final = re.compile(r"api key (not valid|expired|not found)|reported as leaked", re.IGNORECASE)
_TOO_LONG: Final = re.compile(r"exceeds the maximum number of tokens|input token count", re.IGNORECASE)
_LONG_LIMIT: Final = re.compile(r"PerDay|Daily|PerMonth", re.IGNORECASE)
_NO_LIMIT: Final = re.compile(r"\blimit: 0\b")
# A suspended key and a token are quoted back.
_SECRET: Final = re.compile(r"AIza[\w-]+|ya29\.[\w.-]+|api_key:[\w-]+")
_LONGEST_RATE_S: Final = 300.0
_MINUTE_S: Final = 60.0


def parse_error(status: int, headers: Mapping[str, str], body: bytes, upstream: str) -> UpstreamError:
    """The error of any answer that is none. Header names are lower case."""
    return told(parsed(body), status, upstream, retry_after_s=retry_after(headers, status))


def told(data: Any, status: int, upstream: str, *, retry_after_s: float | None = None) -> UpstreamError:
    """The error that a parsed body or event tells; without `alt=sse`, and from Code Assist, it comes in a list."""
    data = data[0] if isinstance(data, list) and data else data
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        text = f"{upstream} answered HTTP {status} with something that is no answer of its API. Is base_url right?"
        return UpstreamError(unexplained(status), text, retry_after_s=retry_after_s)
    message = _SECRET.sub("[key]", str(error.get("message") or ""))
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    wait_s = _wait(details, message)
    wait_s = retry_after_s if wait_s is None else wait_s
    fault = _classify(error, details, message, status)
    if fault is Fault.RATE_LIMITED:
        fault, wait_s = _limit(details, message, wait_s)
    return UpstreamError(fault, _message(fault, message, upstream, details), retry_after_s=wait_s)


def _classify(error: Mapping[str, Any], details: list[Any], message: str, status: int) -> Fault:
    for reason in _reasons(details):
        if reason in _REASONS:
            return _REASONS[reason]
    code = error.get("code")
    by_status = STATUSES.get(code if isinstance(code, int) else status, Fault.UPSTREAM_FAULT)
    fault = _NAMES.get(str(error.get("status")), by_status)
    if fault in {Fault.INVALID_REQUEST, Fault.PERMISSION_DENIED} and _BAD_KEY.search(message):
        return Fault.CREDENTIAL_REJECTED
    if fault is Fault.INVALID_REQUEST and _TOO_LONG.search(message):
        return Fault.CONTEXT_TOO_LONG
    return fault


def _limit(details: list[Any], message: str, wait_s: float | None) -> tuple[Fault, float | None]:
    quotas = list(_quotas(details))
    if _NO_LIMIT.search(message) or any(_LONG_LIMIT.search(quota) for quota in quotas):
        return Fault.QUOTA_EXHAUSTED, wait_s
    if wait_s is not None:
        return (Fault.QUOTA_EXHAUSTED if wait_s > _LONGEST_RATE_S else Fault.RATE_LIMITED), wait_s
    return Fault.RATE_LIMITED, _MINUTE_S if any("PerMinute" in quota for quota in quotas) else None


def _reasons(details: list[Any]) -> Iterator[str]:
    for detail in details:
        if isinstance(detail.get("reason"), str):
            yield detail["reason"]


def _quotas(details: list[Any]) -> Iterator[str]:
    for detail in details:
        for violation in detail.get("violations") or ():
            if isinstance(violation, dict):
                yield str(violation.get("quotaId"))
        metadata = detail.get("metadata")
        if isinstance(metadata, dict):
            yield str(metadata.get("quota_limit"))


def _wait(details: list[Any], message: str) -> float | None:
    for detail in details:
        metadata = detail.get("metadata")
        delays = (detail.get("retryDelay"), metadata.get("quotaResetDelay") if isinstance(metadata, dict) else None)
        for delay in delays:
            wait_s = duration_s(delay) if isinstance(delay, str) else None
            if wait_s is not None:
                return wait_s
    return told_wait_s(message)


def _message(fault: Fault, message: str, upstream: str, details: list[Any]) -> str:
    if "VALIDATION_REQUIRED" in _reasons(details):
        # Its link belongs to the account's owner, not to whoever called.
        return f"{upstream} wants this account to be verified: the operator must sign in at Google and confirm it."
    if fault is Fault.CREDENTIAL_REJECTED:
        return f"{upstream} rejected the credential."
    return quote(message) or f"{upstream} refused the request."
