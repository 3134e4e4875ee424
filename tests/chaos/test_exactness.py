"""Eight workers with more demand than an account may serve: its limit is used, and no window holds more."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.counting import USAGE, Counting, Gateway
from tests.servers import RedisServer
from tests.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINUTES = 3
RPM, TPM = 600, 1400
CALLERS = 100
WINDOW_S = 60


@pytest.fixture
async def gateway(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Gateway]:
    upstream = Counting()
    await upstream.start()

    def provider(name: str, limits: dict[str, int]) -> dict[str, Any]:
        account = {"name": "a", "api_key": f"{name}-a", "limits": limits}
        url = f"http://127.0.0.1:{upstream.port}/v1"
        return {"name": name, "type": "openai-compatible", "base_url": url, "models": [name], "credentials": [account]}

    config = {"providers": [provider("requests", {"rpm": RPM}), provider("tokens", {"tpm": TPM})]}
    system = System(tmp_path, config, redis_server)
    try:
        await asyncio.to_thread(system.start, workers=8)
        gateway = Gateway(system, upstream)
        yield gateway
        await gateway.close()
    finally:
        await asyncio.to_thread(system.close)
        await upstream.close()


async def test_eight_workers_together_use_a_limit_and_never_more(gateway: Gateway) -> None:
    """Of requests, and of tokens as they were used: those that were reserved and not needed serve others."""
    ends = asyncio.get_running_loop().time() + MINUTES * WINDOW_S
    statuses: set[int] = set()

    async def demand(model: str) -> None:
        while asyncio.get_running_loop().time() < ends:
            statuses.add((await gateway.ask(model, max_tokens=10)).status_code)

    await asyncio.gather(*(demand(model) for model in ("requests", "tokens") for _ in range(CALLERS)))
    assert statuses == {200}
    calls = list(zip(gateway.upstream.times, gateway.upstream.models(), strict=True))
    for model, limit in (("requests", RPM), ("tokens", TPM // USAGE["total_tokens"])):
        times = [at for at, asked in calls if asked == model]
        assert max(bisect_left(times, at + WINDOW_S) - n for n, at in enumerate(times)) <= limit
        assert bisect_left(times, ends) >= 0.95 * limit * (ends - times[0]) / WINDOW_S
