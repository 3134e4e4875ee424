"""Anthropic's errors -> UpstreamError: by `details.error_code`, then type, then status.

Two faults have no code of their own and are told by their text alone: a prompt that is too long, and a balance or a
spend limit of one's own that is used up (both 400 `invalid_request_error`). The API's words may change.

Source: types/shared of the anthropic package 2.11; platform.claude.com, "Claude API errors".
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import parsed
from worker.providers.compatible_errors import STATUSES, announces_challenge, quote, retry_after, unexplained

_TYPES: Final[Mapping[str, Fault]] = {
    "invalid_request_error": Fault.INVALID_REQUEST,
    "authentication_error": Fault.CREDENTIAL_REJECTED,
    "billing_error": Fault.QUOTA_EXHAUSTED,
    "permission_error": Fault.PERMISSION_DENIED,
    "not_found_error": Fault.MODEL_NOT_FOUND,
    "conflict_error": Fault.UPSTREAM_FAULT,
    "request_too_large": Fault.INVALID_REQUEST,
    "rate_limit_error": Fault.RATE_LIMITED,
    "timeout_error": Fault.TIMED_OUT,
    "api_error": Fault.UPSTREAM_FAULT,
    "overloaded_error": Fault.OVERLOADED,
}
_CODES: Final[Mapping[str, Fault]] = {
    "enforced_spend_limit_reached": Fault.QUOTA_EXHAUSTED,
    "contract_spend_limit_reached": Fault.QUOTA_EXHAUSTED,
    "linked_organization_spend_limit_reached": Fault.QUOTA_EXHAUSTED,
    "linked_organization_billing_unavailable": Fault.QUOTA_EXHAUSTED,
    "organization_on_hold": Fault.PERMISSION_DENIED,
    "claude_code_key_creator_not_member": Fault.PERMISSION_DENIED,
    "cmek_key_disabled": Fault.PERMISSION_DENIED,
    "cmek_key_network_blocked": Fault.PERMISSION_DENIED,
    "cmek_key_unreachable": Fault.OVERLOADED,
    "cmek_context_unavailable": Fault.OVERLOADED,
}
_TOO_LONG: Final = re.compile(r"prompt is too long|exceed(s|ed)? (the )?context|input is too long", re.IGNORECASE)
_NO_MONEY: Final = re.compile(r"credit balance|spend limit|usage limits?\b", re.IGNORECASE)


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error of any answer that is no message. Header names are lower case."""
    if announces_challenge(headers):
        return UpstreamError(Fault.CHALLENGED, "Anthropic's bot protection answered instead of the API.")
    return told(parsed(body), status, retry_after_s=retry_after(headers, status))


def told(data: Any, status: int, *, retry_after_s: float | None = None) -> UpstreamError:
    """The error that a parsed body or an `error` event tells."""
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        text = f"Anthropic answered HTTP {status} with something that is no answer of its API. Is base_url right?"
        return UpstreamError(unexplained(status), text, retry_after_s=retry_after_s)
    kind, message = str(error.get("type")), str(error.get("message") or "")
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    fault = _classify(kind, str(code), message, status)
    if fault is Fault.CREDENTIAL_REJECTED:
        message = f"Anthropic rejected the credential (HTTP {status})."
    return UpstreamError(fault, quote(message) or f"Anthropic refused: {kind}.", retry_after_s=retry_after_s)


def _classify(kind: str, code: str, message: str, status: int) -> Fault:
    if code in _CODES:
        return _CODES[code]
    fault = _TYPES.get(kind) or STATUSES.get(status, Fault.UPSTREAM_FAULT)
    if fault is Fault.INVALID_REQUEST and _TOO_LONG.search(message):
        return Fault.CONTEXT_TOO_LONG
    if fault is Fault.INVALID_REQUEST and _NO_MONEY.search(message):
        return Fault.QUOTA_EXHAUSTED
    return fault
