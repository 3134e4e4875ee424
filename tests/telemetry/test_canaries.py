"""Plants secrets and prompts wherever they can come from, then looks for them wherever they must not be."""

import asyncio
import secrets
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from shared.catalogue import key_digest, short_digest
from tests.servers import AnswersOk, Logged, RedisServer, free_port, wait_until
from tests.system import SECRET, System
from tests.telemetry.hostile import ANSWERS, QUOTABLE, HostileUpstream
from worker.secrets import Secrets, parse_secret


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
        self.system = System(folder, config, server, environ={"PENSTOCK_LOG_LEVEL": "debug"})

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


@pytest.fixture
def passthrough() -> bool:
    """Whether an unknown bearer is the caller's own key."""
    return False


@pytest.fixture
async def aviary(tmp_path: Path, redis_server: RedisServer, passthrough: bool) -> AsyncIterator[Aviary]:  # noqa: FBT001  a fixture
    canaries = Canaries()
    upstream = HostileUpstream(canaries.upstream)
    await upstream.start()
    made = Aviary(tmp_path, redis_server, upstream, canaries, passthrough=passthrough)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.system.close)
    await upstream.close()


async def test_nothing_that_was_planted_is_found(aviary: Aviary) -> None:
    """Client and provider keys, headers, query strings, prompts, answers, provider errors."""
    canaries = aviary.canaries
    monitor = Monitor(aviary.redis.port)
    told: dict[str, str] = {}
    for model in ANSWERS:
        for stream in (False, True):
            answer = await aviary.post(aviary.chat(model, stream=stream))
            told[f"{model} {stream}"] = answer.text + repr(answer.headers)
    assert canaries.provider_key in aviary.upstream.received, "the canaries did not reach the upstream"
    assert canaries.prompt in told["whole False"], "the answer did not reach the client"
    refused = await _refusals(aviary)
    assert {answer.status_code for answer in refused.values()} == {400, 401, 404}
    leaks = {name: canaries.found_in(text, *_allowed(name)) for name, text in told.items()}
    leaks |= {name: canaries.found_in(answer.text + repr(answer.headers), "prompt") for name, answer in refused.items()}
    leaks |= await _left_behind(aviary, monitor)
    assert {place: found for place, found in leaks.items() if found} == {}


@pytest.mark.parametrize("passthrough", [True])
async def test_a_callers_own_key_reaches_the_upstream_and_nothing_else(aviary: Aviary) -> None:
    """It crosses Redis too, in a box that only workers can open. What the upstream says of this request its caller may
    hear, but no error repeats the key.
    """
    canaries = aviary.canaries
    monitor = Monitor(aviary.redis.port)
    leaks: dict[str, list[str]] = {}
    for model in ANSWERS:
        for stream in (False, True):
            answer = await aviary.post(aviary.chat(model, stream=stream), key=canaries.callers_own)
            assert canaries.callers_own in aviary.upstream.received
            assert canaries.provider_key not in aviary.upstream.received
            assert answer.status_code == 401 or model != "rejected", "it is the caller's own key that was rejected"
            content = ("callers_own",) if model in {"whole", "stream"} else ()
            text = answer.text + repr(answer.headers)
            leaks[f"{model} {stream}"] = canaries.found_in(text, "upstream", "prompt", *content)
    too_short = canaries.callers_own[-9:]
    refused = await aviary.post(aviary.chat("whole", stream=False), key=too_short)
    assert refused.status_code == 401
    leaks["refusal"] = [too_short] if too_short in refused.text else []
    leaks |= await _left_behind(aviary, monitor)
    logs = aviary.system.logs()
    hashed = short_digest(key_digest(Secrets(parse_secret(SECRET)).hmac_key, canaries.callers_own))
    assert f'"key_hash":"{hashed}"' in logs
    assert too_short not in logs
    assert {place: found for place, found in leaks.items() if found} == {}


async def _left_behind(aviary: Aviary, monitor: Monitor) -> dict[str, list[str]]:
    """What is found in metrics, Redis and logs. Ends the system, so that its logs are whole."""
    canaries = aviary.canaries
    metrics = await asyncio.to_thread(aviary.metrics)
    kept = await asyncio.to_thread(aviary.everything_in_redis)
    await asyncio.to_thread(aviary.system.close)
    logs = aviary.system.logs()
    commands = "\n".join(line for line in monitor.stop().splitlines() if '"PUBLISH"' not in line)
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


def _allowed(name: str) -> tuple[str, ...]:
    """What the client of this answer may see: the answer itself, or what the upstream says of its own request."""
    model = name.split(maxsplit=1)[0]
    if model in {"whole", "stream"}:
        return ("prompt", "upstream", "provider_key")
    return ("prompt", "upstream") if model in QUOTABLE else ()


async def _refusals(aviary: Aviary) -> dict[str, httpx.Response]:
    """Requests that the front itself refuses, each with a canary where the fault is."""
    canaries = aviary.canaries
    body = aviary.chat("whole", stream=False)
    return {
        "wrong key": await aviary.post(body, key=canaries.wrong_key),
        "unknown model": await aviary.post({**body, "model": canaries.prompt}),
        "unknown path": await aviary.post(body, path=f"/v1/{canaries.prompt}"),
        "wrong type": await aviary.post({**body, "temperature": canaries.prompt}),
        "wrong role": await aviary.post({**body, "messages": [{"role": canaries.prompt, "content": canaries.prompt}]}),
        "not JSON": await aviary.post(None, raw=b'{"messages": ' + canaries.prompt.encode()),
        "not UTF-8": await aviary.post(None, raw=b'{"model": "\xff' + canaries.prompt.encode()),
        "a list": await aviary.post([canaries.prompt]),
    }
