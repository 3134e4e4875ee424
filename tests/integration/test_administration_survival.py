"""What was changed over HTTP outlives restarts, a lost Redis, dead workers and edits of the file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
import redis.asyncio

from shared.names import ADMIN_QUEUE, OVERLAY
from tests.integration.counting import Counting, until
from tests.integration.operating import ADMIN_KEY, Operator, provider
from tests.servers import Logged, RedisServer, wait_until
from tests.system import ECHO, System


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Counting]:
    made = Counting()
    await made.start()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def operator(tmp_path: Path, redis_server: RedisServer, upstream: Counting) -> AsyncIterator[Operator]:
    config = {"providers": [provider("filed", upstream)]}
    system = System(tmp_path, config, redis_server, environ={"PENSTOCK_MASTER_KEY": ADMIN_KEY})
    made = Operator(system)
    try:
        await asyncio.to_thread(system.start)
        yield made
    finally:
        await made.close()
        await asyncio.to_thread(system.close)


async def restart_with_nothing(operator: Operator) -> None:
    """Everything, with a Redis that kept nothing."""
    system = operator.system
    await asyncio.to_thread(system.stop)
    await asyncio.to_thread(system.redis.lose_all)
    system.fronts.clear()
    system.workers.clear()
    await asyncio.to_thread(system.start, workers=2)


async def test_changes_survive_a_restart_of_everything_with_a_redis_that_kept_nothing(
    operator: Operator, upstream: Counting
) -> None:
    await operator.do("POST", "providers", provider("added", upstream))
    key = (await operator.do("POST", "keys", {"name": "team"}))["key"]
    await operator.do("DELETE", "keys/test")
    await restart_with_nothing(operator)
    upstream.seen.clear()
    assert (await operator.chat("added", key=key)).status_code == 200
    assert upstream.keys() == ["added-secret-a"]
    assert (await operator.chat("added")).status_code == 401, "a removed key may not come back"


async def test_an_account_that_needs_a_person_is_not_asked_again_after_a_restart(
    operator: Operator, upstream: Counting
) -> None:
    refused = {"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}}
    upstream.plan["filed-secret-a"] = [(401, refused, {})]
    assert (await operator.chat("filed")).status_code == 503
    before = await operator.do("GET", "accounts")
    assert [account["state"] for account in before["data"]] == ["needs_renewal"]
    await restart_with_nothing(operator)
    upstream.seen.clear()
    assert await operator.do("GET", "accounts") == before
    assert (await operator.chat("filed")).json()["error"]["code"] == "upstream_credential_invalid"
    assert upstream.seen == []


async def test_a_redis_that_loses_all_is_given_the_changes_back(operator: Operator, upstream: Counting) -> None:
    """So that a worker of another host, with a state folder of its own, has them too."""
    await operator.do("POST", "providers", provider("added", upstream))
    system = operator.system
    await asyncio.to_thread(system.redis.lose_all)
    client = redis.asyncio.Redis.from_url(system.redis.url)

    async def given_back() -> bool:
        return bool(await client.hexists(OVERLAY, "body"))

    await until(given_back)
    await client.aclose()
    other = system.begin_worker({"PENSTOCK_STATE_DIR": str(system.folder / "other")})
    await asyncio.to_thread(wait_until, "worker", Logged(other, "worker ready"), other)
    await asyncio.to_thread(system.workers[0].kill)
    await operator.until_status(200, "added")


async def test_without_a_worker_nothing_is_changed_and_the_operator_is_told(operator: Operator) -> None:
    await asyncio.to_thread(operator.system.workers[0].kill)
    answer = await operator.send("POST", "keys/test/disable")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_worker")
    assert answer.headers["retry-after"] == "2"
    await asyncio.to_thread(operator.system.add_worker)
    assert "revoked" not in await operator.do("GET", "keys/test")


async def test_when_the_worker_dies_with_a_request_the_outcome_is_said_to_be_unknown(operator: Operator) -> None:
    """The test takes the request as a worker does, and never answers."""
    await asyncio.to_thread(operator.system.workers[0].kill)
    client = redis.asyncio.Redis.from_url(operator.system.redis.url)
    asked = asyncio.create_task(operator.send("POST", "keys/test/disable"))

    async def taken() -> bool:
        return bool(await client.lpop(ADMIN_QUEUE))

    await until(taken)
    answer = await asked
    await client.aclose()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_answer")
    assert "not known" in answer.json()["error"]["message"]
    assert "retry-after" in answer.headers


async def test_an_edit_of_the_file_keeps_the_changes_and_one_that_contradicts_them_is_refused(
    operator: Operator, upstream: Counting
) -> None:
    await operator.do("POST", "providers", provider("added", upstream))
    system = operator.system
    filed = provider("filed", upstream)
    system.configure({"providers": [filed, provider("edited", upstream)]})
    await operator.until_status(200, "edited")
    await operator.until_status(200, "added")
    system.configure({"providers": [filed, provider("clash", upstream, prefix="added")]})
    worker = system.workers[0]
    told = Logged(worker, "'added' stands before the models of two providers")
    await asyncio.to_thread(wait_until, "the refusal", told, worker)
    assert (await operator.chat("edited")).status_code == 200
    contradicting = system.begin_worker()
    assert await contradicting.ended() == 2
    assert "'added' stands before the models of two providers" in contradicting.log()


async def test_administration_is_off_without_a_key(tmp_path: Path, redis_server: RedisServer) -> None:
    system = System(tmp_path, {"providers": [ECHO]}, redis_server)
    made = Operator(system)
    try:
        await asyncio.to_thread(system.start)
        answer = await made.send("GET", "providers")
    finally:
        await made.close()
        await asyncio.to_thread(system.close)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "administration_off")
