"""Administration over HTTP on two fronts and two workers, towards an upstream that counts."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.integration.counting import Counting, until
from tests.integration.operating import ADMIN_KEY, Operator, provider
from tests.servers import RedisServer
from tests.system import CLIENT_KEY, System

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Counting]:
    made = Counting()
    await made.start()
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(tmp_path_factory: pytest.TempPathFactory, upstream: Counting) -> AsyncIterator[Operator]:
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    config = {"providers": [provider("filed", upstream)], "models": {"filed-route": "filed"}}
    folder = tmp_path_factory.mktemp("administration")
    system = System(folder, config, redis, environ={"PENSTOCK_MASTER_KEY": ADMIN_KEY})
    made = Operator(system)
    try:
        await asyncio.to_thread(system.start, fronts=2, workers=2)
        yield made
    finally:
        await made.close()
        await asyncio.to_thread(system.close)
        redis.close()


def _nested(levels: int) -> dict[str, Any]:
    body: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        body = {"a": body}
    return body


async def test_a_provider_is_added_changed_disabled_and_removed_on_all_nodes(
    operator: Operator, upstream: Counting
) -> None:
    """Each step on another front than the one before."""
    await operator.do("POST", "providers", provider("new", upstream))
    await operator.until_status(200, "new")
    changed = await operator.do("PATCH", "providers/new", {"models": ["renamed"]}, front=1)
    assert changed["models"] == ["renamed"]
    await operator.until_status(200, "renamed")
    await operator.until_status(404, "new")
    assert (await operator.do("POST", "providers/new/disable"))["disabled"] is True
    await operator.until_status(404, "renamed")
    assert "disabled" not in await operator.do("POST", "providers/new/enable", front=1)
    await operator.until_status(200, "renamed")
    gone = await operator.do("DELETE", "providers/new")
    assert gone == {"name": "new", "object": "provider", "deleted": True}
    await operator.until_status(404, "renamed")
    assert (await operator.send("GET", "providers/new", front=1)).status_code == 404


async def test_every_worker_takes_a_change_over(operator: Operator) -> None:
    before = operator.last_changes()
    await operator.do("PUT", "models/noticed", {"targets": ["filed"]})
    await operator.until_used()
    assert all(now > then for now, then in zip(operator.last_changes(), before, strict=True))
    await operator.do("DELETE", "models/noticed")


async def test_what_the_file_has_is_changed_and_removed_as_well(operator: Operator) -> None:
    route = await operator.do("GET", "models/filed-route")
    assert route == {"name": "filed-route", "targets": ["filed"]}
    await operator.do("POST", "models/filed-route/disable")
    await operator.until_status(404, "filed-route")
    await operator.do("DELETE", "models/filed-route")
    assert (await operator.send("GET", "models/filed-route")).status_code == 404
    await operator.do("PUT", "models/filed-route", route)
    await operator.until_status(200, "filed-route")


async def test_a_mask_sent_back_means_unchanged(operator: Operator, upstream: Counting) -> None:
    await operator.do("POST", "providers", provider("masked", upstream))
    shown = await operator.do("GET", "providers/masked")
    mask = shown["credentials"][0]["api_key"]
    assert mask.startswith("****")
    assert mask == (await operator.do("GET", "providers/masked/credentials/a", front=1))["api_key"]
    changed = await operator.do("PUT", "providers/masked", {**shown, "overrides": {"temperature": 0.5}}, front=1)
    assert changed["credentials"][0]["api_key"] == mask
    await operator.until_used()
    upstream.seen.clear()
    await operator.until_status(200, "masked")
    key, body = upstream.seen[-1]
    assert (key, body["temperature"]) == ("masked-secret-a", 0.5)
    renewed = await operator.do("PATCH", "providers/masked/credentials/a", {"api_key": "another-secret"})
    assert renewed["api_key"] != mask
    stale = await operator.send("PATCH", "providers/masked/credentials/a", {"api_key": mask})
    assert (stale.status_code, stale.json()["error"]["code"]) == (400, "unknown_mask")
    await operator.do("DELETE", "providers/masked")


async def test_credentials_are_objects_of_their_own(operator: Operator, upstream: Counting) -> None:
    await operator.do("POST", "providers", provider("pooled", upstream))
    added = await operator.do("POST", "providers/pooled/credentials", {"name": "b", "api_key": "pooled-secret-b"})
    assert added["name"] == "b"
    await operator.do("POST", "providers/pooled/credentials/a/disable", front=1)
    await operator.until_used()
    await operator.until_status(200, "pooled")
    upstream.seen.clear()
    for front in (0, 1, 0, 1):
        await operator.chat("pooled", front=front)
    assert {key for key, _ in upstream.seen} == {"pooled-secret-b"}
    await operator.do("DELETE", "providers/pooled/credentials/a")
    listed = await operator.do("GET", "providers/pooled/credentials", front=1)
    assert [account["name"] for account in listed["data"]] == ["b"]
    await operator.do("DELETE", "providers/pooled")


async def test_a_made_client_key_is_shown_once(operator: Operator) -> None:
    made = await operator.do("POST", "keys", {"name": "team", "models": ["filed*"]})
    key = made["key"]
    assert key.startswith("sk-penstock-")
    await operator.until_status(200, "filed", key=key)
    shown = await operator.do("GET", "keys/team", front=1)
    assert shown["key"].startswith("****")
    await operator.do("POST", "keys/team/disable", front=1)
    await operator.until_status(401, "filed", key=key)
    await operator.do("POST", "keys/team/enable")
    await operator.until_status(200, "filed", key=key)
    await operator.do("DELETE", "keys/team")
    await operator.until_status(401, "filed", key=key)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("POST", "providers", {"name": "x", "type": "opnai"}, 400, "providers[x].type: unknown provider type"),
        ("POST", "providers", {"name": "x", "type": "openai", "credentials": [{}]}, 400, "needs api_key"),
        ("POST", "providers", {"name": "filed", "type": "echo"}, 409, "There is a provider 'filed' already"),
        ("POST", "providers", {"type": "echo"}, 400, "name is missing"),
        ("PATCH", "providers/filed", {"wieght": 2}, 400, "did you mean 'weight'?"),
        ("PATCH", "providers/filed", {"name": "other"}, 400, "name differs"),
        ("PATCH", "providers/fild", {"weight": 2}, 404, "did you mean 'filed'?"),
        ("DELETE", "providers/filed/credentials/a", None, 400, "providers[filed].credentials: needs at least one"),
        ("PUT", "models/loop", {"targets": ["loop-2", "filed"], "strategy": "fastest"}, 400, "models.loop.strategy"),
        ("POST", "keys", {"name": "weak", "key": "changeme"}, 400, "keys[weak].key: is a sample key"),
        ("POST", "keys", {"name": "masked", "key": "****0123456789ab"}, 400, "is the mask of no secret"),
        ("POST", "keys", {"name": "twice", "key": CLIENT_KEY}, 400, "is the same secret as that of"),
        ("POST", "keys", {"name": "admin", "key": ADMIN_KEY}, 400, "is also a client key"),
        ("PATCH", "providers/filed", _nested(200), 400, "unknown key 'a'"),
        ("PATCH", "providers/filed", _nested(900), 400, "nested too deeply"),
        ("PATCH", "keys/test", {}, 400, "must be a JSON object"),
        ("GET", "nothing", None, 404, "Invalid URL"),
    ],
)
async def test_a_change_that_cannot_be_is_refused_with_its_problem(
    operator: Operator, method: str, path: str, body: Any, status: int, told: str
) -> None:
    before = (await operator.send("GET", "config")).text
    answer = await operator.send(method, path, body)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["error"]["message"]
    assert (await operator.send("GET", "config", front=1)).text == before


async def test_the_configuration_is_exported_without_secrets(operator: Operator) -> None:
    answer = await operator.send("GET", "config?secrets=reveal")
    assert answer.headers["content-type"].startswith("application/yaml")
    exported = yaml.safe_load(answer.text)
    assert [entry["name"] for entry in exported["providers"]] == ["filed"]
    for secret in ("filed-secret-a", CLIENT_KEY, ADMIN_KEY):
        assert secret not in answer.text


async def test_accounts_show_their_state_and_are_reset(operator: Operator, upstream: Counting) -> None:
    await operator.do("POST", "providers", provider("refused", upstream))
    error = {"error": {"message": "no", "type": "t", "param": None, "code": "invalid_api_key"}}
    upstream.plan["refused-secret-a"] = [(401, error, {})]
    await operator.until_status(503, "refused")

    async def state() -> str:
        accounts = (await operator.do("GET", "accounts", front=1))["data"]
        return str(next(one["state"] for one in accounts if one["provider"] == "refused"))

    async def needs_renewal() -> bool:
        return await state() == "needs_renewal"

    await until(needs_renewal)
    reset = await operator.do("POST", "accounts/refused/a/reset", front=1)
    assert (reset["state"], reset["cause"]) == ("ready", None)
    await operator.until_status(200, "refused")
    await operator.do("POST", "providers/refused/disable")
    assert await state() == "disabled"
    assert (await operator.send("POST", "accounts/refused/a/reset")).status_code == 409
    await operator.do("DELETE", "providers/refused")


async def test_the_command_line_shows_accounts_that_were_added_over_http(
    operator: Operator, upstream: Counting
) -> None:
    await operator.do("POST", "providers", provider("told", upstream))
    command = [sys.executable, "-P", "-m", "deploy.cli", "accounts"]
    for environ, status, text in (({}, 0, "told/a"), ({"PENSTOCK_SECRET_KEY": ""}, 2, "PENSTOCK_SECRET_KEY alone")):
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**operator.system._environ, **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert text in output.decode()
        assert process.returncode == status
    await operator.do("DELETE", "providers/told")


async def test_only_the_administration_key_administers(operator: Operator) -> None:
    """And it is no client key."""
    for key, told in (("", "Send the administration key"), (CLIENT_KEY, "Client keys do not administer")):
        other = Operator(operator.system, key, address="192.0.2.2")
        answer = await other.send("GET", "providers")
        await other.close()
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert told in answer.json()["error"]["message"]
    assert (await operator.chat("filed", key=ADMIN_KEY)).status_code == 401


async def test_wrong_keys_are_limited_exactly_over_all_fronts(operator: Operator) -> None:
    """Fifty at once: ten are told that they are wrong, and then nobody from this address is told anything."""
    guessing = Operator(operator.system, "sk-penstock-admin-guess", address="198.51.100.7")
    answers = await asyncio.gather(*(guessing.send("GET", "providers", front=i % 2) for i in range(50)))
    await guessing.close()
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 40
    right = Operator(operator.system, address="198.51.100.7")
    refused = await right.send("GET", "providers", front=1)
    await right.close()
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert (await operator.send("GET", "providers")).status_code == 200


async def test_the_audit_names_who_what_and_which(operator: Operator) -> None:
    await operator.do("PUT", "models/audited", {"targets": ["filed"]})
    await operator.do("DELETE", "models/audited")
    lines = [line for worker in operator.system.workers for line in worker.log().splitlines()]
    lines = [line for line in lines if '"event":"administration"' in line and '"models/audited"' in line]
    assert {part for line in lines for part in ('"replace"', '"remove"') if part in line} == {'"replace"', '"remove"'}
    assert all('"key_hash":"' in line and '"client.address":"192.0.2.1"' in line for line in lines)
