"""Callers with keys of their own, on a configuration in which every name could lead them elsewhere."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from tests.integration.counting import Counting, Gateway
from tests.servers import RedisServer, wait_until
from tests.system import CLIENT_KEY, System

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE = "sk-of-one-caller-0123456789"
OPERATORS = "sk-of-the-operator"


def entry(name: str, port: int) -> dict[str, Any]:
    accounts = [{"name": x, "api_key": f"{OPERATORS}-{name}-{x}", "prefix": f"{name}-{x}"} for x in "ab"]
    base_url = f"http://127.0.0.1:{port}/v1"
    return {"name": name, "type": "openai-compatible", "base_url": base_url, "credentials": accounts}


def configuration(own: int, paid: int) -> dict[str, Any]:
    """`own` takes callers' keys, and has accounts of the operator besides; `paid` has only those."""
    both = ["paid/model", "own/model"]
    models = {
        "to-paid": "paid/model",
        "to-both": {"targets": both},
        "raced": {"strategy": "race", "race_delay_s": 0, "targets": both},
        "ordered": {"strategy": "priority", "targets": ["raced", *both]},
        "falling": {"targets": ["own/model"], "fallbacks": ["to-paid", "raced", "echo"]},
        "wild-*": {"strategy": "least-busy", "targets": ["paid/*", "own/*"], "fallbacks": ["paid/*"]},
        "talk": {"targets": both, "affinity": {"prefix_messages": 1}},
    }
    retries = {"attempts": 9, "other_credential": ["credential_rejected", "rate_limited", "upstream_fault"]}
    providers = [
        {**entry("own", own), "models": ["model", "named-alike", "*"]},
        {**entry("paid", paid), "models": ["model", "named-alike", "only-paid"]},
        {"name": "echo", "type": "echo"},
    ]
    routing = {"strategy": "race", "retries": retries}
    return {"providers": providers, "models": models, "passthrough": {"provider": "own"}, "routing": routing}


class Queued:
    """A job waits in Redis."""

    def __init__(self, server: RedisServer) -> None:
        self._redis = redis.Redis.from_url(server.url)

    def __call__(self) -> bool:
        return bool(self._redis.zcard("{ps}:queue"))


class Scene:
    def __init__(self, gateway: Gateway, own: Counting, paid: Counting) -> None:
        self.gateway = gateway
        self.own = own
        self.paid = paid
        self.client = gateway.client
        self.ask = gateway.ask


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    own, paid = Counting(), Counting()
    await own.start()
    await paid.start()
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    system = System(tmp_path_factory.mktemp("passthrough"), configuration(own.port, paid.port), redis)
    try:
        await asyncio.to_thread(system.start)
        gateway = Gateway(system, own)
        yield Scene(gateway, own, paid)
        await gateway.close()
    finally:
        await asyncio.to_thread(system.close)
        await own.close()
        await paid.close()
        redis.close()


@pytest.fixture
def scene(running: Scene) -> Scene:
    """As if nobody had called anybody yet."""
    running.own.forget()
    running.paid.forget()
    return running


def refused(status: int, code: str = "") -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"error": {"message": f"no, {MINE}", "type": "t", "param": None, "code": code or None}}, {}


NAMES = [
    "model",
    "named-alike",
    "only-paid",
    "own/model",
    "own-a/model",
    "own/paid/model",
    "paid/model",
    "paid-b/model",
]
NAMES += ["to-paid", "to-both", "raced", "ordered", "falling", "wild-model", "talk", "echo", "echo/echo"]
USED_UP = refused(429, "insufficient_quota")
FAILURES = [refused(401, "invalid_api_key"), refused(403), refused(429), USED_UP, refused(500)]


