"""Fronts' and workers' metrics with a catalogue, and without Redis: nothing here needs one."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from arq.worker import func
from prometheus_client import CollectorRegistry

from api.catalogue import CatalogueCache
from api.metrics import FrontCollector, FrontMetrics
from api.record import RequestRecord
from api.relay import Relay
from shared.bus import Bus
from shared.catalogue import Catalogue, ModelEntry
from shared.metrics_server import new_registry
from tests.servers import RedisServer
from tests.telemetry.aviary import Aviary, Canaries
from tests.telemetry.hostile import HostileUpstream
from worker.host import Host
from worker.metrics import WorkerCollector, WorkerMetrics

CATALOGUE = Catalogue(1, models=(ModelEntry("gpt-4o"), ModelEntry("kimi-k2")), patterns=(ModelEntry("claude-*"),))


@dataclass(frozen=True, slots=True)
class Front:
    registry: CollectorRegistry
    metrics: FrontMetrics
    relay: Relay
    catalogue: CatalogueCache

    def adopt(self, catalogue: Catalogue) -> None:
        """As if it had just been read from Redis."""
        self.catalogue._catalogue = catalogue
        self.catalogue._seen_at = time.monotonic()


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    bus = Bus("redis://127.0.0.1:1/0")
    registry, relay, catalogue = new_registry(), Relay(bus), CatalogueCache(bus)
    metrics = FrontMetrics(registry, catalogue)
    registry.register(FrontCollector(relay, bus, catalogue, lambda: False))
    made = Front(registry, metrics, relay, catalogue)
    made.adopt(CATALOGUE)
    yield made
    await bus.close()


@dataclass(frozen=True, slots=True)
class IdleWorker:
    registry: CollectorRegistry
    metrics: WorkerMetrics
    host: Host


async def _run_nothing(ctx: dict[Any, Any], job: Any) -> None:
    """The host of these tests takes no jobs."""


@pytest.fixture
async def idle_worker() -> IdleWorker:
    bus, registry = Bus("redis://127.0.0.1:1/0"), new_registry()
    metrics = WorkerMetrics(registry)
    host = Host(
        func(_run_nothing, name="chat"),
        url="redis://127.0.0.1:1/0",
        bus=bus,
        ctx={},
        slots=7,
        drain_s=1,
        source="queue",
    )
    registry.register(WorkerCollector(host, bus, metrics))
    return IdleWorker(registry, metrics, host)


@pytest.fixture
def record() -> RequestRecord:
    """An answered request."""
    return RequestRecord(
        "req_1",
        "127.0.0.1",
        "POST",
        "/v1/chat/completions",
        status=200,
        model="gpt-4o",
        provider="openai-eu",
        attempts=1,
        queue_wait_s=0.003,
        time_to_first_token_s=0.4,
        duration_s=2.5,
        input_tokens=11,
        output_tokens=7,
    )


@pytest.fixture
def passthrough() -> bool:
    """Whether an unknown bearer is the caller's own key."""
    return False


@pytest.fixture
async def aviary(tmp_path: Path, redis_server: RedisServer, passthrough: bool) -> AsyncIterator[Aviary]:  # noqa: FBT001  a fixture
    canaries = Canaries()
    upstream = HostileUpstream(canaries.upstream)
    await upstream.start()
    made = Aviary(tmp_path, redis_server, upstream, canaries, passthrough=passthrough)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.system.close)
    await upstream.close()
