"""Secrets and prompts planted wherever they can come from, and everything that a system leaves behind."""

import asyncio
import secrets
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis

from tests.servers import AnswersOk, Logged, RedisServer, free_port, wait_until
from tests.system import System
from tests.telemetry.hostile import ANSWERS, HostileUpstream


def _canary(kind: str) -> str:
    return f"canary{kind}{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Canaries:
    """One for each way in, none of them shaped like a key. The first three must not be seen by clients either."""

    provider_key: str = field(default_factory=lambda: _canary("provider"))
    upstream: str = field(default_factory=lambda: _canary("upstream"))
    header: str = field(default_factory=lambda: _canary("header"))
    client_key: str = field(default_factory=lambda: f"sk-{_canary('client')}{secrets.token_hex(8)}")
    wrong_key: str = field(default_factory=lambda: f"sk-{_canary('wrong')}{secrets.token_hex(8)}")
    callers_own: str = field(default_factory=lambda: _canary("own"))
    admin_key: str = field(default_factory=lambda: _canary("admin"))
    brought_key: str = field(default_factory=lambda: f"sk-{_canary('brought')}")
    brought_secret: str = field(default_factory=lambda: _canary("secret"))
    prompt: str = field(default_factory=lambda: _canary("prompt"))

    def found_in(self, text: str, *but: str) -> list[str]:
        return [name for name in self.__slots__ if name not in but and getattr(self, name) in text]


class Monitor:
    """Everything that Redis is told, from now until `stop`."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(5) == b"+OK\r\n"
        self._parts: list[bytes] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while part := self._socket.recv(65536):
            self._parts.append(part)

    def stop(self) -> str:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        return b"".join(self._parts).decode()


class Aviary:
    """A system at debug level, an upstream that quotes what it is sent, and everything that they leave behind."""

    def __init__(
        self, folder: Path, server: RedisServer, upstream: HostileUpstream, canaries: Canaries, *, passthrough: bool
    ) -> None:
        self.canaries = canaries
        self.upstream = upstream
        self.redis = server
        self.metrics_ports = (free_port(), free_port())
        provider = {
            "name": "hostile",
            "type": "openai-compatible",
            "base_url": f"http://127.0.0.1:{upstream.port}/v1",
            "models": list(ANSWERS),
            "credentials": [{"name": "main", "api_key": canaries.provider_key}],
        }
        open_one = {**provider, "name": "open", "models": list(ANSWERS) if passthrough else ["own"]}
        config = {
            "keys": [{"name": "test", "key": canaries.client_key}],
            "providers": [provider, open_one],
            **({"passthrough": {"provider": "open"}} if passthrough else {}),
        }
        environ = {"PENSTOCK_LOG_LEVEL": "debug", "PENSTOCK_MASTER_KEY": canaries.admin_key}
        self.system = System(folder, config, server, environ=environ)

    def start(self) -> None:
        worker = self.system.begin_worker({"PENSTOCK_METRICS_PORT": str(self.metrics_ports[0])})
        wait_until("worker", Logged(worker, "worker ready"), worker)
        front = self.system.begin_front(environ={"PENSTOCK_METRICS_PORT": str(self.metrics_ports[1])})
        wait_until("front", AnswersOk(f"{front.url}/readyz"), front.process)

    def metrics(self) -> str:
        return "".join(httpx.get(f"http://127.0.0.1:{port}/metrics").text for port in self.metrics_ports)

    def everything_in_redis(self) -> str:
        client = redis.Redis.from_url(self.redis.url)
        keys: Any = client.keys("*")
        values = [repr(key) + repr(_read_key(client, key.decode())) for key in keys]
        client.close()
        return "\n".join(values)

    async def post(
        self, body: Any, *, key: str | None = None, path: str = "/v1/chat/completions", raw: bytes | None = None
    ) -> httpx.Response:
        headers = {
            "authorization": f"Bearer {key or self.canaries.client_key}",
            "user-agent": self.canaries.header,
            "x-api-key": self.canaries.header,
            "cookie": f"session={self.canaries.header}",
            "openai-organization": self.canaries.header,
        }
        url = f"{self.system.url}{path}?key={self.canaries.header}"
        async with httpx.AsyncClient(timeout=30) as client:
            if raw is not None:
                return await client.post(url, content=raw, headers={**headers, "content-type": "application/json"})
            return await client.post(url, json=body, headers=headers)

    async def administer(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {key or self.canaries.admin_key}"}
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.request(method, f"{self.system.url}/admin/{path}", json=body, headers=headers)

    def chat(self, model: str, *, stream: bool) -> dict[str, Any]:
        """A request with a prompt in every place that takes text."""
        prompt = self.canaries.prompt
        tool = {"type": "function", "function": {"name": prompt, "description": prompt, "parameters": {}}}
        return {
            "model": model,
            "stream": stream,
            "messages": [
                {"role": "system", "content": prompt},
                {"role": "user", "content": [{"type": "text", "text": prompt}], "name": prompt},
            ],
            "tools": [tool],
            "stop": [prompt],
            "user": prompt,
            "metadata": {"note": prompt},
        }


def _read_key(client: redis.Redis, key: str) -> Any:
    kind: Any = client.type(key)
    match kind:
        case b"string":
            return client.get(key)
        case b"hash":
            return client.hgetall(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1)
        case _:
            return client.dump(key)


async def left_behind(aviary: Aviary, monitor: Monitor) -> dict[str, list[str]]:
    """What is found in metrics, Redis and logs. Ends the system, so that its logs are whole."""
    canaries = aviary.canaries
    metrics = await asyncio.to_thread(aviary.metrics)
    kept = await asyncio.to_thread(aviary.everything_in_redis)
    await asyncio.to_thread(aviary.system.stop)
    logs = aviary.system.logs()
    commands = "\n".join(line for line in monitor.stop().splitlines() if '"{ps}:resp:' not in line)
    assert "penstock_requests_total" in metrics
    assert '"url.path":"/v1/chat/completions"' in logs
    assert canaries.prompt in commands
    return {
        "metrics": canaries.found_in(metrics),
        "Redis": canaries.found_in(kept),
        "logs": canaries.found_in(logs),
        # A job carries its prompt, which is what a queue is for, and both are gone when it ends; nothing else does.
        "commands": canaries.found_in(commands, "prompt"),
    }
