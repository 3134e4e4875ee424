"""Errors of OpenAI and its clones -> UpstreamError: by code, type and status; by text where nothing else tells."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from worker.faults import Fault, UpstreamError, quoted
from worker.providers.compatible_complaint import Complaint, read_complaint
from worker.providers.compatible_status import SUCCESS, told_status

_LONGEST_QUOTE: Final = 500

STATUSES: Final[Mapping[int, Fault]] = {
    400: Fault.INVALID_REQUEST,
    401: Fault.CREDENTIAL_REJECTED,
    402: Fault.QUOTA_EXHAUSTED,
    403: Fault.PERMISSION_DENIED,
    404: Fault.MODEL_NOT_FOUND,
    405: Fault.UPSTREAM_FAULT,
    408: Fault.TIMED_OUT,
    409: Fault.INVALID_REQUEST,
    410: Fault.MODEL_NOT_FOUND,
    413: Fault.CONTEXT_TOO_LONG,
    415: Fault.UPSTREAM_FAULT,
    422: Fault.INVALID_REQUEST,
    429: Fault.RATE_LIMITED,
    498: Fault.OVERLOADED,  # Groq: flex capacity is used up
    503: Fault.OVERLOADED,
    504: Fault.TIMED_OUT,
    524: Fault.TIMED_OUT,  # Cloudflare in front of an upstream that was too slow
    529: Fault.OVERLOADED,
}

CODES: Final[Mapping[str, Fault]] = {
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
    "exceed_context_size_error": Fault.CONTEXT_TOO_LONG,  # llama.cpp
    "model_not_found": Fault.MODEL_NOT_FOUND,
    "resource_not_found_error": Fault.MODEL_NOT_FOUND,
    "engine_overloaded_error": Fault.OVERLOADED,
    "overloaded": Fault.OVERLOADED,
    "overloaded_error": Fault.OVERLOADED,
    "server_is_overloaded": Fault.OVERLOADED,
    "unexpected_output": Fault.UPSTREAM_FAULT,
}

# What a bad request turns out to be, where it has no code of its own.
_TOLD_BY_TEXT: Final = {
    # xAI, with %20 for its spaces at times, and Gemini answer 400 to a key that they do not know.
    re.compile(r"(?i)(incorrect|invalid)( |%20)+api( |%20)+key|api key (not valid|expired)"): Fault.CREDENTIAL_REJECTED,
    # DeepSeek's code for it is that of any invalid request.
    re.compile(r"(?i)insufficient (account )?balance|余额不足|欠费"): Fault.QUOTA_EXHAUSTED,
    # vLLM, llama.cpp, Moonshot, Groq and others.
    re.compile(
        r"(?i)maximum context length|context (length|window|size)|model token limit|range of input length"
        r"|prompt is too long|too many (input )?tokens|request too large"
    ): Fault.CONTEXT_TOO_LONG,
}
_EMPTY_ACCOUNT: Final = re.compile(
    r"balance|quota|key limit|overdue|arrear|insufficient|余额|欠费|不足|额度|用尽|耗尽", re.IGNORECASE
)
# Words inside codes, of which vendors have many: SensitiveContentDetected, unsafe_request, OutputImageRiskDetection.
_FILTERED: Final = re.compile(r"sensitive|unsafe|riskdetection", re.IGNORECASE)
# A rejected key is often quoted back, whole or in part.
_KEY_SHAPED: Final = re.compile(r"\b(?:(?:sk|gsk|xai|pk|key|tok)[-_]|bce-v3/|Bearer\s+|eyJ)[\w\-./*+=]{4,}")
_PIECE: Final = r"(\d+(?:\.\d+)?) ?(ms|s|seconds?|m|minutes?|h|hours?|d|days?)"
_DURATION: Final = re.compile(_PIECE)
_DURATIONS: Final = re.compile(f"(?:{_PIECE})+", re.IGNORECASE)
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MILLISECONDS: Final = re.compile(r"\d{13}")
# OpenAI and Groq: "try again in 7.66s"; Moonshot: "try again after 1 seconds"; Azure: "retry after 26 seconds".
_WAIT: Final = re.compile(rf"(?:try again|retry|reset) (?:in|after) ((?:{_PIECE})+)\b", re.IGNORECASE)


def announces_challenge(headers: Mapping[str, str]) -> bool:
    """Cloudflare's page "Detect a Challenge Page response": the header comes with every challenge of its."""
    return headers.get("cf-mitigated") == "challenge"


def speaks_of_empty_account(message: str) -> bool:
    """Whether a refusal that may mean a missing right means missing money or quota."""
    return _EMPTY_ACCOUNT.search(message) is not None


def unexplained(status: int, statuses: Mapping[int, Fault] = STATUSES) -> Fault:
    """The fault of an answer without words of the API's own. Our requests are well-formed: what refuses them like this
    is something between.
    """
    fault = statuses.get(status, Fault.UPSTREAM_FAULT)
    refused = fault in {Fault.INVALID_REQUEST, Fault.MODEL_NOT_FOUND, Fault.CONTEXT_TOO_LONG}
    return Fault.UPSTREAM_FAULT if refused else fault


