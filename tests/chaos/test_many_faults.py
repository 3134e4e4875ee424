"""Fault after fault in one system: every answer honest, and at the end the same idle state as at the beginning."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import redis

from tests.chaos.client import Result
from tests.chaos.conftest import Arena, build_arena

LOAD = 40
FEW = 8  # two in each of four processes, for what comes and goes; twenty faults would leak more
TOKENS = 30
Fault = Callable[[Arena], Awaitable[None]]


async def kill_worker(arena: Arena) -> None:
    arena.system.workers.pop(0).kill()
    await asyncio.to_thread(arena.system.add_worker)


async def freeze_worker(arena: Arena) -> None:
    worker = arena.system.workers[0]
    worker.freeze()
    await asyncio.sleep(8)
    worker.thaw()


async def kill_front(arena: Arena) -> None:
    front = arena.system.fronts.pop(0)
    front.process.kill()
    await asyncio.to_thread(arena.system.add_front, front.port)


async def restart_redis(arena: Arena) -> None:
    await asyncio.to_thread(arena.redis.restart)


async def lose_redis(arena: Arena) -> None:
    await asyncio.to_thread(arena.redis.lose_all)


async def cut_connections(arena: Arena) -> None:
    cutter = redis.Redis.from_url(arena.redis.url)
    for kind in ("normal", "pubsub"):
        cutter.client_kill_filter(_type=kind, skipme=True)
    cutter.close()


async def kill_worker_and_redis(arena: Arena) -> None:
    arena.system.workers.pop(0).kill()
    await asyncio.to_thread(arena.redis.lose_all)
    await asyncio.to_thread(arena.system.add_worker)


FAULTS: tuple[Fault, ...] = (
    kill_worker,
    freeze_worker,
    kill_front,
    restart_redis,
    lose_redis,
    cut_connections,
    kill_worker_and_redis,
)
WORKER_FAULTS = (kill_worker, freeze_worker, kill_worker_and_redis)
OK = 200  # of a stream that had begun


def open_files(arena: Arena) -> int:
    """Sockets and files of all processes under test, without connections to the upstream that are kept for reuse."""
    pids = [front.process.pid for front in arena.system.fronts] + [worker.pid for worker in arena.system.workers]
    stats = httpx.get(f"http://127.0.0.1:{arena.upstream_port}/stats").json()
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids) - int(stats["connections"])


async def suffer(arena: Arena, fault: Fault) -> None:
    """`LOAD` requests, half of them streamed, run while it happens; none may end other than exactly or honestly."""
    before = sum(row["calls"] for row in arena.calls().values())
    model = f"num-n{TOKENS}-g100"
    asked = [asyncio.create_task(arena.client.ask(model, stream=i % 4 < 2)) for i in range(LOAD)]
    await arena.until_called(int(before) + LOAD)
    await fault(arena)
    results = await asyncio.gather(*asked)
    dishonest = [result for result in results if not _honest(result, fault)]
    assert dishonest == [], fault.__name__
    assert await arena.at_rest() == {}, fault.__name__


def _honest(result: Result, fault: Fault) -> bool:
    """Exact, unless what died had it: a front's answers end with their connections, a worker's streams are told."""
    if result.exact(TOKENS):
        return True
    if fault is kill_front:
        return result.silent and not result.wrong
    return fault in WORKER_FAULTS and result.honest_error and result.status == OK


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_every_fault_twice_in_a_row_and_twenty_in_all(tmp_path: Path) -> None:
    """No slot, lease, key or socket is left behind by any of them."""
    sequence = [fault for fault in FAULTS for _ in range(2)] + list(FAULTS)[:6]
    with build_arena(tmp_path, append_only=True) as arena:
        await arena.client.many(LOAD, "num-n3")
        idle = open_files(arena)
        for fault in sequence:
            await suffer(arena, fault)
        await arena.client.many(LOAD, "num-n3")
        assert await arena.at_rest() == {}
        assert len(sequence) == 20
        assert open_files(arena) <= idle + FEW
