"""Measures what README promises: `python -m tests.chaos.figures` injects each fault once and prints the table.

Forty-eight requests run over two fronts and two workers, half of them streamed where the fault lets both go on.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.chaos.client import Result
from tests.chaos.conftest import Arena, build_arena
from tests.chaos.test_many_faults import cut_connections, lose_redis, restart_redis

REQUESTS = 48
Row = tuple[str, str]


async def load(arena: Arena, model: str, *, streamed_only: bool = False) -> "asyncio.Future[list[Result]]":
    await arena.until("calm", arena.calm)
    asked = [arena.client.ask(model, stream=streamed_only or i % 4 < 2) for i in range(REQUESTS)]
    future = asyncio.gather(*asked)
    await arena.until_called(REQUESTS)
    return future


def told(results: list[Result], tokens: int) -> str:
    """How many were exact, how many honest errors, and how many neither."""
    exact = sum(result.exact(tokens) for result in results)
    honest = sum(result.honest_error for result in results)
    return f"{exact} exact, {honest} errors, {len(results) - exact - honest} other"


async def worker_killed_early(arena: Arena) -> Row:
    asked = await load(arena, "num-n20-g20-t2500")
    arena.busy_worker().kill()
    killed_at = time.monotonic()
    results = await asked
    late_s = max(result.first_at or result.ended_at for result in results) - killed_at - 2.5
    return "worker killed, nothing shown yet", f"{told(results, 20)}; run again within {late_s:.1f} s"


async def worker_killed_late(arena: Arena) -> Row:
    asked = await load(arena, "num-n60-g100", streamed_only=True)
    await arena.until_tokens(5, REQUESTS)
    arena.busy_worker().kill()
    killed_at = time.monotonic()
    results = await asked
    ended = [result.ended_at for result in results if result.error]
    return "worker killed mid-stream", f"{told(results, 60)}; told within {max(ended) - killed_at:.1f} s"


async def worker_frozen(arena: Arena) -> Row:
    asked = await load(arena, "num-n120-g100", streamed_only=True)
    await arena.until_tokens(5, REQUESTS)
    worker = arena.busy_worker()
    worker.freeze()
    frozen_at = time.monotonic()
    await asyncio.sleep(9)
    worker.thaw()
    results = await asked
    ended = [result.ended_at for result in results if result.error]
    return "worker frozen, its socket alive", f"{told(results, 120)}; told within {max(ended) - frozen_at:.1f} s"


async def front_killed(arena: Arena) -> Row:
    await asyncio.sleep(6)  # as in service: the worker did not connect just now
    asked = await load(arena, "num-n150-g100")
    arena.system.fronts[0].process.kill()
    killed_at = time.monotonic()
    half = REQUESTS // 2
    await arena.until("cancelled", lambda: sum(row["hung_up"] for row in arena.calls().values()) >= half)
    cancelled_s = time.monotonic() - killed_at
    results = await asked
    exact = sum(result.exact(150) for result in results)
    return "front killed", f"{exact} exact on the other; upstream calls cancelled within {cancelled_s:.1f} s"


async def redis_frozen(arena: Arena) -> Row:
    asked = await load(arena, "num-n140-g100")
    arena.redis.process.freeze()
    await asyncio.sleep(10)
    arena.redis.process.thaw()
    return _quiet("Redis frozen for 10 s", await asked, 140, 10)


def redis_fault(name: str, fault: Callable[[Arena], Awaitable[None]]) -> Callable[[Arena], Awaitable[Row]]:
    async def inject(arena: Arena) -> Row:
        asked = await load(arena, "num-n60-g100")
        began = time.monotonic()
        await fault(arena)
        return _quiet(name, await asked, 60, time.monotonic() - began if fault is cut_connections else 0)

    return inject


def _quiet(name: str, results: list[Result], tokens: int, outage_s: float) -> Row:
    longest = max(result.longest_gap_s for result in results)
    beyond = f", {max(0.0, longest - outage_s):.1f} s beyond the outage" if outage_s >= 1 else ""
    return name, f"{told(results, tokens)}; longest silence {longest:.1f} s{beyond}"


SCENES: tuple[Callable[[Arena], Awaitable[Row]], ...] = (
    worker_killed_early,
    worker_killed_late,
    worker_frozen,
    front_killed,
    redis_fault("Redis restarted", restart_redis),
    redis_fault("Redis killed, all data lost", lose_redis),
    redis_frozen,
    redis_fault("all connections to Redis cut", cut_connections),
)


async def measure() -> None:
    print(f"{REQUESTS} requests, two fronts, two workers; {time.strftime('%F')}\n")  # noqa: T201  its purpose
    print("| Fault | What happened |\n|---|---|")  # noqa: T201
    for scene in SCENES:
        with tempfile.TemporaryDirectory() as folder, build_arena(Path(folder), append_only=True) as arena:
            fault, outcome = await scene(arena)
            print(f"| {fault} | {outcome} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(measure())
