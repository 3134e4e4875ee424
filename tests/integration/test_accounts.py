"""Accounts and routes through fronts, queue and workers, towards an upstream that counts."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.servers import RedisServer, free_port
from tests.system import CLIENT_KEY, System

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class Counting:
    """An OpenAI-shaped upstream in the test's own loop. `plan` maps a bearer key, or a model, to what it answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.plan: dict[str, list[tuple[int, dict[str, Any], dict[str, str]]]] = {}
        self.pause_s: dict[str, float] = {}
        self.running = self.most_running = self.hung_up = 0
        self._app = web.AppRunner(self._build(), handler_cancellation=True)

    def _build(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def start(self) -> None:
        await self._app.setup()
        await web.TCPSite(self._app, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        await self._app.cleanup()

    async def _chat(self, request: web.Request) -> web.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        body = await request.json()
        self.seen.append((key, body))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.pause_s.get(key, self.pause_s.get(body["model"], 0)))
        except asyncio.CancelledError:
            self.hung_up += 1
            raise
        finally:
            self.running -= 1
        planned = self.plan.get(key) or self.plan.get(body["model"])
        if planned:
            status, answer, headers = planned.pop(0)
            return web.json_response(answer, status=status, headers=headers)
        message = {"role": "assistant", "content": f"{key} {body['messages'][-1]['content']}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return web.json_response(whole | {"usage": USAGE})

    def keys(self) -> list[str]:
        return [key for key, _ in self.seen]

    def models(self) -> list[str]:
        return [body["model"] for _, body in self.seen]


def error(status: int, code: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"error": {"message": "no", "type": "t", "param": None, "code": code}}, headers


@pytest.fixture
async def upstream() -> AsyncIterator[Counting]:
    upstream = Counting()
    await upstream.start()
    yield upstream
    await upstream.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    yield server
    server.close()


class Gateway:
    def __init__(self, system: System) -> None:
        self._client = httpx.AsyncClient(base_url=system.url, timeout=30, limits=httpx.Limits(max_connections=None))

    async def ask(self, model: str = "m", text: str = "hi", key: str = CLIENT_KEY, **body: Any) -> httpx.Response:
        asked = {"model": model, "messages": [{"role": "user", "content": text}], **body}
        return await self._client.post("/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {key}"})

    async def close(self) -> None:
        await self._client.aclose()


Start = Any


@pytest.fixture
async def start(tmp_path: Path, redis: RedisServer, upstream: Counting) -> AsyncIterator[Start]:
    """Starts one front and two workers with this configuration."""
    running: list[tuple[System, Gateway]] = []

    async def begin(*accounts: dict[str, Any], provider: dict[str, Any] | None = None, **config: Any) -> Gateway:
        named = [
            {"name": name, "api_key": f"k-{name}", **account} for name, account in zip("abcd", accounts, strict=False)
        ]
        entry: dict[str, Any] = {
            "name": "up",
            "type": "openai-compatible",
            "base_url": f"http://127.0.0.1:{upstream.port}/v1",
        }
        entry |= {"models": ["m", "other"], "credentials": named, **(provider or {})}
        system = System(tmp_path, {"providers": [entry], **config}, redis)
        await asyncio.to_thread(system.start, workers=2)
        running.append((system, Gateway(system)))
        return running[-1][1]

    yield begin
    for system, gateway in running:
        await gateway.close()
        await asyncio.to_thread(system.close)


async def test_two_workers_together_interleave_two_to_one(start: Start, upstream: Counting) -> None:
    gateway = await start({"weight": 2}, {"weight": 1})
    for _ in range(12):
        assert (await gateway.ask()).status_code == 200
    keys = upstream.keys()
    assert all(Counter(keys[i : i + 3]) == {"k-a": 2, "k-b": 1} for i in range(10))


async def test_a_failure_is_tried_again_with_another_credential(start: Start, upstream: Counting) -> None:
    gateway = await start({}, {})
    upstream.plan["k-a"] = [error(500, "broken")]
    upstream.plan["k-b"] = []
    answer = await gateway.ask()
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert upstream.keys() == ["k-a", "k-b"]


async def test_a_limited_account_rests_and_the_client_waits_instead_of_failing(
    start: Start, upstream: Counting
) -> None:
    gateway = await start({})
    upstream.plan["k-a"] = [error(429, "rate_limit_exceeded", **{"retry-after": "1"})]
    answers = await asyncio.gather(*(gateway.ask(text=f"{i}") for i in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(upstream.seen) <= 5 + 5  # those that were on their way when the limit was met may meet it as well


async def test_a_rejected_credential_is_not_asked_again(start: Start, upstream: Counting) -> None:
    gateway = await start({}, {})
    upstream.plan["k-a"] = [error(401, "invalid_api_key")] * 9
    for _ in range(6):
        assert (await gateway.ask()).status_code == 200
    assert upstream.keys().count("k-a") == 1


async def test_without_a_credential_that_works_the_error_blames_nobody(start: Start, upstream: Counting) -> None:
    gateway = await start({})
    upstream.plan["k-a"] = [error(401, "invalid_api_key")]
    first, second = await gateway.ask(), await gateway.ask()
    assert [answer.status_code for answer in (first, second)] == [503, 503]
    assert {answer.json()["error"]["code"] for answer in (first, second)} == {"upstream_credential_invalid"}
    assert len(upstream.seen) == 1


async def test_a_wrong_request_is_not_tried_again(start: Start, upstream: Counting) -> None:
    gateway = await start({}, {})
    upstream.plan["m"] = [error(400, "invalid_value")]
    assert (await gateway.ask()).status_code == 400
    assert len(upstream.seen) == 1


async def test_a_prompt_that_is_too_long_goes_to_the_fallback(start: Start, upstream: Counting) -> None:
    models = {"route": {"targets": ["up/m"], "fallbacks": ["up/other"]}}
    gateway = await start({}, {}, models=models)
    upstream.plan["m"] = [error(400, "context_length_exceeded")]
    answer = await gateway.ask("route")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert upstream.models() == ["m", "other"]


async def test_the_first_of_a_race_wins_and_the_loser_is_cancelled(start: Start, upstream: Counting) -> None:
    models = {"fast": {"strategy": "race", "race_delay_s": 0.1, "targets": ["up/m", "up/other"]}}
    gateway = await start({}, {}, models=models)
    upstream.pause_s["m"] = 3600
    answer = await gateway.ask("fast")
    assert answer.status_code == 200
    assert upstream.models() == ["m", "other"]
    assert upstream.hung_up == 1


async def test_a_burst_waits_for_the_places_that_there_are(start: Start, upstream: Counting) -> None:
    """Forty at once on two places: all are served, and never more than two run."""
    gateway = await start({"limits": {"concurrency": 2}})
    upstream.pause_s["k-a"] = 0.05
    answers = await asyncio.gather(*(gateway.ask(text=f"{i}") for i in range(40)))
    assert [answer.status_code for answer in answers] == [200] * 40
    assert upstream.most_running == 2


async def test_a_burst_above_the_rate_is_served_in_order_without_a_429(start: Start, upstream: Counting) -> None:
    gateway = await start({"limits": {"rpm": 900}})
    asking = []
    for i in range(120):
        asking.append(asyncio.create_task(gateway.ask(text=f"{i}")))
        await asyncio.sleep(0.004)  # so that they arrive one after another
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    order = [int(body["messages"][-1]["content"]) for _, body in upstream.seen]
    assert len(order) == 120
    late = [b for a, b in itertools.pairwise(order) if b < a - 2]  # neighbours may swap between workers
    assert late == []


async def test_who_cannot_be_served_in_time_is_refused_at_once(start: Start, upstream: Counting) -> None:
    gateway = await start({"limits": {"rpm": 60}}, models={"route": {"targets": ["up/m"], "queue_wait_s": 2}})
    answers = await asyncio.gather(*(gateway.ask("route") for _ in range(10)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 4 <= len(refused) <= 8
    assert all(answer.elapsed.total_seconds() < 1.5 for answer in refused)
    assert all(int(answer.headers["retry-after"]) >= 2 for answer in refused)
    assert all("estimated wait" in answer.json()["error"]["message"] for answer in refused)
    assert len(upstream.seen) == 10 - len(refused)


async def test_configuration_wins_over_the_client(start: Start, upstream: Counting) -> None:
    gateway = await start({}, provider={"overrides": {"temperature": 0.8}, "drop_params": ["seed"]})
    await gateway.ask(temperature=2, seed=3, top_p=0.5)
    _, body = upstream.seen[0]
    assert (body["temperature"], body["top_p"], "seed" in body) == (0.8, 0.5, False)


async def test_an_accounts_prefix_pins_it(start: Start, upstream: Counting) -> None:
    gateway = await start({"prefix": "first"}, {"prefix": "second"})
    for _ in range(3):
        assert (await gateway.ask("second/m")).status_code == 200
    assert upstream.keys() == ["k-b"] * 3


async def test_a_conversation_keeps_its_account(start: Start, upstream: Counting) -> None:
    gateway = await start({}, {}, routing={"affinity": {"prefix_messages": 1}})
    for i in range(12):
        await gateway.ask(text=f"conversation {i % 3}")
    accounts = {(key, body["messages"][0]["content"]) for key, body in upstream.seen}
    assert len(accounts) == 3


async def test_two_hundred_callers_with_keys_of_their_own_are_never_mixed_up(start: Start) -> None:
    gateway = await start(passthrough={"provider": "up"})
    callers = [f"own-key-of-caller-{i:03}-0123456789" for i in range(200)]
    answers = await asyncio.gather(*(gateway.ask(text=f"by {key}", key=key) for key in callers))
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == [f"{k} by {k}" for k in callers]
