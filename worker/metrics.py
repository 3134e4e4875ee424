"""What a worker counts. Every label is a name of the configuration or one of a closed set."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.bus import Bus
from shared.metrics_server import counter, gauge
from worker.accounts.states import AccountView, State
from worker.catalogue import Standing
from worker.faults import Fault
from worker.host import Host

_FIRST_CONTENT_S: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60)


class WorkerMetrics:
    """What happens to requests and configuration is told here; `provider` is its name in the configuration."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counted(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(f"penstock_{name}", documentation, labels, registry=registry)

        self.accounts: Sequence[AccountView] = ()
        """Set from time to time; shown as the states of credentials."""
        attempts = counted("upstream_attempts", "Requests sent to upstreams.", "provider")
        errors = counted("upstream_errors", "Attempts that failed, by what went wrong.", "provider", "fault")
        retries = counted("retries", "Failed attempts after which another was wanted.", "provider", "fault")
        unlisted = counted("discovery_failures", "Times that an upstream did not list its models.", "provider", "fault")
        first_content = Histogram(
            "penstock_upstream_time_to_first_content_seconds",
            "From sending a request to an upstream to the first content of its answer.",
            ("provider",),
            buckets=_FIRST_CONTENT_S,
            registry=registry,
        )
        self._attempts = cache(attempts.labels)
        self._errors = cache(errors.labels)
        self._retries = cache(retries.labels)
        self._unlisted = cache(unlisted.labels)
        self._first_content = cache(first_content.labels)
        self._reload_failures = counted(
            "configuration_reload_failures", "Edits of the configuration file that could not be used."
        )
        self._generation = Gauge(
            "penstock_configuration_loaded_timestamp_seconds",
            "Modification time of the configuration in use, as unix time.",
            registry=registry,
        )
        self._standing = Gauge(
            "penstock_configuration_standing",
            "1 for how this worker's configuration stands to the one that fronts use, 0 for the others.",
            ("standing",),
            registry=registry,
        )

    def attempted(self, provider: str) -> None:
        self._attempts(provider).inc()

    def failed(self, provider: str, fault: Fault) -> None:
        self._errors(provider, fault).inc()

    def retried(self, provider: str, fault: Fault) -> None:
        """Another attempt is wanted after `fault`; `provider` is the one that failed."""
        self._retries(provider, fault).inc()

    def first_content(self, provider: str, seconds: float) -> None:
        self._first_content(provider).observe(seconds)

    def not_listed(self, provider: str, fault: Fault) -> None:
        self._unlisted(provider, fault).inc()

    def configured(self, generation_ns: int) -> None:
        self._generation.set(generation_ns / 1e9)

    def reload_failed(self) -> None:
        self._reload_failures.inc()

    def stands(self, standing: Standing) -> None:
        for possible in Standing:
            self._standing.labels(possible).set(possible is standing)


class WorkerCollector(Collector):
    """Reads the worker's own numbers at each scrape; nothing is counted twice for it."""

    def __init__(self, host: Host, bus: Bus, metrics: WorkerMetrics) -> None:
        self._host = host
        self._bus = bus
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        host, publisher = self._host, self._host.publisher
        yield gauge("jobs_running", "Jobs that this worker runs.", len(host.jobs))
        yield gauge("job_slots", "Jobs that this worker can run at once.", host.max_jobs)
        yield gauge("worker_draining", "1 while this worker takes no new jobs.", not host.allow_pick_jobs)
        yield gauge("redis_connected", "1 while this process has both its connections.", self._bus.connected)
        yield self._queue_depth()
        yield self._finished()
        yield counter("frames_sent", "Frames of answers sent to fronts.", publisher.frames_sent)
        yield counter("replays_served", "Times that frames were sent again.", publisher.replays)
        yield gauge("unacknowledged_bytes", "Frames kept until fronts have confirmed them.", publisher.size)
        yield self._buried()
        yield from self._credentials()

    def _queue_depth(self) -> Metric:
        depth = GaugeMetricFamily(
            "penstock_queue_depth",
            "Jobs that wait, as this worker last saw it: every worker shows the whole queue.",
            labels=["state"],
        )
        depth.add_metric(["queued"], self._host.lease.queued)
        depth.add_metric(["parked"], self._host.lease.parked)
        return depth

    def _finished(self) -> Metric:
        finished = CounterMetricFamily("penstock_jobs_finished", "Jobs that this worker has ended.", labels=["result"])
        finished.add_metric(["complete"], self._host.jobs_complete)
        finished.add_metric(["failed"], self._host.jobs_failed)
        return finished

    def _buried(self) -> Metric:
        buried = CounterMetricFamily(
            "penstock_processes_buried", "Processes that this worker found dead.", labels=["kind"]
        )
        for kind in ("worker", "front"):
            buried.add_metric([kind], self._host.reaper.buried[kind])
        return buried

    def _credentials(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "penstock_credential_state",
            "1 for the state that a credential is in, 0 for the others.",
            labels=["provider", "credential", "state"],
        )
        busy = GaugeMetricFamily(
            "penstock_credential_requests_in_flight",
            "Requests that hold a credential, over all workers.",
            labels=["provider", "credential"],
        )
        for view in self._metrics.accounts:
            busy.add_metric([view.pool, view.credential], view.busy)
            for state in State:
                states.add_metric([view.pool, view.credential, state], float(view.state is state))
        yield states
        yield busy
