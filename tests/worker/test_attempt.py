"""An attempt's end: the upstream is closed, and then its account is given back, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.bus import Bus
from worker.accounts.leases import Accounts, Ask, Candidate, Delay, Lease
from worker.accounts.pools import build_pools
from worker.accounts.scripts import load_scripts
from worker.answer import UpstreamAnswer
from worker.attempt import Attempt
from worker.config.provider import CredentialConfig, Limits, ProviderConfig
from worker.config.route import Strategy
from worker.deadline import BETWEEN_CHUNKS, TOTAL
from worker.faults import Fault, UpstreamError
from worker.metrics import WorkerMetrics
from worker.routing.route import Destination

RESERVED = 900
PROVIDER = ProviderConfig(
    name="p",
    type="openai",
    credentials=(
        CredentialConfig(name="a", values={"api_key": SecretStr("k")}, limits=Limits(concurrency=1, tpm=1000)),
    ),
)


class Slow(UpstreamAnswer):
    """Its upstream runs until `may_close`; what was used is known when it is closed."""

    def __init__(self) -> None:
        self.used: dict[str, Any] | None = None
        self.response_headers = {}
        self.speaking = True
        self.closing, self.may_close = asyncio.Event(), asyncio.Event()

    async def first(self) -> bytes | None:
        return b"first"

    async def aclose(self) -> None:
        self.closing.set()
        await self.may_close.wait()
        self.used = {"total_tokens": 100}

    @property
    def usage(self) -> dict[str, Any] | None:
        return self.used


class Scene:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.accounts = Accounts(bus, load_scripts(), "w")
        self.accounts.use(build_pools([PROVIDER], Strategy.WEIGHTED, 1, b"secret"))
        self.answer = Slow()

    async def lease(self, tokens: int) -> Lease | Delay:
        return await self.accounts.lease(Ask((Candidate("p"),), tokens))

    async def begin(self, tokens: int = RESERVED) -> Attempt:
        """One that has brought its first content."""
        lease = await self.lease(tokens)
        assert isinstance(lease, Lease)
        metrics = WorkerMetrics(CollectorRegistry())
        attempt = Attempt(1, "r", Destination(PROVIDER, "m"), lease, self.answer, self.accounts, metrics)
        assert await attempt.first() == b"first"
        return attempt

    async def why_not(self) -> str:
        """What nobody else can lease the account for."""
        found = await self.lease(0)
        assert isinstance(found, Delay)
        return found.why

    async def require_settled(self) -> None:
        """With what was used, and once: 900 of 1,000 tokens are left, and one place."""
        assert isinstance(await self.lease(900), Lease)
        assert isinstance(await self.lease(1), Delay)


@pytest.fixture
async def scene(redis_url: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        scene = Scene(Bus(redis_url))
        await scene.bus.start()
        stack.push_async_callback(scene.bus.close)
        await scene.bus.up.wait()
        yield scene


async def test_a_place_is_free_when_the_upstream_is_closed_and_not_before(scene: Scene) -> None:
    attempt = await scene.begin()
    ending = asyncio.create_task(attempt.end(asyncio.CancelledError()))
    await scene.answer.closing.wait()
    assert await scene.why_not() == "concurrency"
    scene.answer.may_close.set()
    await ending
    await scene.require_settled()


async def test_a_cancellation_neither_hurries_the_close_nor_leaves_out_the_settling(scene: Scene) -> None:
    attempt = await scene.begin()
    ending = asyncio.create_task(attempt.end(asyncio.CancelledError()))
    await scene.answer.closing.wait()
    ending.cancel()
    assert await scene.why_not() == "concurrency"
    scene.answer.may_close.set()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await attempt.end()
    await scene.require_settled()


@pytest.mark.parametrize("name", ["request-id", "x-request-id", "cf-ray"])
async def test_a_failure_is_logged_with_the_id_that_the_upstream_gave_the_request(scene: Scene, name: str) -> None:
    """Its support asks for it; where Cloudflare refused, the site's operator finds why by its id."""
    scene.answer.may_close.set()
    attempt = await scene.begin()
    scene.answer.response_headers = {name: "9decc2d52b8f1571-FRA"}
    with capture_logs() as lines:
        await attempt.end(UpstreamError(Fault.CHALLENGED, "a browser check"))
    (failed,) = [line for line in lines if line["event"] == "attempt failed"]
    assert (failed["fault"], failed["upstream_request_id"]) == ("challenged", "9decc2d52b8f1571-FRA")


@pytest.mark.parametrize(("limit", "why_not"), [(BETWEEN_CHUNKS, "timed_out"), (TOTAL, None)])
async def test_an_answer_that_is_only_too_long_counts_against_no_account(
    scene: Scene, limit: str, why_not: str | None
) -> None:
    """Where its upstream falls silent the third in a row makes the account rest."""
    scene.answer.may_close.set()
    for _ in range(3):
        attempt = await scene.begin(tokens=1)
        await attempt.end(UpstreamError(Fault.TIMED_OUT, "too late", code=limit))
    found = await scene.lease(1)
    assert (found.why if isinstance(found, Delay) else None) == why_not
