"""Accounts over a real Redis, on each binary that this machine has, and with a clock that the test sets."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr

from shared.bus import Bus
from worker.accounts.leases import Accounts
from worker.accounts.pools import build_pools
from worker.accounts.remembered import Remembered
from worker.accounts.scripts import load_scripts
from worker.config.provider import CredentialConfig, Limits, ProviderConfig
from worker.config.route import Strategy

TEST_CLOCK = "local now = tonumber(redis.call('GET', '{ps}:clock'))\n"


def provider(name: str = "p", weights: str = "2 1", secret: str = "k", **limits: int | bool) -> ProviderConfig:
    """Credentials a, b, c, ... of these weights, each with these limits."""
    names = [*"abcdefghijklmnopqrstuvwxyz"] + [f"n{i}" for i in range(200)]
    credentials = tuple(
        CredentialConfig(
            name=names[i], weight=int(weight), limits=Limits(**limits), values={"api_key": SecretStr(secret)}
        )
        for i, weight in enumerate(weights.split())
    )
    return ProviderConfig.model_construct(name=name, type="openai", credentials=credentials, disabled=False)


class Bench:
    """Workers that share one Redis, and the clock in it."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack
        self.now_ms = 1_800_000_000_000.0
        self.bus = Bus(url)
        self._buses: dict[int, Bus] = {}

    async def start(self) -> None:
        await self._open(self.bus)
        await self.advance(0)

    async def advance(self, ms: float) -> None:
        self.now_ms += ms
        await self.bus.command("SET", "{ps}:clock", repr(self.now_ms))

    async def worker(
        self,
        *providers: ProviderConfig,
        strategy: Strategy = Strategy.WEIGHTED,
        generation: int = 1,
        clock: str = TEST_CLOCK,
        remembered: Remembered | None = None,
    ) -> Accounts:
        bus = Bus(self._url)
        recall = remembered.recall if remembered else lambda *_: ""
        accounts = Accounts(bus, load_scripts(clock), f"w{id(bus)}", recall)
        accounts.use(build_pools(providers, strategy, generation, b"secret"))
        await self._open(bus)
        self._buses[id(accounts)] = bus
        return accounts

    async def lose(self) -> None:
        """Redis forgets everything but the time."""
        await self.bus.command("FLUSHALL")
        await self.advance(0)

    async def heard(self, accounts: Accounts) -> None:
        """Until Redis has done what nobody awaited."""
        await self._buses[id(accounts)].command("PING")

    async def _open(self, bus: Bus) -> None:
        await bus.start()
        self._stack.push_async_callback(bus.close)
        await bus.up.wait()


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        bench = Bench(redis_url, stack)
        await bench.start()
        yield bench
