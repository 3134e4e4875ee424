"""When a request goes on to another model, and when it waits for its own: through front, queue and worker."""

import asyncio
from typing import Any

import pytest

from tests.integration.counting import BROKEN, Counting, Gateway, Planned, error
from tests.integration.pools import entry
from tests.system import CLIENT_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")


def overloaded(retry_after: int) -> Planned:
    return error(503, "overloaded", retry_after=retry_after)


def limited(retry_after: int) -> Planned:
    return error(429, "rate_limit_exceeded", retry_after=retry_after)


def configuration(port: int) -> dict[str, Any]:
    """Each test has providers of its own, for how they rest outlasts it."""
    names = ("failing", "ready", "limited", "resting", "dead", "third", "kept", "slow", "alone")
    models: dict[str, Any] = {
        "failing-route": {"targets": ["failing"], "fallbacks": ["ready"]},
        "limited-route": {"targets": ["limited"], "fallbacks": ["ready"]},
        "both-rest": {"targets": ["resting"], "fallbacks": ["dead"]},
        "third-is-ready": {"targets": ["third"], "fallbacks": ["dead", "ready"]},
        "kept-route": {"targets": ["kept"], "fallbacks": ["ready"], "retries": {"fallback": ["context_too_long"]}},
        "hurried": {"targets": ["slow"], "fallbacks": ["ready"], "retries": {"within_s": 2}},
        "hurried-alone": {"targets": ["alone"], "retries": {"within_s": 2}},
    }
    models |= {
        "near-pair": {"targets": ["near", "near-other"]},
        "near-first": {"strategy": "priority", "targets": ["near-pair", "far"], "queue_wait_s": 90},
        "one-account": {"strategy": "priority", "targets": ["kept-other", "kept"]},
        "race": {"strategy": "race", "race_delay_s": 30, "targets": ["wrong", "ready"]},
        "race-of-busy": {
            "strategy": "race",
            "race_delay_s": 30,
            "targets": ["broken", "busy"],
            "fallbacks": ["ready"],
            "queue_wait_s": 90,
        },
    }
    providers = [entry(name, port, {}) for name in (*names, "wrong", "broken")]
    providers.append(entry("busy", port, {"limits": {"rpm": 1}}))
    providers += [entry(name, port, {"limits": {"concurrency": 1}}) for name in ("near", "far")]
    return {"providers": providers, "models": models, "keys": [{"name": "test", "key": CLIENT_KEY}]}


async def attempts(gateway: Gateway, model: str) -> int:
    """Of a request that was answered."""
    answer = await gateway.ask(model)
    assert answer.status_code == 200
    return int(answer.headers["x-penstock-attempts"])


async def test_while_the_only_target_rests_after_a_failure_the_fallback_answers(
    gateway: Gateway, upstream: Counting
) -> None:
    """Who met the failure, and who comes while it lasts; nothing is held of either afterwards."""
    upstream.plan["failing"] = [overloaded(retry_after=30)]
    assert [await attempts(gateway, "failing-route") for _ in range(2)] == [2, 1]
    assert upstream.models() == ["failing", "ready", "ready"]
    await gateway.waits("failing", 0)
    await gateway.waits("ready", 0)
    await gateway.runs("ready", 0)


async def test_a_limit_is_waited_for(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["limited"] = [limited(retry_after=1)]
    assert await attempts(gateway, "limited-route") == 2
    assert upstream.models() == ["limited", "limited"]


async def test_where_no_fallback_is_ready_the_route_is_waited_for(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["resting"] = [overloaded(retry_after=1)]
    upstream.plan["dead"] = [error(401, "invalid_api_key", retry_after=3600)]
    assert await attempts(gateway, "both-rest") == 3
    assert upstream.models() == ["resting", "dead", "resting"]


async def test_a_fallback_that_rests_as_well_is_passed_over(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["dead"] = [error(401, "invalid_api_key", retry_after=3600)]
    await gateway.ask("dead")
    upstream.forget()
    upstream.plan["third"] = [overloaded(retry_after=30)]
    assert await attempts(gateway, "third-is-ready") == 2
    assert upstream.models() == ["third", "ready"]


async def test_a_cause_that_leads_to_no_fallback_is_waited_for(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["kept"] = [overloaded(retry_after=1)]
    assert await attempts(gateway, "kept-route") == 2
    assert upstream.models() == ["kept", "kept"]


async def test_a_wait_beyond_the_time_for_tries_is_not_begun(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["slow"] = [limited(retry_after=30)]
    assert await attempts(gateway, "hurried") == 2
    assert upstream.models() == ["slow", "ready"]


async def test_without_a_fallback_the_client_hears_of_the_limit(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["alone"] = [limited(retry_after=30)]
    answer = await gateway.ask("hurried-alone")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert upstream.models() == ["alone"]


async def test_a_wrong_request_is_not_sent_to_the_next_of_a_race(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["wrong"] = [error(400, "invalid_value", retry_after=1)]
    assert (await gateway.ask("race")).status_code == 400
    assert upstream.models() == ["wrong"]


async def test_a_race_in_which_one_failed_does_not_wait_for_the_limit_of_the_other(
    gateway: Gateway, upstream: Counting
) -> None:
    assert (await gateway.ask("busy")).status_code == 200
    upstream.plan["broken-a"] = [BROKEN]
    assert await attempts(gateway, "race-of-busy") == 2
    assert upstream.models() == ["busy", "broken", "ready"]


async def test_an_account_that_failed_with_one_model_is_asked_for_the_next(
    gateway: Gateway, upstream: Counting
) -> None:
    upstream.plan["kept-other"] = [BROKEN]
    assert await attempts(gateway, "one-account") == 2
    assert upstream.models() == ["kept-other", "kept"]


async def test_who_waited_for_one_account_and_got_another_stands_in_nobodys_way(
    gateway: Gateway, upstream: Counting
) -> None:
    """Its place in the first account's line would hold up all behind it for as long as it streams."""
    gates = upstream.gates
    near, far = gates["near-a"], gates["far-a"] = asyncio.Event(), asyncio.Event()
    first = [asyncio.create_task(gateway.ask(model)) for model in ("near", "far")]
    await upstream.is_called(2)
    moved = asyncio.create_task(gateway.ask("near-first"))
    await gateway.waits("near", 1)
    gates["far-a"] = asyncio.Event()
    far.set()
    await upstream.is_called(3)
    assert upstream.models()[-1] == "far"
    near.set()
    async with asyncio.timeout(20):
        assert (await gateway.ask("near")).status_code == 200
    gates["far-a"].set()
    assert {answer.status_code for answer in await asyncio.gather(moved, *first)} == {200}
