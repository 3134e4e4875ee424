"""The administration of openai-style-api, as its page and scripts use it, on its own file."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.counting import Counting
from tests.integration.operating import Operator
from tests.servers import RedisServer
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN_TOKEN = "admin-token-4f1c9e7a2b"
REFUSED = {"error": {"message": "", "type": "invalid_request_error", "param": None, "code": "invalid_token"}}


def entry(token: str, upstream: Counting, **config: Any) -> dict[str, Any]:
    base = {"api_base": f"http://127.0.0.1:{upstream.port}/v1/", "api_key": f"{token}-secret"}
    return {"token": token, "type": "openai", "config": {**base, **config}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Counting]:
    made = Counting()
    await made.start()
    yield made
    await made.close()


def imported(folder: Path, redis: RedisServer, entries: list[dict[str, Any]], **environ: str) -> System:
    system = System(folder, {}, redis, environ=environ)
    system.path.write_text(json.dumps(entries))
    return system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(tmp_path_factory: pytest.TempPathFactory, upstream: Counting) -> AsyncIterator[Operator]:
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    entries = [entry("token-number-one", upstream), entry("token-number-two", upstream, model="fixed")]
    system = imported(tmp_path_factory.mktemp("style"), redis, entries, **{"ADMIN-TOKEN": ADMIN_TOKEN})
    made = Operator(system, ADMIN_TOKEN)
    try:
        await asyncio.to_thread(system.start, fronts=2, workers=2)
        yield made
    finally:
        await made.close()
        await asyncio.to_thread(system.close)
        redis.close()


async def test_the_token_is_verified(operator: Operator) -> None:
    assert await operator.do("GET", "/verify") == {"success": True}
    wrong = Operator(operator.system, "not-the-token", address="192.0.2.9")
    for method, path in (("GET", "/verify"), ("GET", "/getAllModelConfig"), ("POST", "/updateModelConfig")):
        answer = await wrong.send(method, path, [])
        assert (answer.status_code, answer.json()) == (401, {"detail": REFUSED})
    await wrong.close()


async def test_entries_are_read_changed_added_and_deleted(operator: Operator, upstream: Counting) -> None:
    """What was read is sent back with a change, masks and all, as its page does."""
    shown = await operator.do("GET", "/getAllModelConfig")
    assert [sorted(one) for one in shown] == [["config", "token", "type"]] * 2
    assert "token-number" not in json.dumps(shown)
    shown[1]["config"]["temperature"] = 0.25
    body = [*shown, entry("token-number-three", upstream, model="third")]
    assert await operator.do("POST", "/updateModelConfig", body) == {"success": True}
    await operator.until_used()
    await operator.until_status(200, "whatever", key="token-number-three")
    upstream.seen.clear()
    await operator.until_status(200, "whatever", key="token-number-two")
    assert {(key, sent["model"], sent["temperature"]) for key, sent in upstream.seen} == {
        ("token-number-two-secret", "fixed", 0.25)
    }
    assert len(await operator.do("GET", "/getAllModelConfig", front=1)) == 3
    done = await operator.do("POST", "/deleteModelConfig", {"token": "token-number-three"}, front=1)
    assert done == {"success": True}
    await operator.until_status(401, "whatever", key="token-number-three")
    assert await operator.do("GET", "/getAllModelConfig") == shown


async def test_a_list_of_another_shape_is_refused_with_its_problem(operator: Operator) -> None:
    before = await operator.do("GET", "/getAllModelConfig")
    for body, told in (
        ({"token": "x"}, "must be a list"),
        ([{"token": "x"}], "entry 1 needs token and type"),
        ([{"token": "token-number-four", "type": "zhipu-api", "config": {}}], "needs api_key"),
    ):
        answer = await operator.send("POST", "/updateModelConfig", body)
        assert answer.status_code == 422
        assert told in answer.json()["detail"][0]["msg"]
    assert await operator.do("GET", "/getAllModelConfig", front=1) == before


async def test_the_other_administration_shows_the_same(operator: Operator) -> None:
    named = [provider["name"] for provider in (await operator.do("GET", "providers"))["data"]]
    assert named == ["openai-1", "openai-2"]


async def test_it_is_off_where_no_such_file_was_imported(tmp_path: Path, redis_server: RedisServer) -> None:
    system = System(tmp_path, {}, redis_server, environ={"PENSTOCK_MASTER_KEY": ADMIN_TOKEN})
    made = Operator(system, ADMIN_TOKEN)
    try:
        await asyncio.to_thread(system.start)
        answer = await made.send("GET", "/verify")
    finally:
        await made.close()
        await asyncio.to_thread(system.close)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
