"""Background tasks without which a process would only seem to work."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger()


def start_vital(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Runs it. Should it ever fail, that is logged and this process gets SIGTERM: it drains, and its supervisor starts
    another. It may be cancelled, and it may end.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_end_process_if_failed)
    return task


def _end_process_if_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("this process cannot go on, and ends", task=task.get_name(), exc_info=error)
        signal.raise_signal(signal.SIGTERM)
