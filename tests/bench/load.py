"""The load generator: a process of its own on raw protocols, that checks every token of every answer.

    python -m tests.bench.load ORDER        an Order as JSON; prints a Tally as one line of JSON

A closed loop by default: each connection asks, reads to the end, asks again. With `rate` an open one: requests come at
random (Poisson) times at that mean rate whatever the answers do, and a latency counts from when its request was due.
"""

import asyncio
import itertools
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import httptools
import orjson
import uvloop

from tests.bench.wire import check_text, now_us, written_at
from tests.chaos.upstream import behaviour


@dataclass(frozen=True, slots=True)
class Order:
    """`ports` are used in turn; `warmup` requests per connection are not counted; `hang_up_after` is in tokens."""

    ports: tuple[int, ...]
    key: str
    model: str
    stream: bool = False
    connections: int = 1
    requests: int = 1
    warmup: int = 0
    ramp_s: float = 0.0
    rate: float = 0.0
    hang_up_after: int = 0
    limit_s: float = 60.0


@dataclass(slots=True)
class Tally:
    """What was counted. Lists hold ms; `hang_ups` is nonce -> us, by the clock of the tokens."""

    ok: int = 0
    tokens: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    total_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    under_way_ms: list[float] = field(default_factory=list)
    hang_ups: dict[str, int] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """For the lists: {"p50", "p99"}, empty where nothing was counted."""
        spread = {name: _percentiles(getattr(self, name)) for name in ("total_ms", "first_ms", "under_way_ms")}
        return {**asdict(self), **spread, "errors": dict(self.errors)}


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{part}": ordered[len(ordered) * part // 100] for part in (50, 99)} if ordered else {}


class Connection(asyncio.Protocol):
    """A client's connection; one request at a time."""

    def __init__(self, order: Order, tally: Tally) -> None:
        self._order, self._tally = order, tally
        self._tokens = behaviour(order.model)["n"]
        self._transport: asyncio.Transport | None = None
        self._ended: asyncio.Future[str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end("connection closed early")

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    async def ask(self, nonce: str, port: int, *, counted: bool, due_us: int | None = None) -> None:
        """One request to its end, which the tally then knows of."""
        loop = asyncio.get_running_loop()
        self._nonce, self._counted = nonce, counted
        self._due_us = due_us or now_us()
        self._body, self._rest, self._next = b"", b"", 0
        self._finished = self._done = False
        self._ended = loop.create_future()
        if self._transport is None:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", port)
            except OSError:
                self._end("not connected")
        if self._transport is not None:
            self._transport.write(_request(self._order, nonce))
        problem = await self._ended
        self._count(problem)

    def _count(self, problem: str) -> None:
        if not self._counted:
            return
        if problem:
            self._tally.errors[problem] += 1
        elif self._nonce not in self._tally.hang_ups:
            self._tally.ok += 1
            self._tally.total_ms.append((now_us() - self._due_us) / 1000)

    def _end(self, problem: str = "") -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(problem)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # ---- what the parser calls

    def on_body(self, data: bytes) -> None:
        if not self._order.stream or self._parser.get_status_code() != 200:
            self._body += data
            return
        *events, self._rest = (self._rest + data).split(b"\n\n")
        try:
            for event in events:
                self._take(event)
        except (ValueError, LookupError, TypeError) as error:
            self._end(f"wrong token: {error!r:.200}")

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 200:
            self._end(f"status {status}")
        elif self._order.stream:
            whole = self._finished and self._done and self._next == self._tokens
            self._end("" if whole else "incomplete stream")
        else:
            self._end(self._check_whole())

    def _check_whole(self) -> str:
        try:
            text = orjson.loads(self._body)["choices"][0]["message"]["content"]
            check_text(text, self._nonce, self._tokens)
        except (ValueError, LookupError, TypeError):
            return "wrong answer"
        self._tally.tokens += self._tokens
        return ""

    def _take(self, event: bytes) -> None:
        """Raises ValueError, LookupError or TypeError for anything but the token that comes next."""
        if event.startswith(b":"):
            return
        if event == b"data: [DONE]":
            self._done = True
            return
        chunk = orjson.loads(event[6:])
        if "error" in chunk:
            self._end(f"told: {chunk['error']['message']}")
            return
        choices = chunk["choices"]
        if not choices:
            return
        self._finished = self._finished or choices[0]["finish_reason"] == "stop"
        token = choices[0]["delta"].get("content")
        if not token:
            return
        now = now_us()
        written_us = written_at(token, self._nonce, self._next)
        self._next += 1
        if self._counted:
            self._note(now, now - written_us)
        if self._next == self._order.hang_up_after:
            self._hang_up()

    def _note(self, now: int, under_way_us: int) -> None:
        if self._next == 1:
            self._tally.first_ms.append((now - self._due_us) / 1000)
        self._tally.tokens += 1
        self._tally.under_way_ms.append(under_way_us / 1000)

    def _hang_up(self) -> None:
        self._tally.hang_ups[self._nonce] = now_us()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._end()


def _request(order: Order, nonce: str) -> bytes:
    body = orjson.dumps(
        {"model": order.model, "stream": order.stream, "messages": [{"role": "user", "content": nonce}]}
    )
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer %b\r\n" % order.key.encode()
    return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class Load:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._tally = Tally()
        self._ports = itertools.cycle(order.ports)
        self._left = iter(range(order.requests))
        self._nonces = (f"{random.getrandbits(32):x}.{i}" for i in itertools.count())

    async def run(self) -> Tally:
        order, tally = self._order, self._tally
        connections = [(Connection(order, tally), next(self._ports)) for _ in range(order.connections)]
        try:
            async with asyncio.timeout(order.limit_s):
                await asyncio.gather(*(self._warm(*each) for each in connections))
                began, cpu = time.monotonic(), time.process_time()
                if order.rate:
                    await self._open_loop(connections)
                else:
                    await asyncio.gather(*(self._closed_loop(i, *each) for i, each in enumerate(connections)))
                tally.wall_s, tally.cpu_s = time.monotonic() - began, time.process_time() - cpu
        except TimeoutError:
            tally.errors["not done in time"] += 1
        for connection, _ in connections:
            connection.close()
        return tally

    async def _warm(self, connection: Connection, port: int) -> None:
        for _ in range(self._order.warmup):
            await connection.ask(next(self._nonces), port, counted=False)

    async def _closed_loop(self, index: int, connection: Connection, port: int) -> None:
        await asyncio.sleep(self._order.ramp_s * index / self._order.connections)
        for _ in self._left:
            await connection.ask(next(self._nonces), port, counted=True)

    async def _open_loop(self, idle: list[tuple[Connection, int]]) -> None:
        """Opens a new connection where all others are busy."""
        due_s = time.monotonic()
        async with asyncio.TaskGroup() as running:
            for _ in self._left:
                due_s += random.expovariate(self._order.rate)
                await asyncio.sleep(due_s - time.monotonic())
                running.create_task(self._ask_on_idle(idle, round(due_s * 1e6)))

    async def _ask_on_idle(self, idle: list[tuple[Connection, int]], due_us: int) -> None:
        connection, port = idle.pop(0) if idle else (Connection(self._order, self._tally), next(self._ports))
        await connection.ask(next(self._nonces), port, counted=True, due_us=due_us)
        idle.append((connection, port))


if __name__ == "__main__":
    result = uvloop.run(Load(Order(**orjson.loads(sys.argv[1]))).run())
    sys.stdout.buffer.write(orjson.dumps(result.summary()))
