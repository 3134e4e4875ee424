"""What the metrics of fronts and workers share, and the server that shows them to Prometheus: on a port of its own."""

import sys
from collections.abc import Mapping
from typing import Final

import prometheus_client
import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

FRONT_PORT: Final = 9464
WORKER_PORT: Final = 9465
_MOST_PORT: Final = 65535
# Rendering thousands of series takes long enough to be felt: the event loop gets the interpreter back ten times sooner
# than by default, so that no chunk waits for a scrape.
_SWITCH_INTERVAL_S: Final = 0.0005
_ADVICE: Final = "PENSTOCK_METRICS_PORT chooses another, and 0 switches metrics off"
_log = structlog.get_logger()


def new_registry() -> CollectorRegistry:
    """With the process' own CPU, memory, open files and start time in it."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it without types
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    """`penstock_<name>`, for a collector."""
    return GaugeMetricFamily(f"penstock_{name}", documentation, value=value)


def counter(name: str, documentation: str, value: float) -> CounterMetricFamily:
    """`penstock_<name>_total`, for a collector."""
    return CounterMetricFamily(f"penstock_{name}", documentation, value=value)


class MetricsError(Exception):
    """Metrics cannot be served where the operator wants them; the message names the option."""


def start_metrics_server(registry: CollectorRegistry, environ: Mapping[str, str], *, default_port: int) -> None:
    """Listens on a thread of its own until the process ends.

    PENSTOCK_METRICS_HOST (127.0.0.1) and PENSTOCK_METRICS_PORT say where; port 0 switches metrics off. A process whose
    `default_port` is taken goes on without. Raises MetricsError for a port that was asked for and cannot be had.
    """
    host = environ.get("PENSTOCK_METRICS_HOST") or "127.0.0.1"
    said = environ.get("PENSTOCK_METRICS_PORT", "").strip()
    port = _parse_port(said) if said else default_port
    if port == 0:
        return
    try:
        prometheus_client.start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        trouble = f"cannot serve metrics on {host}:{port} ({error.strerror}): {_ADVICE}"
        if said:
            raise MetricsError(trouble) from error
        _log.warning("no metrics", reason=trouble)
    else:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)


def _parse_port(said: str) -> int:
    if not said.isdecimal() or int(said) > _MOST_PORT:
        raise MetricsError(f"PENSTOCK_METRICS_PORT is {said!r}, which is no port: {_ADVICE}")
    return int(said)
