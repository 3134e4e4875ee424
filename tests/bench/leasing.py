"""CPU of choosing, leasing and settling one request. Run: python -m tests.bench.leasing."""

import argparse
import asyncio
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


async def redis_cpu_s(bus: Bus) -> float:
    lines = (await bus.command("INFO", "cpu")).decode().splitlines()
    found = dict(line.split(":") for line in lines if ":" in line)
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def pool_of(credentials: int, limits: Limits) -> ProviderConfig:
    values = {"api_key": SecretStr("k")}
    accounts = tuple(CredentialConfig(name=f"c{i}", limits=limits, values=values) for i in range(credentials))
    return ProviderConfig(name="p", type="openai", credentials=accounts)


async def measure(url: str, credentials: int, limits: Limits, requests: int, at_once: int) -> tuple[float, float]:
    """CPU in us per request: (worker, Redis)."""
    bus = Bus(url)
    accounts = Accounts(bus, load_scripts(), "w")
    accounts.use(build_pools([pool_of(credentials, limits)], Strategy.WEIGHTED, time.time_ns(), b"k"))
    await bus.start()
    await bus.up.wait()
    ask = Ask((Candidate("p"),), tokens=100, rid="f.1", place="1", deadline_ms=10**13)

    async def run(count: int) -> None:
        for _ in range(count):
            lease = await accounts.lease(ask)
            assert isinstance(lease, Lease), lease
            accounts.settle(lease, tokens=80, well=True)

    await run(500)
    began, redis_began = time.process_time(), await redis_cpu_s(bus)
    await asyncio.gather(*(run(requests // at_once) for _ in range(at_once)))
    used, redis_used = time.process_time() - began, await redis_cpu_s(bus) - redis_began
    await bus.command("FLUSHALL")
    await bus.close()
    return used / requests * 1e6, redis_used / requests * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))
        try:
            print("credentials  limits                  at once  worker us  Redis us")  # noqa: T201  its output
            for credentials in (1, 100):
                for name, limits in LIMITS.items():
                    for at_once in (1, 32):
                        worker, server = uvloop.run(measure(redis.url, credentials, limits, options.requests, at_once))
                        print(f"{credentials:11}  {name:22}  {at_once:7}  {worker:9.1f}  {server:8.1f}")  # noqa: T201  its output
        finally:
            redis.close()


if __name__ == "__main__":
    main()
