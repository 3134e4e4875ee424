"""Every front and every worker restarted one by one behind nginx, under load: no client notices."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.client import Result
from tests.gateway import Gateway, build_gateway
from tests.servers import RedisServer
from tests.system import System

pytestmark = pytest.mark.needs("nginx")
_DRAINED_S = 60
# What is asked in turn: (tokens, ms between them, streamed).
_ASKED = ((2, 1, True), (2, 1, False), (20, 20, True), (20, 20, False), (60, 50, True))


@pytest.fixture
def gateway(tmp_path: Path, redis_server: RedisServer) -> Iterator[Gateway]:
    with build_gateway(tmp_path, redis_server) as built:
        yield built


class Load:
    """So many clients that ask one request after another, and never ask one again."""

    def __init__(self, gateway: Gateway, clients: int) -> None:
        self.answered = 0
        self.failed: list[Result] = []
        self._gateway = gateway
        self._over = asyncio.Event()
        self._asking = [asyncio.create_task(self._ask(i)) for i in range(clients)]

    async def _ask(self, first: int) -> None:
        for i in itertools.count(first):
            if self._over.is_set():
                return
            tokens, gap_ms, stream = _ASKED[i % len(_ASKED)]
            result = await self._gateway.client.ask(f"num-n{tokens}-g{gap_ms}", stream=stream)
            self.answered += 1
            if not result.exact(tokens) or result.status != 200:
                self.failed.append(result)

    async def end(self) -> None:
        self._over.set()
        await asyncio.gather(*self._asking)


async def restart_all(system: System) -> None:
    """As an init system does it: the old process ends before the new one begins, on the same port."""
    for front in tuple(system.fronts):
        assert await asyncio.to_thread(front.process.stop, _DRAINED_S) == 0
        await asyncio.to_thread(system.add_front, front.port)
        system.fronts.remove(front)
    for worker in tuple(system.workers):
        assert await asyncio.to_thread(worker.stop, _DRAINED_S) == 0
        await asyncio.to_thread(system.add_worker)
        system.workers.remove(worker)


@pytest.mark.parametrize(
    ("rounds", "clients"), [(1, 30), pytest.param(6, 100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_a_rolling_restart_of_everything_fails_no_request(gateway: Gateway, rounds: int, clients: int) -> None:
    load = Load(gateway, clients)
    for _ in range(rounds):
        before = load.answered
        await restart_all(gateway.system)
        assert load.answered > before + 100
    await load.end()
    assert load.failed == []
