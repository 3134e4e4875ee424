"""What an upstream's answer tells of its limits: `x-ratelimit-*`, `anthropic-ratelimit-*`, `retry-after`. Pure.

OpenAI's resets are durations ("6m0s", "120ms"), Groq's and Mistral's too or plain seconds, Anthropic's are RFC 3339
times, and OpenRouter's is a unix time in ms. Header names are lower case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNITS_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PIECE.pattern})+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COUNTERS = ("requests", "tokens", "input-tokens", "output-tokens", "requests-day", "tokens-day", "")
_LONGEST_S = 7 * 86400.0
_YEAR_2001_S = 1e9
_YEAR_2001_MS = 1e12


@dataclass(frozen=True, slots=True)
class Lesson:
    """`rest_s`: the upstream takes nothing more for so long; `rpm`, `tpm`: its limits; 0 where it does not say."""

    rest_s: float = 0.0
    rpm: int = 0
    tpm: int = 0


NOTHING = Lesson()


def read_wait(text: str, now_s: float) -> float | None:
    """Seconds from `now_s` (unix time) in any of the usual forms: seconds, a duration with units, an HTTP date, an RFC
    3339 time, a unix time in s or ms. None for what is none of them.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return _bounded(_from_number(float(text), now_s))
    if _DURATION.fullmatch(text):
        return _bounded(sum(float(amount) * _UNITS_S[unit] for amount, unit in _PIECE.findall(text)))
    moment = _read_time(text)
    return None if moment is None else _bounded(moment.timestamp() - now_s)


def _from_number(number: float, now_s: float) -> float:
    if number >= _YEAR_2001_MS:
        return number / 1000 - now_s
    return number - now_s if number >= _YEAR_2001_S else number


def _read_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bounded(wait_s: float) -> float:
    return min(max(wait_s, 0.0), _LONGEST_S)


def read_retry_after(headers: Mapping[str, str], now_s: float) -> float | None:
    """`retry-after-ms`, which is finer, else `retry-after`."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return _bounded(float(milliseconds) / 1000)
    return read_wait(headers["retry-after"], now_s) if "retry-after" in headers else None


def learn(headers: Mapping[str, str], now_s: float) -> Lesson:
    """The lesson of an answer's headers, whatever its status. `now_s` is unix time."""
    if not any("ratelimit" in name for name in headers):
        return NOTHING
    rest_s = max(_rest_s(headers, what, now_s) for what in _COUNTERS)
    return Lesson(rest_s, _count(headers, "limit", "requests") or 0, _count(headers, "limit", "tokens") or 0)


def _rest_s(headers: Mapping[str, str], what: str, now_s: float) -> float:
    if _count(headers, "remaining", what) != 0:
        return 0.0
    reset = _find(headers, "reset", what)
    return (read_wait(reset, now_s) or 0.0) if reset is not None else 0.0


def _count(headers: Mapping[str, str], field: str, what: str) -> int | None:
    text = _find(headers, field, what)
    return int(float(text)) if text is not None and _NUMBER.fullmatch(text.strip()) else None


def _find(headers: Mapping[str, str], field: str, what: str) -> str | None:
    end = f"-{what}" if what else ""
    names = [f"x-ratelimit-{field}{end}", f"anthropic-ratelimit-{what}-{field}" if what else f"ratelimit-{field}"]
    if what:
        names.append(f"x-ratelimit-{field}{end}-minute")
    return next((headers[name] for name in names if name in headers), None)
