"""What a whole system shows of a few requests: its metrics and its log lines."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import ROOT, AnswersOk, Logged, Process, RedisServer, free_port, wait_until
from tests.system import CLIENT_KEY, ECHO, System
from tests.telemetry.scraping import complaints, samples


class Observed:
    """A front and a worker with metrics, at debug level, before an upstream that can misbehave."""

    def __init__(self, folder: Path, redis: RedisServer, upstream_port: int) -> None:
        provider = {
            "name": "num",
            "type": "openai-compatible",
            "base_url": f"http://127.0.0.1:{upstream_port}/v1",
            "models": ["num-n3", "num-n9-end4", "num-okerror"],
            "credentials": [{"name": "main", "api_key": "sk-upstream-0123456789"}],
        }
        self.system = System(folder, {"providers": [ECHO, provider]}, redis, environ={"PENSTOCK_LOG_LEVEL": "debug"})
        self._front_port, self._worker_port = free_port(), free_port()

    def start(self) -> None:
        worker = self.system.begin_worker({"PENSTOCK_METRICS_PORT": str(self._worker_port)})
        wait_until("worker", Logged(worker, "worker ready"), worker)
        front = self.system.begin_front(environ={"PENSTOCK_METRICS_PORT": str(self._front_port)})
        wait_until("front", AnswersOk(f"{front.url}/readyz"), front.process)

    def ask(self, model: str, *, stream: bool = False, key: str = CLIENT_KEY) -> httpx.Response:
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three"}]}
        headers = {"authorization": f"Bearer {key}", "x-request-id": f"asked-{model}"}
        return httpx.post(f"{self.system.url}/v1/chat/completions", json=body, headers=headers, timeout=30)

    def front_metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self._front_port}/metrics").text

    def worker_metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self._worker_port}/metrics").text

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of all processes with this event."""
        found = [json.loads(line) for line in self.system.logs().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]


@pytest.fixture
def observed(tmp_path: Path, redis_server: RedisServer) -> Iterator[Observed]:
    port = free_port()
    upstream = Process([sys.executable, "-m", "tests.chaos.upstream", str(port)], ROOT, "upstream", log_folder=tmp_path)
    wait_until("upstream", Logged(upstream, "upstream ready"), upstream)
    made = Observed(tmp_path, redis_server, port)
    made.start()
    yield made
    made.system.close()
    upstream.close()


@pytest.mark.needs("promtool")
def test_metrics_of_both_kinds_of_process(observed: Observed) -> None:
    observed.ask("num-n3", stream=True)
    observed.ask("num-n9-end4", stream=True)
    observed.ask("num-okerror")
    observed.ask("echo", key="sk-wrong")
    text = observed.front_metrics()
    assert complaints(text) == ""
    front = samples(text)

    def requests(outcome: str, provider: str, route: str, status: str) -> float:
        labels = (("outcome", outcome), ("provider", provider), ("route", route), ("status", status))
        return front["penstock_requests_total", labels]

    assert requests("completed", "num", "num-n3", "200") == 1
    assert requests("broken", "num", "num-n9-end4", "200") == 1
    assert requests("failed", "", "num-okerror", "502") == 1
    assert requests("refused", "", "other", "401") == 1
    assert front["penstock_refusals_total", (("reason", "invalid_api_key"),)] == 1
    assert front["penstock_time_to_first_token_seconds_count", (("route", "num-n3"),)] == 1
    assert front["penstock_tokens_total", (("provider", "num"), ("route", "num-n3"), ("type", "output"))] == 3
    assert front["penstock_requests_in_flight", ()] == 0

    text = observed.worker_metrics()
    assert complaints(text) == ""
    worker = samples(text)
    assert worker["penstock_upstream_attempts_total", (("provider", "num"),)] == 3
    assert worker["penstock_upstream_errors_total", (("fault", "upstream_fault"), ("provider", "num"))] == 2
    assert worker["penstock_jobs_running", ()] == 0
    assert worker["penstock_redis_connected", ()] == 1
    assert worker["penstock_configuration_standing", (("standing", "current"),)] == 1
    assert front["penstock_frames_received_total", ()] == worker["penstock_frames_sent_total", ()]


def test_a_front_tells_of_its_life(observed: Observed) -> None:
    observed.system.stop()
    (starts,) = observed.lines("front starts")
    assert starts["server.port"] == observed.system.fronts[0].port
    assert [line["running"] for line in observed.lines("draining")] == [0, 0], "of the front and of the worker"


def test_a_front_whose_port_is_taken_names_the_option(observed: Observed) -> None:
    second = observed.system.begin_front(port=observed.system.fronts[0].port)
    assert second.process.popen.wait(20) == 2
    assert "--host and --port choose another address" in second.process.log()


def test_each_request_is_one_line_with_what_is_known_of_it(observed: Observed) -> None:
    observed.ask("num-n3", stream=True)
    observed.ask("nothing")
    observed.system.stop()
    answered, refused = observed.lines("request")
    assert answered.pop("duration_s") >= answered.pop("time_to_first_token_s") > 0
    assert answered.pop("queue_wait_s") >= 0
    assert len(answered.pop("key_hash")) == 12
    for varying in ("timestamp", "process.pid"):
        assert answered.pop(varying)
    assert answered == {
        "level": "info",
        "event": "request",
        "service.name": "penstock-api",
        "request_id": "asked-num-n3",
        "client.address": "127.0.0.1",
        "http.request.method": "POST",
        "url.path": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gen_ai.request.model": "num-n3",
        "gen_ai.provider.name": "num",
        "streamed": True,
        "attempts": 1,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 3,
        "outcome": "completed",
    }
    assert refused["http.response.status_code"] == 404
    assert refused["outcome"] == "refused"
    assert refused["error.type"] == "model_not_found"
    assert "gen_ai.request.model" not in refused, "it was asked for, which does not make it a model"
    started = [line for line in observed.lines("request started") if line["http.request.method"] == "POST"]
    assert [line["request_id"] for line in started] == ["asked-num-n3", "asked-nothing"]
