"""The scenarios, and what each figure must reach: the project's own budget."""

from dataclasses import dataclass
from typing import Any

from tests.bench.load import Order
from tests.bench.subject import order


@dataclass(frozen=True, slots=True)
class Scenario:
    """`compared`: the same load goes to the upstream itself too, for what Penstock adds."""

    name: str
    title: str
    order: Order
    compared: bool = False

    @property
    def chunks_per_request(self) -> int:
        """0 where chunks are not what counts."""
        return int(self.order.model.split("-n")[1].split("-")[0]) if self.order.stream else 0


def _scenario(name: str, title: str, model: str, *, compared: bool = False, **options: Any) -> Scenario:
    return Scenario(name, title, order(model, **options), compared)


PACED = "mock-n50-g20"
SCENARIOS = (
    _scenario("plain", "1 connection, plain", "mock-n50", compared=True, requests=200, warmup=20),
    _scenario(
        "streamed", "1 connection, streams of 20", "mock-n20", compared=True, stream=True, requests=100, warmup=10
    ),
    _scenario("saturation", "64 connections, plain", "mock-n50", connections=64, requests=2000, warmup=2),
    _scenario("gapless", "32 streams of 100, no gap", "mock-n100", stream=True, connections=32, requests=300, warmup=1),
    _scenario("paced-2000", "40 streams, 20 ms gap", PACED, stream=True, connections=40, requests=120, ramp_s=0.2),
    _scenario("paced-10000", "200 streams, 20 ms gap", PACED, stream=True, connections=200, requests=600, ramp_s=0.2),
    _scenario(
        "hang-ups",
        "50 streams left after 5 tokens",
        "mock-n250-g20",
        stream=True,
        connections=50,
        requests=50,
        ramp_s=0.1,
        hang_up_after=5,
    ),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of a scenario; `must` and `aim` are upper bounds, None where there is no budget."""

    scenario: str
    figure: str
    label: str
    must: float | None = None
    aim: float | None = None


TARGETS = (
    Target("plain", "added_total_ms.p50", "added latency p50, 1 connection, ms", 2.5, 1.0),
    Target("plain", "added_total_ms.p99", "added latency p99, 1 connection, ms"),
    Target("plain", "cpu_ms_request", "CPU per request, 1 connection, ms"),
    Target("streamed", "added_first_ms.p50", "added time to first token p50, ms", 2.5, 1.0),
    Target("streamed", "cpu_ms_request", "CPU per stream of 20, 1 connection, ms"),
    Target("saturation", "cpu_ms_request", "CPU per plain request, 64 connections, ms", 0.90, 0.45),
    Target("saturation", "requests_s", "plain requests per second"),
    Target("gapless", "cpu_us_chunk", "CPU per chunk, no gap, us", 25, 12),
    Target("paced-2000", "cpu_us_chunk", "CPU per chunk, 2,000/s paced, us", 140, 100),
    Target("paced-10000", "cpu_us_chunk", "CPU per chunk, 10,000/s paced, us", 75, 55),
    Target("paced-10000", "under_way_ms.p50", "chunk under way p50, 10,000/s, ms"),
    Target("paced-10000", "under_way_ms.p99", "chunk under way p99, 10,000/s, ms", 15, 5),
    Target("hang-ups", "unseen", "hang-ups that the upstream did not see, of 50", 0, 0),
    Target("hang-ups", "seen_ms.max", "last hang-up seen after, ms", 20, 2),
    Target("memory", "sum", "peak memory, front + worker + Redis, MB", 220, 150),
    Target("memory", "front", "peak memory of the front, MB"),
    Target("memory", "worker", "peak memory of the worker, MB"),
    Target("memory", "redis", "peak memory of Redis, MB"),
    Target("idle", "most", "idle CPU of the busiest process, % of a core", 1.0),
)
GROWTH_TARGETS = (
    Target("open-streams", "us_chunk_200", "CPU per chunk, 200 streams of 1 chunk/s, us"),
    Target("open-streams", "us_chunk_2000", "CPU per chunk, 2,000 streams of 1 chunk/s, us"),
    Target("open-streams", "ratio", "the second over the first", 2.0),
    Target("open-streams", "front_kb", "memory per open stream, front, KB"),
    Target("open-streams", "worker_kb", "memory per open stream, worker, KB"),
    Target("half-rate", "rate", "half of the saturation rate, requests/s"),
    Target("half-rate", "added_total_ms.p50", "added latency p50 at that rate, ms", 5.0),
    Target("half-rate", "added_total_ms.p99", "added latency p99 at that rate, ms", 20.0),
    Target("four-by-four", "cpu_ms_1x1", "CPU per request, 1 front and 1 worker, ms"),
    Target("four-by-four", "cpu_ms_4x4", "CPU per request, 4 fronts and 4 workers, ms"),
    Target("four-by-four", "ratio", "the second over the first", 1.15),
    Target("redis", "us_request", "CPU of Redis per plain request, us"),
    Target("redis", "requests_s", "plain requests/s at which one Redis is the limit"),
    Target("redis", "us_chunk", "CPU of Redis per chunk, 10,000/s paced, us"),
    Target("redis", "chunks_s", "chunks/s at which one Redis is the limit"),
)
