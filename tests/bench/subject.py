"""What is measured: Redis, workers and fronts as in production, before a mock upstream."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import httpx

from tests.bench.clocks import cpu_s, peak_rss_mb, rss_mb
from tests.bench.load import Order
from tests.servers import ROOT, AnswersOk, Logged, Process, RedisServer, free_port, wait_until
from tests.system import CLIENT_KEY, System

Figures = dict[str, float]
"""By part of the system: "redis", "worker", "front"; several processes of one kind are added."""


class Subject:
    """The running system, its load, and its clocks."""

    def __init__(self, system: System, upstream: Process, upstream_port: int) -> None:
        self.system = system
        self._upstream = upstream
        self._upstream_port = upstream_port

    @property
    def _processes(self) -> list[tuple[str, Process]]:
        return [
            ("redis", self.system.redis.process),
            *(("worker", worker) for worker in self.system.workers),
            *(("front", front.process) for front in self.system.fronts),
        ]

    def _add_up(self, measure: Any) -> Figures:
        figures: Figures = {}
        for name, process in self._processes:
            figures[name] = figures.get(name, 0.0) + measure(process.pid)
        return figures

    def cpu_s(self) -> Figures:
        return self._add_up(cpu_s)

    def upstream_cpu_s(self) -> float:
        return cpu_s(self._upstream.pid)

    def rss_mb(self) -> Figures:
        return self._add_up(rss_mb)

    def peak_rss_mb(self) -> Figures:
        return self._add_up(peak_rss_mb)

    # ---- load

    def ports(self, towards: Literal["gateway", "upstream"]) -> tuple[int, ...]:
        if towards == "upstream":
            return (self._upstream_port,)
        return tuple(front.port for front in self.system.fronts)

    def begin_load(
        self, order: Order, towards: Literal["gateway", "upstream"] = "gateway"
    ) -> "subprocess.Popen[bytes]":
        """Its ports are those of all fronts, or the upstream's, to compare with."""
        aimed = replace(order, ports=self.ports(towards))
        command = [sys.executable, "-m", "tests.bench.load", json.dumps(asdict(aimed))]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    def load(self, order: Order, towards: Literal["gateway", "upstream"] = "gateway") -> dict[str, Any]:
        """A Tally's summary."""
        return read_tally(self.begin_load(order, towards))

    # ---- the upstream's own account

    def upstream_saw(self) -> dict[str, Any]:
        """{"chunks", "running", "calls": nonce -> [requests, ended us, hung up us]}."""
        saw: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self._upstream_port}/stats", timeout=20).json()
        return saw

    def upstream_forgets(self) -> None:
        httpx.post(f"http://127.0.0.1:{self._upstream_port}/reset", timeout=20)


def read_tally(load: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, _ = load.communicate()
    if load.returncode:
        raise RuntimeError(f"the load generator ended with {load.returncode}")
    tally: dict[str, Any] = json.loads(output)
    return tally


def order(model: str, **options: Any) -> Order:
    """`subject.load` fills the ports in."""
    return Order((), CLIENT_KEY, model, **options)


@contextmanager
def run_subject(folder: Path, *, fronts: int = 1, workers: int = 1) -> Iterator[Subject]:
    """Everything that the product does is on: authentication, accounts with a limit, metrics, logs."""
    folder.mkdir()
    (folder / "redis").mkdir()
    port = free_port()
    upstream = Process([sys.executable, "-m", "tests.bench.upstream", str(port)], ROOT, "upstream", log_folder=folder)
    wait_until("upstream", Logged(upstream, "upstream ready"), upstream)
    redis = RedisServer(folder / "redis")
    account = {"name": "one", "api_key": "sk-upstream-0123456789", "limits": {"concurrency": 100_000}}
    provider = {
        "name": "mock",
        "type": "openai-compatible",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "models": ["*"],
        "credentials": [account],
    }
    system = System(folder, {"providers": [provider]}, redis)
    try:
        _start(system, fronts, workers)
        yield Subject(system, upstream, port)
    finally:
        system.close()
        redis.close()
        upstream.close()


def _start(system: System, fronts: int, workers: int) -> None:
    for _ in range(workers):
        worker = system.begin_worker({"PENSTOCK_METRICS_PORT": str(free_port())})
        wait_until(worker.name, Logged(worker, "worker ready"), worker)
    for _ in range(fronts):
        front = system.begin_front(environ={"PENSTOCK_METRICS_PORT": str(free_port())})
        wait_until(front.process.name, AnswersOk(f"{front.url}/readyz"), front.process)
