"""Hours in little: steady load with hang-ups, and a worker killed again and again.

    python -m tests.bench.soak --minutes 30

Two fronts, two workers. At the end memory must be flat, Redis must hold nothing of any request, and every request must
have got its exact answer or been told that it did not. The exit status says so.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.clocks import rss_mb
from tests.chaos.client import Result
from tests.chaos.conftest import Arena, build_arena

CALLERS = 60
_TOKENS = 30
_MODEL = f"num-n{_TOKENS}-g20"
_LEAVES_EVERY = 100  # requests: 1 %
_PLAIN_EVERY = 4
_SAMPLE_S = 2.0
_WARM_UP = 0.4  # of the whole time: caches fill, pools of memory find their size
_MOST_GROWTH_MB = 4.0
_MOST_GROWTH = 0.05


@dataclass(slots=True)
class Soak:
    """What happened. `samples` is process -> [(s, MB), ...]."""

    exact: int = 0
    told: int = 0
    left: int = 0
    kills: int = 0
    untold: list[str] = field(default_factory=list)
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    leftovers: dict[str, Any] = field(default_factory=dict)

    def growth_mb(self) -> dict[str, float]:
        """By process: the slope of its memory after the warm-up, over that time."""
        return {name: _growth(samples) for name, samples in self.samples.items()}

    def problems(self) -> list[str]:
        """What must not be; empty if all was well."""
        found = [f"not told: {what}" for what in self.untold[:5]]
        found += [f"left over: {name}: {what}" for name, what in self.leftovers.items()]
        # A killed worker takes at most what all callers then had under way.
        if self.told > self.kills * CALLERS:
            found.append(f"{self.told} requests failed at {self.kills} kills")
        if not self.exact:
            found.append("nothing was answered")
        for name, growth in self.growth_mb().items():
            most = max(_MOST_GROWTH_MB, _MOST_GROWTH * self.samples[name][-1][1])
            if growth > most:
                found.append(f"memory of {name} grew by {growth:.1f} MB, more than {most:.1f}")
        return found

    def describe(self) -> str:
        memory = ", ".join(
            f"{name} {self.samples[name][-1][1]:.0f} MB ({growth:+.1f})" for name, growth in self.growth_mb().items()
        )
        counts = f"{self.exact} exact, {self.told} told of a failure, {self.left} left, {len(self.untold)} not told"
        return f"{counts}; {self.kills} workers killed; {memory}"


def _growth(samples: Sequence[tuple[float, float]]) -> float:
    steady = [sample for sample in samples if sample[0] >= samples[-1][0] * _WARM_UP]
    if len(steady) < 3:
        return 0.0
    slope = statistics.linear_regression([at for at, _ in steady], [mb for _, mb in steady]).slope
    return slope * (steady[-1][0] - steady[0][0])


async def soak(arena: Arena, duration_s: float, kill_every_s: float) -> Soak:
    """Runs load for so long, then waits for the system to come to rest."""
    result, over = Soak(), asyncio.Event()
    numbers = itertools.count(1)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(_call(arena, result, numbers, over))
        tasks.create_task(_sample(arena, result, over))
        tasks.create_task(_kill(arena, result, kill_every_s, over))
        await asyncio.sleep(duration_s)
        over.set()
    result.leftovers = await arena.at_rest(15)
    return result


async def _call(arena: Arena, result: Soak, numbers: "itertools.count[int]", over: asyncio.Event) -> None:
    while not over.is_set():
        number = next(numbers)
        leaves = number % _LEAVES_EVERY == 0
        stream = leaves or number % _PLAIN_EVERY != 0
        try:
            answer = await arena.client.ask(_MODEL, stream=stream, hang_up_after=_TOKENS // 2 if leaves else None)
        except TimeoutError:
            result.untold.append(f"request {number} hung")
            continue
        _judge(answer, result, leaves=leaves)


def _judge(answer: Result, result: Soak, *, leaves: bool) -> None:
    if leaves and not answer.wrong and answer.error is None and not answer.finished and answer.tokens:
        result.left += 1
    elif answer.exact(_TOKENS):
        result.exact += 1
    elif answer.honest_error:
        result.told += 1
    else:
        result.untold.append(f"{answer.nonce}: status {answer.status}, {answer.tokens} tokens, {answer.wrong or 'cut'}")


async def _sample(arena: Arena, result: Soak, over: asyncio.Event) -> None:
    """All processes but the worker that is killed."""
    began = time.monotonic()
    fronts = {f"front {number}": front.process for number, front in enumerate(arena.system.fronts, 1)}
    processes = {**fronts, "worker": arena.system.workers[0], "redis": arena.redis.process}
    while not await _is_set(over, _SAMPLE_S):
        for name, process in processes.items():
            result.samples.setdefault(name, []).append((time.monotonic() - began, rss_mb(process.pid)))


async def _kill(arena: Arena, result: Soak, every_s: float, over: asyncio.Event) -> None:
    """The second worker, which is then started anew."""
    while not await _is_set(over, every_s):
        victim = arena.system.workers.pop(1)
        await asyncio.to_thread(victim.kill)
        result.kills += 1
        await asyncio.to_thread(arena.system.add_worker)
        sys.stdout.write(f"{result.describe()}\n")
        sys.stdout.flush()


async def _is_set(over: asyncio.Event, within_s: float) -> bool:
    try:
        await asyncio.wait_for(over.wait(), within_s)
    except TimeoutError:
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description="Steady load with killed workers.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--kill-every-s", type=float, default=60)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="penstock-soak-") as folder,
        build_arena(Path(folder)) as arena,
    ):
        result = asyncio.run(soak(arena, options.minutes * 60, options.kill_every_s))
    problems = result.problems()
    sys.stdout.write("\n".join([result.describe(), *problems, "FAILED" if problems else "all well"]) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
