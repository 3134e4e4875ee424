"""Hedging: the next contender starts after a delay or when the last has failed; the first success wins."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def race(
    contenders: Sequence[Callable[[], Coroutine[Any, Any, T]]], delay_s: float, discard: Callable[[T], Awaitable[None]]
) -> T:
    """The result of the first to succeed. All others are cancelled and have ended when this returns; `discard` gets
    what one of them had reached nevertheless.

    Raises what the last of them raised when all have failed.
    """
    tasks: list[asyncio.Task[T]] = []
    waiting = list(contenders)
    won: asyncio.Task[T] | None = None
    try:
        while won is None and (waiting or any(not task.done() for task in tasks)):
            if waiting:
                tasks.append(asyncio.create_task(waiting.pop(0)()))
            running = [task for task in tasks if not task.done()]
            await asyncio.wait(running, timeout=delay_s if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            won = next((task for task in tasks if task.done() and task.exception() is None), None)
    finally:
        await _end([task for task in tasks if task is not won], discard)
    return (won or tasks[-1]).result()


async def _end(losers: Sequence[asyncio.Task[T]], discard: Callable[[T], Awaitable[None]]) -> None:
    for task in losers:
        task.cancel()
    for result in await asyncio.gather(*losers, return_exceptions=True):
        if not isinstance(result, BaseException):
            await discard(result)
