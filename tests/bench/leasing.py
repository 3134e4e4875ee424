"""CPU of choosing, leasing and settling one request. Run: python -m tests.bench.leasing."""

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path

import uvloop
from pydantic import SecretStr

from shared.bus import Bus
from tests.servers import RedisServer
from worker.accounts.leases import Accounts, Ask, Candidate, Lease
from worker.accounts.pools import build_pools
from worker.accounts.scripts import load_scripts
from worker.config.provider import CredentialConfig, Limits, ProviderConfig
from worker.config.route import Strategy

LIMITS = {
    "no limits": Limits(),
    "rpm": Limits(rpm=2_000_000),
    "rpm, tpm, concurrency": Limits(rpm=2_000_000, tpm=1_000_000_000, concurrency=1000),
}


_HELD = 320
"""So many requests are leased and then settled."""

Costs = tuple[float, ...]
"""CPU in us per request: choosing and leasing, the worker's and Redis'; then settling, likewise."""


class Clock:
    """Adds up what this process and Redis use within it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.own_s = self.redis_s = 0.0

    async def __aenter__(self) -> None:
        self.redis_s -= await redis_cpu_s(self._bus)
        self.own_s -= time.process_time()

    async def __aexit__(self, *_: object) -> None:
        self.own_s += time.process_time()
        self.redis_s += await redis_cpu_s(self._bus)


async def redis_cpu_s(bus: Bus) -> float:
    lines = (await bus.command("INFO", "cpu")).decode().splitlines()
    found = dict(line.split(":") for line in lines if ":" in line)
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def pool_of(credentials: int, limits: Limits) -> ProviderConfig:
    values = {"api_key": SecretStr("k")}
    accounts = tuple(CredentialConfig(name=f"c{i}", limits=limits, values=values) for i in range(credentials))
    return ProviderConfig(name="p", type="openai", credentials=accounts)


async def measure(url: str, credentials: int, limits: Limits, requests: int, at_once: int) -> Costs:
    bus = Bus(url)
    accounts = Accounts(bus, load_scripts(), "w")
    accounts.use(build_pools([pool_of(credentials, limits)], Strategy.WEIGHTED, time.time_ns(), b"k"))
    await bus.start()
    await bus.up.wait()
    ask = Ask((Candidate("p"),), tokens=100, rid="f.1", place="1", deadline_ms=10**13)

    async def lease(count: int) -> list[Lease]:
        return [await _leased(accounts, ask) for _ in range(count)]

    async def settle(leases: list[list[Lease]]) -> None:
        for one in itertools.chain(*leases):
            accounts.settle(one, tokens=80, well=True)
        await bus.command("PING")  # behind them all

    clocks = (Clock(bus), Clock(bus))
    for _ in range(requests // _HELD):
        async with clocks[0]:
            leases = await asyncio.gather(*(lease(_HELD // at_once) for _ in range(at_once)))
        async with clocks[1]:
            await settle(leases)
    await bus.command("FLUSHALL")
    await bus.close()
    return tuple(part * 1e6 / requests for clock in clocks for part in (clock.own_s, clock.redis_s))


async def _leased(accounts: Accounts, ask: Ask) -> Lease:
    lease = await accounts.lease(ask)
    assert isinstance(lease, Lease), lease
    return lease


def _print(credentials: object, limits: object, at_once: object, *figures: str) -> None:
    line = f"{credentials:>11}  {limits:22}  {at_once:>7}" + "".join(f"  {figure:>8}" for figure in figures)
    print(line)  # noqa: T201  its output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))
        try:
            _print("", "", "", "choosing and leasing, us", "", "", "settling, us")
            _print("credentials", "limits", "at once", "worker", "Redis", "both", "both")
            for credentials in (1, 100):
                for name, limits in LIMITS.items():
                    for at_once in (1, 32):
                        costs = uvloop.run(measure(redis.url, credentials, limits, options.requests, at_once))
                        leased, settled = sum(costs[:2]), sum(costs[2:])
                        _print(credentials, name, at_once, *(f"{cost:.1f}" for cost in (*costs[:2], leased, settled)))
        finally:
            redis.close()


if __name__ == "__main__":
    main()
