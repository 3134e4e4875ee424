"""Accounts that a person signs in to, from `penstock login` to the end of the sign-in, at the services' own names."""

import asyncio
import os
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml

from shared.bus import Bus
from tests.deploy.started import PENSTOCK, penstock
from tests.integration.sign_in_world import PRINCIPAL, World, running
from tests.outbound import Authority
from tests.servers import RedisServer
from tests.system import CLIENT_KEY, System
from worker.accounts.states import State, view_accounts

MODELS = {"gemini-cli": "gemini-2.5-pro", "qwen-code": "coder-model", "azure-openai": "gpt-4o"}
TYPES = pytest.mark.parametrize("type_name", ["gemini-cli", "qwen-code"])
RESOURCE = {"base_url": "https://res.openai.azure.com", "models": ["gpt-4o"]}


class Person:
    """Signs in, and asks the gateway that has the account."""

    def __init__(self, world: World, proxy: str, authority: Authority, folder: Path) -> None:
        self.world = world
        self.proxy = proxy
        self.environ = {"SSL_CERT_FILE": str(authority.path)}
        self.folder = folder
        self.redis = RedisServer(folder)
        self.system: System | None = None

    async def sign_in(self, type_name: str) -> dict[str, str]:
        """The credential that `penstock login` prints."""
        command = [*PENSTOCK, "login", type_name, "--client-id", "client-1", "--proxy", self.proxy]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, stderr=PIPE, env={**os.environ, **self.environ}, cwd=self.folder
        )
        assert process.stderr
        told = ""
        while not re.search(r"enter the code AB-CD|https://accounts\.google\.com/\S+\n", told):
            line = await process.stderr.readline()
            assert line, told
            told += line.decode()
        await self._consent(told)
        printed, _ = await process.communicate()
        (credential,) = yaml.safe_load(printed)["credentials"]
        return dict(credential)

    async def _consent(self, told: str) -> None:
        page = re.search(r"https://accounts\.google\.com/\S+", told)
        self.world.granted = True
        if page is not None:
            query = dict(parse_qsl(urlsplit(page[0]).query))
            code = self.world.consent(query)
            async with httpx.AsyncClient() as browser:
                await browser.get(query["redirect_uri"], params={"code": code, "state": query["state"]})

    async def start(self, type_name: str, *credentials: dict[str, str], **changes: str) -> None:
        """Two workers and a front, with these accounts in one pool, called mine-1 and so on."""
        provider = {
            "name": "signed-in",
            "type": type_name,
            "proxy": self.proxy,
            "accept_unofficial": True,
            **(RESOURCE if type_name == "azure-openai" else {}),
            "credentials": [
                {**credential, "name": f"mine-{number}", **changes} for number, credential in enumerate(credentials, 1)
            ],
        }
        self.system = System(self.folder, {"providers": [provider]}, self.redis, environ=self.environ)
        await asyncio.to_thread(self.system.start, workers=2)

    async def ask(self, type_name: str, count: int = 1) -> list[httpx.Response]:
        """That many requests at once."""
        assert self.system
        body = {"model": MODELS[type_name], "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        async with httpx.AsyncClient(base_url=self.system.url, headers=headers, timeout=30) as client:
            return await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(count)))

    async def kept(self) -> bytes:
        """Everything that lies in Redis and in the state folder."""
        bus = Bus(self.redis.url)
        await bus.start()
        await bus.up.wait()
        dumps = [await bus.command("DUMP", key) or b"" for key in await bus.command("KEYS", "*")]
        await bus.close()
        files = [path.read_bytes() for path in (self.folder / "state").rglob("*") if path.is_file()]
        return b"".join([*dumps, *files])

    def logs(self) -> str:
        assert self.system
        return self.system.logs()

    async def accounts(self) -> str:
        """What `penstock accounts` prints."""
        assert self.system
        environ = {"PENSTOCK_REDIS_URL": self.redis.url, "PENSTOCK_CONFIG": str(self.system.path)}
        done = await asyncio.to_thread(penstock, "accounts", folder=self.folder, environ=environ)
        assert not done.stderr
        return done.stdout

    async def states(self, count: int = 1) -> list[State]:
        bus = Bus(self.redis.url)
        await bus.start()
        await bus.up.wait()
        views = await view_accounts(bus, [("signed-in", f"mine-{number + 1}") for number in range(count)])
        await bus.close()
        return [view.state for view in views]

    async def close(self) -> None:
        if self.system is not None:
            await asyncio.to_thread(self.system.close)
        self.redis.close()


@pytest.fixture
async def person(tmp_path: Path) -> AsyncIterator[Person]:
    world, authority = World(), Authority(tmp_path)
    async with running(world, authority) as proxy:
        person = Person(world, proxy, authority, tmp_path)
        yield person
        await person.close()


def contents(answers: list[httpx.Response]) -> set[Any]:
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    return {answer.json()["choices"][0]["message"]["content"] for answer in answers}


