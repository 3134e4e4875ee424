"""What a worker process holds, and how it lets go of it."""

import asyncio

from shared.metrics_server import new_registry
from tests.recording import RecordingBus
from worker.config.loading import load
from worker.exchange import _start
from worker.metrics import WorkerMetrics
from worker.secrets import load_secrets
from worker.state import WorkerState


async def test_a_worker_that_ends_finishes_what_it_cleans_up_at_upstreams() -> None:
    """Else a conversation that was made for an answer stays there for ever."""
    state = WorkerState(RecordingBus(), load(None, {}), load_secrets({}), {}, WorkerMetrics(new_registry()))
    gate, cleaned = asyncio.Event(), asyncio.Event()

    async def clean_up() -> None:
        await gate.wait()
        cleaned.set()

    _start(clean_up())
    closing = asyncio.create_task(state.close())
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert cleaned.is_set()
