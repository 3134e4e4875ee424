"""A whole Penstock for tests: real Redis, real workers, real fronts, one configuration file."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.servers import AnswersOk, Logged, Process, RedisServer, free_port, wait_until

CLIENT_KEY = "sk-test-4b1d7c0e9f2a4d6b8c3e5f7a9b1c2d3e"
ECHO = {"name": "echo", "type": "echo"}
SECRET = "cGVuc3RvY2stdGVzdHMtc2VjcmV0LWtleS0zMmJ5dGU="


class Front:
    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class System:
    """`config` is penstock.yaml without its keys; start what is needed, `close` ends all of it."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], redis: RedisServer, *, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.redis = redis
        self.fronts: list[Front] = []
        self.workers: list[Process] = []
        # Apart from the logs: a worker hears of every write beside the file that it watches.
        self.path = folder / "configuration" / "penstock.yaml"
        self._started = 0
        self._environ = {
            **os.environ,
            "PENSTOCK_CONFIG": str(self.path),
            "PENSTOCK_REDIS_URL": redis.url,
            "PENSTOCK_STATE_DIR": str(folder / "state"),
            "PENSTOCK_SECRET_KEY": SECRET,
            "PENSTOCK_METRICS_PORT": "0",
            **(environ or {}),
        }
        self.configure(config)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Writes penstock.yaml, by rename, as an editor does."""
        whole = {"keys": [{"name": "test", "key": CLIENT_KEY}], **config}
        self.path.parent.mkdir(exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_text(yaml.safe_dump(whole, sort_keys=False))
        draft.rename(self.path)

    def start(self, *, fronts: int = 1, workers: int = 1) -> "System":
        begun = [self.begin_worker() for _ in range(workers)]
        for worker in begun:
            wait_until(worker.name, Logged(worker, "worker ready"), worker)
        for front in [self.begin_front() for _ in range(fronts)]:
            wait_until(front.process.name, AnswersOk(f"{front.url}/readyz"), front.process)
        return self

    def begin_worker(self, environ: Mapping[str, str] | None = None) -> Process:
        worker = self._python("worker", [], environ)
        self.workers.append(worker)
        return worker

    def begin_front(
        self, port: int | None = None, environ: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> Front:
        port = port or free_port()
        front = Front(self._python("api", ["--port", str(port), *options], environ), port)
        self.fronts.append(front)
        return front

    def add_worker(self) -> Process:
        worker = self.begin_worker()
        wait_until(worker.name, Logged(worker, "worker ready"), worker)
        return worker

    def add_front(self, port: int | None = None, options: Sequence[str] = ()) -> Front:
        front = self.begin_front(port, options=options)
        wait_until(front.process.name, AnswersOk(f"{front.url}/readyz"), front.process)
        return front

    def _python(self, module: str, arguments: list[str], environ: Mapping[str, str] | None) -> Process:
        self._started += 1
        command = [sys.executable, "-P", "-m", module, *arguments]
        return Process(command, self.folder, f"{module}-{self._started}", {**self._environ, **(environ or {})})

    @property
    def url(self) -> str:
        return self.fronts[0].url

    def logs(self) -> str:
        """All that was logged; `last_logs` is for messages about failures."""
        return "\n".join(process.log() for process in self._processes())

    def last_logs(self) -> str:
        return "\n".join(f"==== {process.name}\n{process.log()[-2000:]}" for process in self._processes())

    def _processes(self) -> list[Process]:
        return [*self.workers, *(front.process for front in self.fronts)]

    def stop(self) -> None:
        """As an operator does: fronts, then workers. Raises AssertionError if one does not end well."""
        for process in [*(front.process for front in self.fronts), *self.workers]:
            assert process.stop() == 0, process.log()

    def close(self) -> None:
        """Kills them: a front that is stopped tells the load balancer so for seconds before it goes."""
        for process in self._processes():
            process.kill()
