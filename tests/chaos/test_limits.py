"""Limits hold while workers are killed and Redis restarts, and nothing that held them stays behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from tests.integration.counting import Gateway, open_gateway
from tests.integration.pools import entry
from tests.servers import RedisServer

RPM = 600
BURST = RPM * 4 // 100
PER_S = (RPM - BURST) / 60
PLACES = 5
ON_THEIR_WAY = 12
"""Calls that may have been granted before a fault and have not reached the upstream."""


class Scene:
    def __init__(self, gateway: Gateway, redis: RedisServer) -> None:
        self.gateway = gateway
        self.upstream = gateway.upstream
        self.system = gateway.system
        self.redis = redis

    async def burst(self, model: str, count: int) -> list[int]:
        answers = await asyncio.gather(*(self.gateway.ask(model, text=f"{i}") for i in range(count)))
        return [answer.status_code for answer in answers]

    def early(self, began: float, free: int) -> list[int]:
        """The numbers of calls that came before their turn, if `free` could go at `began` and the others by the rate.
        Whatever delays a call on its way makes it no earlier.
        """
        times = [at for at in self.upstream.times if at >= began]
        return [number for number, at in enumerate(times) if number > free + (at - began) * PER_S]

    async def leases_end(self, within_s: float = 8) -> bool:
        """Those of the dead end by themselves, within the length of a lease."""
        client = redis_client.Redis.from_url(self.redis.url)
        deadline = time.monotonic() + within_s
        pattern = "{ps}:leases:*"
        while (found := await asyncio.to_thread(client.keys, pattern)) and time.monotonic() < deadline:  # noqa: ASYNC110  others' state
            await asyncio.sleep(0.1)
        client.close()
        return not found


def configuration(port: int) -> dict[str, Any]:
    return {
        "providers": [
            entry("rate", port, {"limits": {"rpm": RPM}}),
            entry("places", port, {"limits": {"concurrency": PLACES}}),
        ]
    }


@pytest.fixture
async def scene(tmp_path: Path, *, append_only: bool) -> AsyncIterator[Scene]:
    (tmp_path / "redis").mkdir()
    with closing(RedisServer(tmp_path / "redis", append_only=append_only)) as redis:
        async with open_gateway(tmp_path, redis, configuration, workers=2) as gateway:
            yield Scene(gateway, redis)


Fault = Callable[[Scene], None]


def kill_a_worker(scene: Scene) -> None:
    scene.system.workers[0].kill()


def restart_redis(scene: Scene) -> None:
    scene.redis.kill()
    scene.redis.start()


WHOLE = pytest.mark.slow  # each fault is in `make test` once, and with both limits in `make chaos`


@pytest.mark.parametrize("fault", [pytest.param(kill_a_worker, marks=WHOLE), restart_redis])
async def test_the_rate_holds(scene: Scene, fault: Fault) -> None:
    """Without an append-only file the restart loses all that was counted: nothing is free then but the pace."""
    scene.upstream.pause_s["rate"] = 0.3
    began = time.monotonic()
    asked = asyncio.create_task(scene.burst("rate", 120))
    await scene.upstream.is_called(60)
    failed = time.monotonic()
    await asyncio.to_thread(fault, scene)
    assert set(await asked) == {200}
    assert scene.early(began, BURST) == []
    assert scene.early(failed, ON_THEIR_WAY) == []


@pytest.mark.parametrize("fault", [kill_a_worker, pytest.param(restart_redis, marks=WHOLE)])
async def test_places_come_back(scene: Scene, fault: Fault) -> None:
    """A dead worker's places are free when its leases have ended; those of running requests are never given away."""
    scene.upstream.pause_s["places"] = 0.5
    asked = asyncio.create_task(scene.burst("places", 60))
    await scene.upstream.is_called(20)
    await asyncio.to_thread(fault, scene)
    assert set(await asked) == {200}
    assert scene.upstream.most_running <= PLACES
    assert await scene.burst("places", PLACES) == [200] * PLACES
    assert await scene.leases_end()
