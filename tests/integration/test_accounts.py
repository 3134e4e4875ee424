"""Accounts and routes through fronts, queue and workers, towards an upstream that counts."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.counting import Counting, Gateway
from tests.servers import RedisServer
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")


def error(status: int, code: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"error": {"message": "no", "type": "t", "param": None, "code": code}}, headers


def entry(name: str, port: int, *accounts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A provider of one model that is called like it, and `-other`; its keys are `<name>-a`, `<name>-b`."""
    named = [{"name": x, "api_key": f"{name}-{x}", **account} for x, account in zip("ab", accounts, strict=False)]
    base_url = f"http://127.0.0.1:{port}/v1"
    common = {"name": name, "type": "openai-compatible", "base_url": base_url, "models": [name, f"{name}-other"]}
    return {**common, "credentials": named, **more}


def configuration(port: int) -> dict[str, Any]:
    providers = [
        entry("turns", port, {"weight": 2}, {"weight": 1}),
        entry("failing", port, {}, {}),
        entry("limited", port, {}),
        entry("rejected", port, {}, {}),
        entry("dead", port, {}),
        entry("wrong", port, {}, {}),
        entry("long", port, {}, {}),
        entry("racing", port, {}, {}),
        entry("places", port, {"limits": {"concurrency": 2}}),
        entry("rate", port, {"limits": {"rpm": 900}}),
        entry("slow", port, {"limits": {"rpm": 60}}),
        entry("shaped", port, {}, overrides={"temperature": 0.8}, drop_params=["seed"]),
        entry("pinned", port, {"prefix": "first"}, {"prefix": "second"}),
        entry("loyal", port, {}, {}),
        entry("own", port),
    ]
    models = {
        "long-route": {"targets": ["long/long"], "fallbacks": ["long/long-other"]},
        "fast": {"strategy": "race", "race_delay_s": 0.1, "targets": ["racing", "racing-other"]},
        "impatient": {"targets": ["slow"], "queue_wait_s": 2},
        "talk": {"targets": ["loyal"], "affinity": {"prefix_messages": 1}},
    }
    return {"providers": providers, "models": models, "passthrough": {"provider": "own"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    upstream = Counting()
    await upstream.start()
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    system = System(tmp_path_factory.mktemp("accounts"), configuration(upstream.port), redis)
    try:
        await asyncio.to_thread(system.start, workers=2)
        gateway = Gateway(system, upstream)
        yield gateway
        await gateway.close()
    finally:
        await asyncio.to_thread(system.close)
        await upstream.close()
        redis.close()


@pytest.fixture
def upstream(gateway: Gateway) -> Counting:
    """As if nobody had called it yet."""
    gateway.upstream.forget()
    return gateway.upstream


async def test_two_workers_together_interleave_two_to_one(gateway: Gateway, upstream: Counting) -> None:
    for _ in range(12):
        assert (await gateway.ask("turns")).status_code == 200
    keys = upstream.keys()
    assert all(Counter(keys[i : i + 3]) == {"turns-a": 2, "turns-b": 1} for i in range(10))


async def test_a_failure_is_tried_again_with_another_credential(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["failing-a"] = [error(500, "broken")]
    upstream.plan["failing-b"] = []
    answer = await gateway.ask("failing")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert upstream.keys() == ["failing-a", "failing-b"]


async def test_a_limited_account_rests_and_the_client_waits_instead_of_failing(
    gateway: Gateway, upstream: Counting
) -> None:
    upstream.plan["limited-a"] = [error(429, "rate_limit_exceeded", **{"retry-after": "1"})]
    answers = await asyncio.gather(*(gateway.ask("limited", text=f"{i}") for i in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(upstream.seen) <= 5 + 5  # those that were on their way when the limit was met may meet it as well


async def test_a_rejected_credential_is_not_asked_again(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["rejected-a"] = [error(401, "invalid_api_key")] * 9
    for _ in range(6):
        assert (await gateway.ask("rejected")).status_code == 200
    assert upstream.keys().count("rejected-a") == 1


async def test_without_a_credential_that_works_the_error_blames_nobody(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["dead-a"] = [error(401, "invalid_api_key")]
    first, second = await gateway.ask("dead"), await gateway.ask("dead")
    assert [answer.status_code for answer in (first, second)] == [503, 503]
    assert {answer.json()["error"]["code"] for answer in (first, second)} == {"upstream_credential_invalid"}
    assert len(upstream.seen) == 1


async def test_a_wrong_request_is_not_tried_again(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["wrong"] = [error(400, "invalid_value")]
    assert (await gateway.ask("wrong")).status_code == 400
    assert len(upstream.seen) == 1


async def test_a_prompt_that_is_too_long_goes_to_the_fallback(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["long"] = [error(400, "context_length_exceeded")]
    answer = await gateway.ask("long-route")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert upstream.models() == ["long", "long-other"]


async def test_the_first_of_a_race_wins_and_the_loser_is_cancelled(gateway: Gateway, upstream: Counting) -> None:
    upstream.pause_s["racing"] = 3600
    answer = await gateway.ask("fast")
    assert answer.status_code == 200
    assert upstream.models() == ["racing", "racing-other"]
    assert upstream.hung_up == 1


async def test_a_burst_waits_for_the_places_that_there_are(gateway: Gateway, upstream: Counting) -> None:
    """Forty at once on two places: all are served, and never more than two run."""
    upstream.pause_s["places-a"] = 0.05
    answers = await asyncio.gather(*(gateway.ask("places", text=f"{i}") for i in range(40)))
    assert [answer.status_code for answer in answers] == [200] * 40
    assert upstream.most_running == 2


async def test_a_burst_above_the_rate_is_served_in_order_without_a_429(gateway: Gateway, upstream: Counting) -> None:
    asking = []
    for i in range(120):
        asking.append(asyncio.create_task(gateway.ask("rate", text=f"{i}")))
        await asyncio.sleep(0.004)  # so that they arrive one after another
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    order = [int(body["messages"][-1]["content"]) for _, body in upstream.seen]
    assert len(order) == 120
    late = [b for a, b in itertools.pairwise(order) if b < a - 2]  # neighbours may swap between workers
    assert late == []


async def test_who_cannot_be_served_in_time_is_refused_at_once(gateway: Gateway, upstream: Counting) -> None:
    answers = await asyncio.gather(*(gateway.ask("impatient") for _ in range(10)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 4 <= len(refused) <= 8
    assert all(answer.elapsed.total_seconds() < 1.5 for answer in refused)
    assert all(int(answer.headers["retry-after"]) >= 2 for answer in refused)
    assert all("estimated wait" in answer.json()["error"]["message"] for answer in refused)
    assert len(upstream.seen) == 10 - len(refused)


async def test_configuration_wins_over_the_client(gateway: Gateway, upstream: Counting) -> None:
    await gateway.ask("shaped", temperature=2, seed=3, top_p=0.5)
    _, body = upstream.seen[0]
    assert (body["temperature"], body["top_p"], "seed" in body) == (0.8, 0.5, False)


async def test_an_accounts_prefix_pins_it(gateway: Gateway, upstream: Counting) -> None:
    for _ in range(3):
        assert (await gateway.ask("second/pinned")).status_code == 200
    assert upstream.keys() == ["pinned-b"] * 3


async def test_a_conversation_keeps_its_account(gateway: Gateway, upstream: Counting) -> None:
    for i in range(12):
        await gateway.ask("talk", text=f"conversation {i % 3}")
    accounts = {(key, body["messages"][0]["content"]) for key, body in upstream.seen}
    assert len(accounts) == 3


async def test_two_hundred_callers_with_keys_of_their_own_are_never_mixed_up(gateway: Gateway) -> None:
    callers = [f"own-key-of-caller-{i:03}-0123456789" for i in range(200)]
    answers = await asyncio.gather(*(gateway.ask("own", text=f"by {key}", key=key) for key in callers))
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == [f"{k} by {k}" for k in callers]
