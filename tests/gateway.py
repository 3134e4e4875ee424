"""A gateway as in production: nginx before two fronts and two workers, and an upstream that numbers what it says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.client import Client
from tests.chaos.conftest import numbering, start_upstream
from tests.servers import ROOT, AnswersOk, Process, RedisServer, free_port, wait_until
from tests.system import System


class Gateway:
    def __init__(self, folder: Path, system: System, upstream_port: int) -> None:
        self.folder, self.system, self._upstream_port = folder, system, upstream_port
        self.port = free_port()
        self.nginx = Process(["nginx", "-c", self._configure(), "-g", "daemon off;"], folder, "nginx")
        wait_until("nginx", AnswersOk(f"{self.url}/livez"), self.nginx)
        self.client = Client(self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lines(self) -> list[dict[str, Any]]:
        """What nginx logged, line by line."""
        return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]

    def _configure(self) -> str:
        """The files of nginx/, with this test's ports and folders in place of a host's."""
        shipped = (ROOT / "nginx" / "nginx.conf").read_text()
        main = _replace(shipped, {"listen 8080": f"listen 127.0.0.1:{self.port}", "/var/log/nginx": str(self.folder)})
        fronts = {f"127.0.0.1:{8081 + i} ": f"127.0.0.1:{front.port} " for i, front in enumerate(self.system.fronts)}
        upstream = _replace((ROOT / "nginx" / "static" / "upstream.conf").read_text(), fronts)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        upstream += "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in kinds)
        path = self.folder / "nginx.conf"
        path.write_text(f"pid {self.folder}/nginx.pid;\n{main}")
        (self.folder / "upstream.conf").write_text(upstream)
        return str(path)

    def calls(self) -> dict[str, dict[str, int]]:
        """The upstream's own account, by nonce."""
        calls: dict[str, dict[str, int]] = httpx.get(f"http://127.0.0.1:{self._upstream_port}/stats").json()["calls"]
        return calls


def _replace(text: str, parts: dict[str, str]) -> str:
    for old, new in parts.items():
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def build_gateway(folder: Path, redis: RedisServer) -> Iterator[Gateway]:
    upstream, port = start_upstream(folder)
    system = System(folder, {"providers": [numbering(port)]}, redis)
    try:
        running = Gateway(folder, system.start(fronts=2, workers=2), port)
        yield running
        running.nginx.close()
    finally:
        for process in (*(front.process for front in system.fronts), *system.workers):
            process.kill()  # what draining does is not the matter of these tests' end
        upstream.close()
