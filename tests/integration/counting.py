"""An upstream that counts, in the test's own loop, and a client of the gateway before it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import redis.asyncio
from aiohttp import web

from shared.names import PREFIX
from tests.servers import RedisServer, free_port
from tests.system import CLIENT_KEY, System
from worker.accounts.names import leases_key

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
Planned = tuple[int, dict[str, Any], dict[str, str]]
"""Status, body and headers of an answer."""


def error(status: int, code: str, *, retry_after: int | None = None, request_id: str | None = None) -> Planned:
    """A refusal in OpenAI's shape."""
    headers = {"retry-after": retry_after, "x-request-id": request_id}
    told = {name: str(value) for name, value in headers.items() if value is not None}
    return status, {"error": {"message": "no", "type": "t", "param": None, "code": code}}, told


BROKEN = error(500, "broken")


class Counting:
    """An OpenAI-shaped upstream in the test's own loop. `plan` maps a bearer key, or a model, to what it answers,
    `pause_s` to how long it takes, and `gates` to what it waits for. It gives each key a cookie, as a site would.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.times: list[float] = []
        self.cookies: list[str] = []
        self.carried: dict[int, set[str]] = {}
        """The keys that came over a connection, by its port."""
        self.plan: dict[str, list[Planned]] = {}
        self.pause_s: dict[str, float] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.running = self.most_running = self.hung_up = 0
        self._app = web.AppRunner(self._build(), handler_cancellation=True)

    def _build(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def start(self) -> None:
        await self._app.setup()
        await web.TCPSite(self._app, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        await self._app.cleanup()

    async def _chat(self, request: web.Request) -> web.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        body = await request.json()
        self.seen.append((key, body))
        self.times.append(time.monotonic())
        self.cookies += request.headers.getall("cookie", [])
        assert request.transport is not None
        self.carried.setdefault(request.transport.get_extra_info("peername")[1], set()).add(key)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if gate := self.gates.get(key) or self.gates.get(body["model"]):
                await gate.wait()
            await asyncio.sleep(self.pause_s.get(key, self.pause_s.get(body["model"], 0)))
        except asyncio.CancelledError:
            self.hung_up += 1
            raise
        finally:
            self.running -= 1
        planned = self.plan.get(key) or self.plan.get(body["model"])
        if planned:
            status, answer, headers = planned.pop(0)
            return web.json_response(answer, status=status, headers=headers)
        message = {"role": "assistant", "content": f"{key} {body['messages'][-1]['content']}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return web.json_response(whole | {"usage": USAGE}, headers={"set-cookie": f"session={key}; Path=/"})

    def forget(self) -> None:
        self.seen.clear()
        self.times.clear()
        self.cookies.clear()
        self.carried.clear()
        self.plan.clear()
        self.pause_s.clear()
        self.gates.clear()
        self.most_running = self.hung_up = 0

    async def is_called(self, count: int) -> None:
        """Until it has been so often."""

        async def has_been() -> bool:
            return len(self.seen) >= count

        await until(has_been)

    async def hangs_up(self, count: int) -> None:
        """Until so many callers have."""

        async def have_hung_up() -> bool:
            return self.hung_up >= count

        await until(have_hung_up)
        assert self.hung_up == count

    def keys(self) -> list[str]:
        return [key for key, _ in self.seen]

    def models(self) -> list[str]:
        return [body["model"] for _, body in self.seen]


class Gateway:
    """One front and its workers; the client of their tests."""

    def __init__(self, system: System, upstream: Counting) -> None:
        self.system = system
        self.upstream = upstream
        self.client = httpx.AsyncClient(base_url=system.url, timeout=60, limits=httpx.Limits(max_connections=None))

    async def ask(self, model: str, text: str = "hi", key: str = CLIENT_KEY, **body: Any) -> httpx.Response:
        asked = {"model": model, "messages": [{"role": "user", "content": text}], **body}
        return await self.client.post("/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {key}"})

    async def workers(self, *providers: str) -> set[bytes]:
        """Those that hold a place of these providers' accounts now."""
        client = redis.asyncio.Redis.from_url(self.system.redis.url)
        leases = [lease for provider in providers for lease in await client.zrange(leases_key(f"{provider}/a"), 0, -1)]
        await client.aclose()
        return {lease.rpartition(b".")[0] for lease in leases}

    async def waits(self, provider: str, count: int) -> None:
        """Until so many stand in line for an account of this provider."""
        await self._counts(f"{PREFIX}line:{provider}", count)

    async def runs(self, provider: str, count: int) -> None:
        """Until so many of its accounts' places are taken."""
        await self._counts(leases_key(provider), count)

    async def _counts(self, key: str, count: int) -> None:
        client = redis.asyncio.Redis.from_url(self.system.redis.url)

        async def are_there() -> bool:
            return int(await client.zcard(key)) == count

        await until(are_there)
        await client.aclose()

    async def close(self) -> None:
        await self.client.aclose()


@asynccontextmanager
async def open_gateway(
    folder: Path, redis_server: RedisServer, configure: Callable[[int], dict[str, Any]], *, workers: int = 1
) -> AsyncIterator[Gateway]:
    """With an upstream that counts; `configure` makes a configuration from its port."""
    upstream = Counting()
    await upstream.start()
    system = System(folder, configure(upstream.port), redis_server)
    try:
        await asyncio.to_thread(system.start, workers=workers)
        gateway = Gateway(system, upstream)
        yield gateway
        await gateway.close()
    finally:
        await asyncio.to_thread(system.close)
        await upstream.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Polls what nobody tells: others' state."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110  others' state
            await asyncio.sleep(0.02)
