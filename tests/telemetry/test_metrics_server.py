"""Where metrics can be had, and what happens when they cannot."""

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import IO, Self

import pytest

from shared.metrics_server import MetricsError, new_registry, start_metrics_server
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
_SCRIPT = """
import sys
from shared.metrics_server import gauge, new_registry, start_metrics_server
from shared.telemetry import configure_logging
configure_logging("info", service="api")
start_metrics_server(new_registry(), {environ!r}, default_port={default_port})
print("ready", flush=True)
sys.stdin.read()
"""


class Process:
    """A process that serves metrics until left."""

    def __init__(self, environ: dict[str, str], default_port: int) -> None:
        script = _SCRIPT.format(environ=environ, default_port=default_port)
        self._process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert _pipe(self._process.stdout).readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> str:
        """What it logged."""
        if self._process.returncode is not None:
            return ""
        _, logged = self._process.communicate()
        return logged


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_the_default_port_is_used_where_none_is_said() -> None:
    port = free_port()
    with Process({}, port):
        assert "process_resident_memory_bytes" in scrape(port)


def test_the_environment_chooses_the_port() -> None:
    port = free_port()
    with Process({"PENSTOCK_METRICS_PORT": str(port)}, free_port()):
        assert "process_start_time_seconds" in scrape(port)


def test_port_0_switches_metrics_off() -> None:
    port = free_port()
    with Process({"PENSTOCK_METRICS_PORT": "0"}, port), pytest.raises(OSError, match="refused"):
        scrape(port)


def test_a_default_port_that_is_taken_is_a_warning() -> None:
    port = free_port()
    with Process({}, port), Process({}, port) as second:
        assert f"cannot serve metrics on 127.0.0.1:{port}" in second.end()


def test_a_chosen_port_that_is_taken_is_an_error_that_names_the_option() -> None:
    port = free_port()
    with Process({}, port), pytest.raises(MetricsError, match=f":{port} .*PENSTOCK_METRICS_PORT chooses another"):
        start_metrics_server(new_registry(), {"PENSTOCK_METRICS_PORT": str(port)}, default_port=0)


@pytest.mark.parametrize("said", ["-1", "65536", "http", "9 464"])
def test_what_is_no_port_is_an_error(said: str) -> None:
    with pytest.raises(MetricsError, match="is no port"):
        start_metrics_server(new_registry(), {"PENSTOCK_METRICS_PORT": said}, default_port=0)