def classify(complaint: Complaint | None, status: int, codes: Mapping[str, Fault] = CODES) -> Fault:
    """The fault of an error. `codes` may hold "<status> <code>" for a code that means two things; a code with dots is
    also looked up by its first word.
    """
    if complaint is None:
        return unexplained(status)
    fallback = STATUSES.get(status, Fault.UPSTREAM_FAULT)
    for word in (complaint.code, complaint.type):
        if word:
            found = codes.get(f"{status} {word}") or codes.get(word) or codes.get(word.partition(".")[0])
            if found:
                return found
            if _FILTERED.search(word):
                return Fault.CONTENT_FILTERED
    if fallback is Fault.INVALID_REQUEST:
        return next((fault for text, fault in _TOLD_BY_TEXT.items() if text.search(complaint.message)), fallback)
    if fallback is Fault.PERMISSION_DENIED and speaks_of_empty_account(complaint.message):
        return Fault.QUOTA_EXHAUSTED
    return fallback


def upstream_error(
    status: int, headers: Mapping[str, str], body: bytes, codes: Mapping[str, Fault] = CODES
) -> UpstreamError:
    """The whole of `parse_error` for a dialect whose errors are OpenAI-shaped. Header names are lower case. An error
    that comes with a status of success is what it would be with its own.
    """
    complaint = read_complaint(body)
    if announces_challenge(headers):
        return UpstreamError(Fault.CHALLENGED, "The upstream's bot protection answered instead of the API.")
    if complaint and status in SUCCESS:
        status = told_status(complaint.code, complaint.type) or status
    fault = classify(complaint, status, codes)
    inner = complaint.headers if complaint else {}
    return told(fault, complaint, status, retry_after_s=retry_after({**inner, **headers}, status))


def told(
    fault: Fault, complaint: Complaint | None, status: int, *, retry_after_s: float | None = None
) -> UpstreamError:
    """An UpstreamError with a message for people: what the upstream said, never a key. How long to wait is read from
    that message where nothing else told it.
    """
    if retry_after_s is None and complaint and fault in {Fault.RATE_LIMITED, Fault.OVERLOADED}:
        retry_after_s = told_wait_s(complaint.message)
    if fault is Fault.CREDENTIAL_REJECTED:
        text = f"The upstream rejected the credential (HTTP {status})."
    elif complaint is None and status in SUCCESS:
        text = "The upstream's answer is not a chat completion. Is base_url right?"
    elif complaint is None:
        text = f"The upstream answered HTTP {status} without an error of its API. Is base_url right?"
    else:
        text = quote(complaint.message) or f"The upstream refused the request (HTTP {status})."
    return UpstreamError(
        fault,
        text,
        code=complaint.code if complaint else None,
        param=complaint.param if complaint else None,
        retry_after_s=retry_after_s,
    )


def quote(text: str) -> str:
    """An upstream's words, marked as such: one line, at most 500 characters, key-shaped words masked."""
    return quoted(_KEY_SHAPED.sub("[key]", " ".join(text.split()))[:_LONGEST_QUOTE])


def retry_after(headers: Mapping[str, str], status: int = 429) -> float | None:
    """Seconds to wait: `retry-after-ms`, `retry-after` (seconds, or a date, set against the answer's own `date`), and
    for 429 the reset of whichever `x-ratelimit-*` counter stands at zero: a duration, or OpenRouter's unix time in ms.
    """
    for name, per_s in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0.0, float(headers[name]) / per_s)
        except (KeyError, ValueError):
            continue
    if "retry-after" in headers:
        return _until(headers["retry-after"], headers)
    if status != 429:  # noqa: PLR2004  Too Many Requests
        return None
    resets = [
        duration_s(headers.get(f"x-ratelimit-reset-{counter}", ""))
        for counter in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{counter}") == "0"
    ]
    if headers.get("x-ratelimit-remaining") == "0" and _MILLISECONDS.fullmatch(headers.get("x-ratelimit-reset", "")):
        ends = datetime.fromtimestamp(int(headers["x-ratelimit-reset"]) / 1000, UTC)
        resets.append(seconds_until(ends, headers))
    return max((reset for reset in resets if reset is not None), default=None)


def duration_s(text: str) -> float | None:
    """OpenAI's and Groq's durations, "6m0s" or "120ms" or "1.5s", in seconds; None where the text is none."""
    if not _DURATIONS.fullmatch(text):
        return None
    parts = _DURATION.findall(text.lower())
    return sum(float(number) * _UNIT_S[unit if unit == "ms" else unit[0]] for number, unit in parts)


def told_wait_s(message: str) -> float | None:
    """Seconds to wait, as the message of an error has them; None where it has none."""
    found = _WAIT.search(message)
    return duration_s(found[1]) if found else None


def seconds_until(then: datetime, headers: Mapping[str, str]) -> float | None:
    """By the upstream's own clock, which its Date header tells: providers have none. None without it."""
    try:
        return max(0.0, (then - moment(headers.get("date", ""))).total_seconds())
    except ValueError:
        return None


def _until(date: str, headers: Mapping[str, str]) -> float | None:
    try:
        return seconds_until(moment(date), headers)
    except ValueError:
        return None


def moment(date: str) -> datetime:
    """What an HTTP date says. Raises ValueError."""
    told = parsedate_to_datetime(date)
    return told if told.tzinfo else told.replace(tzinfo=UTC)