@TYPES
async def test_a_token_is_renewed_before_it_expires_once_for_all_workers(person: Person, type_name: str) -> None:
    """From the sign-in, with PKCE, to answers; the tokens lie nowhere in clear."""
    person.world.life_s = 30  # so short that it is stale at once
    credential = await person.sign_in(type_name)
    person.world.life_s = 3600
    await person.start(type_name, credential)
    assert contents(await person.ask(type_name, 12)) == {"hello"}
    assert person.world.grants[1:] == ["refresh_token"]
    assert len(person.world.bearers) == 12
    assert set(person.world.bearers) == {person.world.secrets[0]}
    kept = await person.kept()
    assert kept
    assert not [secret for secret in person.world.secrets if secret.encode() in kept]


@TYPES
async def test_a_token_of_unknown_age_is_used_and_renewed_when_it_is_refused(person: Person, type_name: str) -> None:
    credential = await person.sign_in(type_name)
    await person.start(type_name, credential, expiry="")
    assert contents(await person.ask(type_name, 2)) == {"hello"}
    assert len(person.world.grants) == 1
    first = person.world.secrets[0]
    person.world.spoil(first)
    assert contents(await person.ask(type_name)) == {"hello"}
    assert person.world.bearers[2:] == [first, person.world.secrets[0]]
    assert person.world.grants[1:] == ["refresh_token"]


@TYPES
async def test_a_sign_in_that_ended_waits_for_a_person(person: Person, type_name: str) -> None:
    """Clients hear that it is the operator's to mend, who is told how; and nobody is asked again."""
    credential = await person.sign_in(type_name)
    await person.start(type_name, credential)
    person.world.revoke(person.world.secrets[0])
    (answer,) = await person.ask(type_name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_credential_invalid")
    assert await person.states() == [State.NEEDS_RENEWAL]
    asked = len(person.world.bearers)
    (again,) = await person.ask(type_name)
    assert (again.status_code, again.json()["error"]["code"]) == (503, "upstream_credential_invalid")
    assert "`penstock accounts` tells why" in again.json()["error"]["message"]
    assert len(person.world.bearers) == asked
    assert f"Sign in again: penstock login {type_name}" in person.logs()
    assert f"penstock login {type_name}" in await person.accounts()


async def test_accounts_of_a_pool_take_turns_and_each_is_renewed_alone(person: Person) -> None:
    """Of two people: one token is stale at the start, then the other's is refused, then its owner takes it back."""
    world, type_name = person.world, "qwen-code"
    world.life_s = 30
    ann = await person.sign_in(type_name)
    world.life_s = 3600
    bob = await person.sign_in(type_name)
    await person.start(type_name, ann, bob)
    assert contents([answer for _ in range(4) for answer in await person.ask(type_name)]) == {"hello"}
    anns, bobs = "access-token-3", "access-token-2"
    assert sorted(world.bearers[:2]) == sorted(world.bearers[2:]) == [bobs, anns]
    world.spoil(bobs)
    assert contents([answer for _ in range(3) for answer in await person.ask(type_name)]) == {"hello"}
    assert world.grants == ["device_code"] * 2 + ["refresh_token"] * 2
    assert (set(world.bearers[4:]), world.bearers[4:].count(bobs)) == ({bobs, anns, "access-token-4"}, 1)
    world.revoke("access-token-4")
    assert contents(await person.ask(type_name, 6)) == {"hello"}
    assert await person.states(2) == [State.READY, State.NEEDS_RENEWAL]


async def test_a_service_principal_gets_its_tokens_once_for_all_workers(person: Person) -> None:
    """The first one at the first request, and another when it is refused; they lie nowhere in clear."""
    await person.start("azure-openai", PRINCIPAL)
    assert contents(await person.ask("azure-openai", 12)) == {"hello"}
    assert person.world.grants == ["client_credentials"]
    assert set(person.world.bearers) == {"access-token-1"}
    person.world.spoil("access-token-1")
    assert contents(await person.ask("azure-openai")) == {"hello"}
    assert person.world.bearers[12:] == ["access-token-1", "access-token-2"]
    kept = await person.kept()
    assert kept
    assert not [secret for secret in person.world.secrets if secret.encode() in kept]


async def test_a_service_principal_whose_secret_has_expired_waits_for_a_person(person: Person) -> None:
    person.world.principal_secret = "another"
    await person.start("azure-openai", PRINCIPAL)
    (answer,) = await person.ask("azure-openai")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_credential_invalid")
    assert await person.states() == [State.NEEDS_RENEWAL]
    assert not person.world.bearers
    assert "AADSTS7000215" in person.logs()
    assert "an app registration in Entra ID" in await person.accounts()


async def test_a_workload_identity_proves_itself_by_its_file(person: Person) -> None:
    file = person.folder / "assertion"
    file.write_text(person.world.principal_secret)
    app = {name: value for name, value in PRINCIPAL.items() if name != "client_secret"}
    await person.start("azure-openai", {**app, "federated_token_file": str(file)})
    assert contents(await person.ask("azure-openai", 4)) == {"hello"}
    assert person.world.grants == ["client_credentials"]
    assert person.world.principal_secret.encode() not in await person.kept()
