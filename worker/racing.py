"""Hedging: the next contender starts after a delay or when the last has failed; the first success wins."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from worker.completion import complete

T = TypeVar("T")


async def race(
    contenders: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    delay_s: float,
    discard: Callable[[T], Awaitable[None]],
    *,
    may_join: Callable[[], bool],
) -> T:
    """The result of the first to succeed. All others are cancelled and have ended when this returns; `discard` gets
    what one of them had reached nevertheless. Whoever is cancelled here leaves nothing behind, the winner included.
    The first starts in any case, each of the others only if `may_join` then says so.

    Raises what the last of them raised when all have failed.
    """
    tasks: list[asyncio.Task[T]] = []
    try:
        won = await _first(contenders, delay_s, tasks, may_join)
    except BaseException:
        await complete(_end(tasks, discard))
        raise
    try:
        await complete(_end([task for task in tasks if task is not won], discard))
    except BaseException:
        await complete(_end([won], discard))
        raise
    return won.result()


async def _first(
    contenders: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    delay_s: float,
    tasks: list[asyncio.Task[T]],
    may_join: Callable[[], bool],
) -> asyncio.Task[T]:
    """The first to succeed, or the last when all have failed. Whoever was started is in `tasks`."""
    waiting = list(contenders)
    while True:
        if tasks and waiting and not may_join():
            waiting.clear()
        if waiting:
            tasks.append(asyncio.create_task(waiting.pop(0)()))
        running = [task for task in tasks if not task.done()]
        if not running:
            return tasks[-1]
        await asyncio.wait(running, timeout=delay_s if waiting else None, return_when=asyncio.FIRST_COMPLETED)
        won = next((task for task in tasks if task.done() and task.exception() is None), None)
        if won is not None:
            return won


async def _end(tasks: Sequence[asyncio.Task[T]], discard: Callable[[T], Awaitable[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, BaseException):
            await discard(result)
