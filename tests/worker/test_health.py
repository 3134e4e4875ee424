"""Health checks find dead accounts and bring back those that work again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from shared.bus import Bus
from tests.servers import free_port
from worker.accounts.leases import Accounts, Ask, Candidate, Lease
from worker.accounts.pools import build_pools
from worker.accounts.scripts import load_scripts
from worker.accounts.states import State, consequence, view_accounts
from worker.config.provider import CredentialConfig, HealthCheck, ProviderConfig
from worker.config.route import Strategy
from worker.discovery import configured_values
from worker.faults import Fault
from worker.health import Health
from worker.upstream import Upstream


class Clinic:
    """One account at an upstream whose health the test sets."""

    def __init__(self, bus: Bus, port: int) -> None:
        self.status = 200
        self.page = ""
        self.asked: list[str] = []
        self.bus = bus
        self.provider = ProviderConfig(
            name="p",
            type="openai-compatible",
            base_url=f"http://127.0.0.1:{port}/v1",
            credentials=(CredentialConfig(name="a", values={"api_key": SecretStr("k")}),),
        )
        self.upstream = Upstream()
        self.accounts = Accounts(bus, load_scripts(), "w")
        self.accounts.use(build_pools([self.provider], Strategy.WEIGHTED, 1, b"secret"))
        self.health = Health(bus, self.upstream, self.accounts, configured_values)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.page:
            return web.Response(text=self.page, content_type="text/html")
        body: dict[str, Any] = {"object": "list", "data": []}
        if request.method == "POST":
            choice = {"index": 0, "message": {"role": "assistant", "content": "p"}, "finish_reason": "length"}
            body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return web.json_response(body if self.status == 200 else {"error": {"message": "no"}}, status=self.status)

    async def lease(self) -> Lease:
        lease = await self.accounts.lease(Ask((Candidate("p"),), tokens=0))
        assert isinstance(lease, Lease)
        return lease

    async def check(self, model: str | None = None) -> State:
        await self.health.check(self.provider, self.provider.credentials[0], HealthCheck(model=model))
        return await self.state()

    async def state(self) -> State:
        (view,) = await view_accounts(self.bus, [("p", "a")])
        return view.state

    async def fail(self, fault: Fault) -> None:
        self.accounts.settle(await self.lease(), fault=fault, consequence=consequence(fault))


@pytest.fixture
async def clinic(redis_url: str) -> AsyncIterator[Clinic]:
    async with AsyncExitStack() as stack:
        bus, port = Bus(redis_url), free_port()
        clinic = Clinic(bus, port)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", clinic.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        stack.push_async_callback(clinic.upstream.aclose)
        await bus.start()
        stack.push_async_callback(bus.close)
        await bus.up.wait()
        yield clinic


async def test_a_dead_account_is_found_before_anybody_uses_it(clinic: Clinic) -> None:
    clinic.accounts.settle(await clinic.lease(), well=True)
    clinic.status = 401
    assert await clinic.check() is State.NEEDS_RENEWAL
    assert clinic.asked == ["/v1/models"]


async def test_an_account_that_works_again_is_brought_back(clinic: Clinic) -> None:
    await clinic.fail(Fault.CREDENTIAL_REJECTED)
    assert await clinic.state() is State.NEEDS_RENEWAL
    assert await clinic.check("m") is State.READY
    assert clinic.asked == ["/v1/chat/completions"]


async def test_a_model_list_proves_nothing_about_quota(clinic: Clinic) -> None:
    await clinic.fail(Fault.QUOTA_EXHAUSTED)
    assert await clinic.check() is State.EXHAUSTED


async def test_a_challenge_is_proven_wrong_by_an_answer_alone(clinic: Clinic) -> None:
    """Sites show their list to everybody; and a page with status 200 is neither."""
    await clinic.fail(Fault.CHALLENGED)
    assert await clinic.check() is State.NEEDS_RENEWAL
    assert clinic.asked == ["/v1/models"]
    assert await clinic.check("m") is State.READY


async def test_a_page_in_the_place_of_a_list_proves_nothing(clinic: Clinic) -> None:
    await clinic.fail(Fault.CREDENTIAL_REJECTED)
    clinic.page = "<!doctype html><title>Sign in</title>"
    assert await clinic.check() is State.NEEDS_RENEWAL
    clinic.page = ""
    assert await clinic.check() is State.READY


async def test_an_account_that_was_not_asked_is_not_brought_back(clinic: Clinic) -> None:
    """Not every type has a list to ask for."""
    await clinic.fail(Fault.CREDENTIAL_REJECTED)
    account = CredentialConfig(name="a", values={"access_token": SecretStr("t")})
    clinic.provider = clinic.provider.model_copy(update={"type": "qwen-code", "credentials": (account,)})
    assert await clinic.check() is State.NEEDS_RENEWAL
    assert clinic.asked == []
