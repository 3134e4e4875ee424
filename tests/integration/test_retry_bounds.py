"""Tries are bounded in number and in time, over real processes; what bounds them is the route's own."""

from typing import Any

import pytest

from tests.integration.counting import BROKEN, Counting, Gateway
from tests.integration.pools import entry
from tests.system import CLIENT_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN_S = 0.2
SLOWLY_S = 2 * WITHIN_S


def configuration(port: int) -> dict[str, Any]:
    models = {
        "hurried": {"targets": ["up"], "fallbacks": ["other"], "retries": {"within_s": WITHIN_S}},
        "patient": {"targets": ["up"], "fallbacks": ["other"]},
        "raced": {
            "strategy": "race",
            "race_delay_s": 30,
            "targets": ["up", "other"],
            "retries": {"within_s": WITHIN_S},
        },
        "hedged": {
            "strategy": "race",
            "race_delay_s": (WITHIN_S + SLOWLY_S) / 2,
            "targets": ["slow", "other"],
            "retries": {"within_s": WITHIN_S},
        },
        "twice": {"targets": ["up"], "fallbacks": ["other"], "retries": {"attempts": 2}},
    }
    providers = [entry("up", port, {}, {}), entry("other", port, {}), entry("slow", port, {})]
    return {"providers": providers, "models": models, "keys": [{"name": "test", "key": CLIENT_KEY}]}


@pytest.fixture
def failing(gateway: Gateway) -> Counting:
    """Both accounts of `up` fail, once, and take longer for it than a hurried route may try."""
    upstream = gateway.upstream
    upstream.forget()
    for key in ("up-a", "up-b"):
        upstream.plan[key], upstream.pause_s[key] = [BROKEN], SLOWLY_S
    return upstream


async def test_after_the_time_for_tries_the_client_hears_of_the_failure(gateway: Gateway, failing: Counting) -> None:
    """Neither another account nor a fallback is tried."""
    assert (await gateway.ask("hurried")).status_code == 502
    assert len(failing.seen) == 1


async def test_within_it_the_same_failures_lead_to_the_fallback(gateway: Gateway, failing: Counting) -> None:
    answer = await gateway.ask("patient")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "3")
    assert failing.models() == ["up", "up", "other"]


async def test_the_number_of_tries_is_bounded_too(gateway: Gateway, failing: Counting) -> None:
    assert (await gateway.ask("twice")).status_code == 502
    assert failing.models() == ["up", "up"]


async def test_after_the_time_for_tries_no_other_joins_a_race_that_one_has_lost(
    gateway: Gateway, failing: Counting
) -> None:
    assert (await gateway.ask("raced")).status_code == 502
    assert failing.models() == ["up"]


async def test_after_the_time_for_tries_nobody_is_helped_in_a_race(gateway: Gateway, upstream: Counting) -> None:
    upstream.pause_s["slow-a"] = SLOWLY_S
    assert (await gateway.ask("hedged")).status_code == 200
    assert upstream.models() == ["slow"]
