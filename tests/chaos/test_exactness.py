"""Eight workers with more demand than an account may serve: its limit is used, and no window holds more."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.counting import USAGE, Gateway, open_gateway
from tests.integration.pools import entry
from tests.servers import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINUTES = 3
RPM, TPM = 600, 1400
CALLERS = 100
WINDOW_S = 60


def configuration(port: int) -> dict[str, Any]:
    return {
        "providers": [
            entry("requests", port, {"limits": {"rpm": RPM}}),
            entry("tokens", port, {"limits": {"tpm": TPM}}),
        ]
    }


@pytest.fixture
async def gateway(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path, redis_server, configuration, workers=8) as gateway:
        yield gateway


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
