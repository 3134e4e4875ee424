"""Two fronts, two workers, one Redis of its own, and an upstream that numbers what it says."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.chaos.client import Client
from tests.servers import ROOT, Logged, Process, RedisServer, free_port, wait_until
from tests.system import System

FORMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
ALWAYS_STREAMS = {
    "name": "thinker",
    "type": "dashscope",
    "models": ["thinker-*"],
    "mode": "compatible",
    "overrides": {"enable_thinking": True},  # of which no whole answer can be had
}
_KEPT = {"{ps}:catalogue", "{ps}:workers", "{ps}:fronts", "{ps}:reaped", "{ps}:discovered", "{ps}:wake", "{ps}:nursery"}


class Arena:
    """Everything under test, and what a test asks of it."""

    def __init__(self, system: System, upstream_port: int) -> None:
        self.system = system
        self.redis = system.redis
        self.upstream_port = upstream_port
        self.client = Client(*(front.port for front in system.fronts))

    def calls(self) -> dict[str, dict[str, float]]:
        """The upstream's own account, by nonce."""
        calls: dict[str, dict[str, float]] = httpx.get(f"http://127.0.0.1:{self.upstream_port}/stats").json()["calls"]
        return calls

    def leftovers(self) -> dict[str, Any]:
        """What a system at rest must not have: jobs in Redis, or calls that still run upstream."""
        client = redis.Redis.from_url(self.redis.url)
        found: Any = client.keys("{ps}:*")
        left: dict[str, Any] = {
            key: "in Redis"
            for key in {key.decode() for key in found} - _KEPT
            if not key.startswith(("{ps}:discovery:", "{ps}:pool", "{ps}:account", "{ps}:route"))
            and not (key == "{ps}:bytes" and client.get(key) == b"0")
        }
        client.close()
        running = [nonce for nonce, row in self.calls().items() if row["calls"] > row["ended"] + row["hung_up"]]
        if running:
            left["running upstream"] = running
        return left

    def busy_worker(self) -> Process:
        """The worker that runs most jobs by Redis' account."""
        running = self.running()
        busiest = max(running, key=running.__getitem__)
        return next(worker for worker in self.system.workers if busiest in worker.log())

    def most_running(self) -> int:
        """How many jobs that one runs."""
        return max(self.running().values())

    def running(self) -> dict[str, int]:
        """How many jobs each worker runs by Redis' account, by its name there, which its log has."""
        client = redis.Redis.from_url(self.redis.url)
        names: Any = client.zrange("{ps}:workers", 0, -1)
        running: Any = {name.decode(): client.hlen(f"{{ps}}:inf:{name.decode()}") for name in names}
        client.close()
        return dict(running)

    def calm(self) -> bool:
        """Whether the system has run long enough for the reaper to bury anybody."""
        client = redis.Redis.from_url(self.redis.url)
        noted: Any = client.get("{ps}:reaped")
        now: Any = client.time()
        client.close()
        return bool(noted) and int(noted.split()[2]) < now[0] * 1000

    def account_state(self, name: str) -> str:
        """Of the account <provider>/<credential>; one that was never blamed has none in Redis, and is ready."""
        client = redis.Redis.from_url(self.redis.url)
        state: Any = client.hget(f"{{ps}}:account:{name}", "state")
        client.close()
        return state.decode() if state else "ready"

    def queued(self) -> int:
        """Jobs that wait in Redis."""
        client = redis.Redis.from_url(self.redis.url)
        waiting: Any = client.zcard("{ps}:queue")
        client.close()
        return int(waiting)

    async def at_rest(self, within_s: float = 8) -> dict[str, Any]:
        """Waits for an empty `leftovers`; returns what is left at the end."""
        deadline = time.monotonic() + within_s
        while (left := await asyncio.to_thread(self.leftovers)) and time.monotonic() < deadline:  # noqa: ASYNC110  others' state
            await asyncio.sleep(0.1)
        return left

    async def until(self, what: str, probe: Callable[[], bool | Awaitable[bool]], within_s: float = 20) -> None:
        """Waits for an observable state; raises AssertionError, with all logs, if it does not come."""
        deadline = time.monotonic() + within_s
        while not (await asyncio.to_thread(probe)):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within_s} s: {what}\n{self.system.last_logs()}")
            await asyncio.sleep(0.05)

    async def until_called(self, count: int) -> None:
        """Until the upstream has got so many requests in all."""
        await self.until(f"{count} upstream calls", lambda: sum(row["calls"] for row in self.calls().values()) >= count)

    async def until_tokens(self, tokens: int, streams: int) -> None:
        """Until the upstream has so many calls, and has said so many tokens in each."""
        await self.until_called(streams)
        await self.until(f"{tokens} tokens", lambda: all(row["tokens"] >= tokens for row in self.calls().values()))


def start_upstream(folder: Path) -> tuple[Process, int]:
    port = free_port()
    upstream = Process([sys.executable, "-m", "tests.chaos.upstream", str(port)], ROOT, "upstream", log_folder=folder)
    wait_until("upstream", Logged(upstream, "upstream ready"), upstream)
    return upstream, port


def numbering(port: int, **settings: Any) -> dict[str, Any]:
    """The provider entry of penstock.yaml for the numbering upstream."""
    return {
        "name": "num",
        "type": "openai-compatible",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "models": ["*"],
        "credentials": [{"name": "one", "api_key": "sk-upstream-0123456789"}],
        **settings,
    }


@contextmanager
def build_arena(
    folder: Path,
    *,
    append_only: bool = False,
    config: Mapping[str, Any] | None = None,
    provider: Mapping[str, Any] | None = None,
    more: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Arena]:
    """`config` and `provider` add to penstock.yaml and to its one provider; each of `more` is another provider."""
    (folder / "redis").mkdir()
    server = RedisServer(folder / "redis", append_only=append_only)
    upstream, port = start_upstream(folder)
    providers = [numbering(port, **settings) for settings in (provider or {}, *more)]
    system = System(folder, {"providers": providers, **(config or {})}, server)
    try:
        yield Arena(system.start(fronts=2, workers=2), port)
    finally:
        system.close()
        upstream.close()
        server.close()


@pytest.fixture(params=[pytest.param(False, id="memory"), pytest.param(True, id="append-only", marks=pytest.mark.slow)])
def append_only(request: pytest.FixtureRequest) -> bool:
    """Every fault with Redis' append-only file off and on; tests that kill no Redis override it."""
    kept: bool = request.param
    return kept


@pytest.fixture
def arena_config() -> dict[str, Any]:
    """Overridden by tests that need other limits."""
    return {}


@pytest.fixture
def arena(tmp_path: Path, append_only: bool, arena_config: dict[str, Any]) -> Iterator[Arena]:  # noqa: FBT001  a fixture
    with build_arena(tmp_path, append_only=append_only, config=arena_config) as built:
        yield built


@pytest.fixture(scope="module")
def lasting_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """One for all tests of a file that kill nothing. Upstream limits are short, so that stalls end soon."""
    timeouts = {"connect_s": 5, "first_token_s": 4, "between_chunks_s": 4, "total_s": 30}
    limited = {"timeouts": timeouts}
    with build_arena(tmp_path_factory.mktemp("arena"), provider=limited, more=[{**ALWAYS_STREAMS, **limited}]) as built:
        yield built
