"""Limits learned from answers, in every form that upstreams use."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.accounts.learning import Lesson, learn, read_retry_after, read_wait

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("20", 20),
        ("1.5", 1.5),
        ("6m0s", 360),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        (formatdate(NOW_S + 90, usegmt=True), 90),
        ("2027-01-15T08:00:30Z", 30),
        (str(int(NOW_S) + 12), 12),
        (str(int(NOW_S + 12) * 1000), 12),
        (formatdate(NOW_S - 90, usegmt=True), 0),
        ("soon", None),
        ("", None),
    ],
)
def test_a_wait_is_read_in_any_form(text: str, wait_s: float | None) -> None:
    assert read_wait(text, NOW_S) == wait_s


@given(st.text(max_size=40))
def test_no_text_is_a_negative_or_endless_wait(text: str) -> None:
    wait_s = read_wait(text, NOW_S)
    assert wait_s is None or 0 <= wait_s <= 7 * 86400


def test_milliseconds_are_finer_than_seconds() -> None:
    assert read_retry_after({"retry-after": "2", "retry-after-ms": "1250"}, NOW_S) == 1.25
    assert read_retry_after({"retry-after": "2", "retry-after-ms": "x"}, NOW_S) == 2
    assert read_retry_after({}, NOW_S) is None


def test_nothing_left_rests_until_the_reset_of_what_is_used_up() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "200ms",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m2s",
    }
    assert learn(headers, NOW_S) == Lesson(rest_s=62, rpm=500, tpm=30000)


def test_a_days_limit_is_no_minutes() -> None:
    """Cerebras counts requests by the day and tokens by the minute."""
    headers = {
        "x-ratelimit-limit-requests-day": "14400",
        "x-ratelimit-remaining-requests-day": "0",
        "x-ratelimit-reset-requests-day": "33011.38",
        "x-ratelimit-limit-tokens-minute": "60000",
        "x-ratelimit-remaining-tokens-minute": "59000",
        "x-ratelimit-reset-tokens-minute": "11.38",
    }
    assert learn(headers, NOW_S) == Lesson(rest_s=33011.38, tpm=60000)


def test_anthropics_form_is_read() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:09Z",
    }
    assert learn(headers, NOW_S) == Lesson(rest_s=9, rpm=50)


def test_an_answer_without_limits_teaches_nothing() -> None:
    assert learn({"content-type": "text/event-stream"}, NOW_S) == Lesson()
