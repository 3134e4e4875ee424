"""What a front counts. Each label has few values: a route is a listed model or a pattern, never what a client wrote."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from api.catalogue import CatalogueCache
from api.record import Outcome, RequestRecord
from api.relay import Relay
from shared.bus import Bus
from shared.catalogue import Catalogue
from shared.metrics_server import counter, gauge

OTHER: Final = "other"
REASONS: Final = frozenset(
    {
        "internal_error",
        "invalid_api_key",
        "method_not_allowed",
        "model_not_found",
        "not_ready",
        "overloaded",
        "permission_denied",
        "queue_full",
        "queue_timeout",
        "queue_unavailable",
        "rate_limit_exceeded",
        "request_timeout",
        "request_too_large",
    }
)
_REASONS_BY_STATUS: Final = {400: "invalid_request", 401: "missing_api_key"}
_FIRST_TOKEN_S: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60)
_DURATION_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_WAIT_S: Final = (0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class _Series(NamedTuple):
    """What one request adds to, its labels resolved once."""

    requests: Counter
    first_token: Histogram
    duration: Histogram
    wait: Histogram
    input_tokens: Counter
    output_tokens: Counter


class FrontMetrics:
    """`observe` each request at its end; the rest is read from plain numbers when Prometheus asks."""

    def __init__(self, registry: CollectorRegistry, catalogue: CatalogueCache) -> None:
        self._catalogue = catalogue
        self._known: Catalogue | None = None
        self._listed: frozenset[str] = frozenset()
        self._requests = Counter(
            "penstock_requests",
            "Requests that have ended.",
            ("route", "provider", "status", "outcome"),
            registry=registry,
        )
        self._first_token = Histogram(
            "penstock_time_to_first_token_seconds",
            "From a request's arrival to the first content sent to its client.",
            ("route",),
            buckets=_FIRST_TOKEN_S,
            registry=registry,
        )
        self._duration = Histogram(
            "penstock_request_duration_seconds",
            "From a request's arrival to its end.",
            ("route",),
            buckets=_DURATION_S,
            registry=registry,
        )
        self._wait = Histogram(
            "penstock_queue_wait_seconds",
            "Time that a request waited for a worker and a free credential.",
            ("route",),
            buckets=_WAIT_S,
            registry=registry,
        )
        self._tokens = Counter(
            "penstock_tokens", "Tokens of answered requests.", ("route", "provider", "type"), registry=registry
        )
        refusals = Counter(
            "penstock_refusals", "Requests refused before any upstream was asked.", ("reason",), registry=registry
        )
        self._refusals = cache(refusals.labels)
        self._series = cache(self._resolve)

    def observe(self, record: RequestRecord) -> None:
        series = self._series(self._route(record.model), record.provider, record.status, record.outcome)
        series.requests.inc()
        series.duration.observe(record.duration_s)
        if record.time_to_first_token_s is not None:
            series.first_token.observe(record.time_to_first_token_s)
        if record.queue_wait_s is not None:
            series.wait.observe(record.queue_wait_s)
        if record.input_tokens:
            series.input_tokens.inc(record.input_tokens)
        if record.output_tokens:
            series.output_tokens.inc(record.output_tokens)
        if record.outcome is Outcome.REFUSED:
            self._refusals(_reason(record)).inc()

    def _resolve(self, route: str, provider: str, status: int, outcome: Outcome) -> _Series:
        return _Series(
            self._requests.labels(route, provider, status, outcome),
            self._first_token.labels(route),
            self._duration.labels(route),
            self._wait.labels(route),
            self._tokens.labels(route, provider, "input"),
            self._tokens.labels(route, provider, "output"),
        )

    def _route(self, model: str) -> str:
        catalogue = self._catalogue.current
        if catalogue is None:
            return OTHER
        if catalogue is not self._known:
            self._known, self._listed = catalogue, frozenset(entry.id for entry in catalogue.models)
        if model in self._listed:
            return model
        return next((entry.id for entry in catalogue.patterns if fnmatchcase(model, entry.id)), OTHER)


class FrontCollector(Collector):
    """Reads the front's own numbers at each scrape; nothing is counted twice for it."""

    def __init__(self, relay: Relay, bus: Bus, catalogue: CatalogueCache, is_draining: Callable[[], bool]) -> None:
        self._relay = relay
        self._bus = bus
        self._catalogue = catalogue
        self._is_draining = is_draining

    def collect(self) -> Iterator[Metric]:
        counts = self._relay.counts
        current = self._catalogue.current
        yield gauge("requests_in_flight", "Requests that wait for their answer or get it.", len(self._relay.pending))
        yield gauge("redis_connected", "1 while this process has both its connections.", self._bus.connected)
        yield gauge("front_draining", "1 while this front takes no new requests.", self._is_draining())
        yield gauge("catalogue_loaded", "1 once this front knows models and keys.", current is not None)
        yield gauge("catalogue_models", "Models that this front offers.", len(current.models) if current else 0)
        yield counter("frames_received", "Frames of answers from workers.", counts["frames"])
        yield counter("frame_gaps", "Times that a frame was found missing.", counts["gaps"])
        yield counter("replays_requested", "Times that a worker was asked to send frames again.", counts["replays"])
        yield counter("frames_refused", "Frames of a run that is not the current one.", counts["refused"])
        yield counter("requests_requeued", "Times that a request was enqueued anew.", counts["requeued"])
        yield counter("runs_lost", "Runs that ended with the death of their worker.", counts["lost"])


def _reason(record: RequestRecord) -> str:
    if record.error_code in REASONS:
        return record.error_code
    return _REASONS_BY_STATUS.get(record.status, OTHER)