@pytest.mark.parametrize("name", NAMES)
async def test_no_name_and_no_failure_leads_elsewhere_or_to_an_account(scene: Scene, name: str) -> None:
    """Answered or refused in every way: only the caller's provider is asked, with the caller's key."""
    answered = await scene.ask(name, key=MINE)
    assert answered.status_code == 200
    assert answered.json()["choices"][0]["message"]["content"] == f"{MINE} hi"
    for failure in FAILURES:
        scene.own.plan[MINE] = [failure] * 9
        answer = await scene.ask(name, key=MINE)
        assert answer.status_code == (502 if failure[0] == 500 else failure[0])
        assert MINE not in answer.text
    assert set(scene.own.keys()) == {MINE}
    assert scene.paid.seen == []


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (refused(401, "invalid_api_key"), 401, "invalid_api_key"),
        (refused(403), 403, "permission_denied"),
        (refused(402), 429, "insufficient_quota"),
        (USED_UP, 429, "insufficient_quota"),
        (refused(429, "rate_limit_exceeded"), 429, "rate_limit_exceeded"),
    ],
)
@pytest.mark.parametrize("name", ["model", "raced"])
async def test_what_is_wrong_with_the_key_is_the_callers_and_benches_no_account(
    scene: Scene, failure: tuple[int, dict[str, Any], dict[str, str]], status: int, code: str, name: str
) -> None:
    scene.own.plan[MINE] = [failure] * 9
    answer = await scene.ask(name, key=MINE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    for account in ("own-a", "own-b"):
        assert (await scene.ask(f"{account}/model")).status_code == 200
    paid = scene.own.keys()
    assert [key for key in paid if key != MINE] == [f"{OPERATORS}-own-a", f"{OPERATORS}-own-b"]


@pytest.mark.parametrize("bearer", ["short-key", "sk-penstock-mistyped-0123456789", "sk-\u0430-0123456789"])
async def test_what_can_be_no_own_key_reaches_nobody(scene: Scene, bearer: str) -> None:
    headers = {b"authorization": f"Bearer {bearer}".encode()}
    asked = {"model": "model", "messages": [{"role": "user", "content": "hi"}]}
    answer = await scene.client.post("/v1/chat/completions", json=asked, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert scene.own.seen == scene.paid.seen == []


async def test_own_keys_are_shown_what_leads_to_their_provider_and_others_see_all(scene: Scene) -> None:
    async def listed(key: str) -> set[str]:
        answer = await scene.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
        return {model["id"] for model in answer.json()["data"]}

    common = {"model", "named-alike", "to-both", "raced", "ordered", "falling", "talk"}
    assert await listed(MINE) == common
    assert await listed(CLIENT_KEY) >= common | {"to-paid", "only-paid", "echo"}


async def test_a_caller_with_a_key_of_ours_uses_the_operators_accounts(scene: Scene) -> None:
    assert (await scene.ask("own-a/model")).status_code == 200
    assert scene.own.keys() == [f"{OPERATORS}-own-a"]


async def test_a_callers_own_key_is_logged_as_a_short_hash_alone(scene: Scene) -> None:
    await scene.ask("model", key=MINE, text="one line more")
    system = scene.gateway.system
    logs = "".join(process.log() for process in (*system.workers, *(front.process for front in system.fronts)))
    assert MINE not in logs
    assert re.search(r'"key_hash":"[0-9a-f]{12}"', logs)


async def test_the_operators_own_accounts_being_used_up_is_nothing_to_a_caller(scene: Scene) -> None:
    for account in ("own-a", "own-b"):
        scene.own.plan[f"{OPERATORS}-{account}"] = [USED_UP]
        await scene.ask(f"{account}/model")
    assert (await scene.ask("model", key=MINE)).status_code == 200


async def test_a_key_that_waits_while_its_provider_changes_reaches_nobody(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """It was sealed for the provider that there was; a worker with another, or with none, opens nothing with it."""
    own, paid = Counting(), Counting()
    await own.start()
    await paid.start()
    config = configuration(own.port, paid.port)
    for changed in ({"passthrough": {"provider": "paid"}}, {"passthrough": None}):
        system = System(tmp_path, config, redis_server)
        await asyncio.to_thread(system.start)
        gateway = Gateway(system, own)
        system.workers[0].kill()
        asked = asyncio.create_task(gateway.ask("model", key=MINE))
        await asyncio.to_thread(wait_until, "the job", Queued(redis_server))
        system.configure({**config, **changed})
        await asyncio.to_thread(system.add_worker)
        answer = await asked
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
        await gateway.close()
        await asyncio.to_thread(system.close)
    assert own.seen == paid.seen == []
    await own.close()
    await paid.close()
