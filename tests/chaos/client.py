"""A client that checks every token: what came is exact, or an exact beginning with an honest error behind it."""

import asyncio
import itertools
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.system import CLIENT_KEY


@dataclass(slots=True)
class Result:
    """`tokens` counts the content; `wrong` says what was altered, doubled or missing in it."""

    nonce: str
    status: int = 0
    tokens: int = 0
    done: bool = False
    finished: bool = False
    error: dict[str, Any] | None = None
    wrong: str = ""
    began: float = field(default_factory=time.monotonic)
    first_at: float = 0.0
    last_at: float = 0.0
    ended_at: float = 0.0
    left_at: float = 0.0
    longest_gap_s: float = 0.0

    def exact(self, tokens: int) -> bool:
        return not self.wrong and self.error is None and self.finished and self.done and self.tokens == tokens

    @property
    def honest_error(self) -> bool:
        """An error in OpenAI's shape after an exact beginning, and nothing that says the answer is whole."""
        return not self.wrong and self.error is not None and bool(self.error.get("message")) and not self.done

    @property
    def silent(self) -> bool:
        """Ended with neither: the one thing that must never happen."""
        return self.error is None and not self.finished


_numbers = itertools.count(1)


def request_bytes(model: str, *, stream: bool, nonce: str, key: str = CLIENT_KEY) -> bytes:
    message = {"role": "user", "content": nonce}
    body = orjson.dumps({"model": model, "stream": stream, "messages": [message]})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """Requests on raw connections, one each."""

    def __init__(self, *ports: int) -> None:
        self.ports = ports

    async def ask(
        self,
        model: str,
        *,
        stream: bool = True,
        limit_s: float = 60,
        hang_up_after: int | None = None,
        leave: asyncio.Event | None = None,
        key: str = CLIENT_KEY,
    ) -> Result:
        """Leaves after so many tokens, or when `leave` is set. Raises TimeoutError if nothing ends it within `limit_s`:
        a hung request.
        """
        number = next(_numbers)
        result = Result(f"x{number}")
        port = self.ports[number % len(self.ports)]
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request_bytes(model, stream=stream, nonce=result.nonce, key=key))
                await _whichever(self.read(reader, result, hang_up_after), leave)
            except ConnectionError:
                pass  # the front died: an end without an answer, which `silent` tells
            finally:
                result.left_at = time.monotonic()
                writer.close()
        result.ended_at = time.monotonic()
        return result

    async def read(self, reader: asyncio.StreamReader, result: Result, hang_up_after: int | None = None) -> None:
        """An answer, head and all, into `result`."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except asyncio.IncompleteReadError:
            return
        result.status = int(head[9:12])
        if b"text/event-stream" not in head:
            _read_whole(await _body(reader, head), result)
            return
        buffer = b""
        while True:
            size_line = await reader.readline()
            size = int(size_line or b"0", 16)
            buffer += (await reader.readexactly(size + 2))[:-2] if size_line else b""
            *events, buffer = buffer.split(b"\n\n")
            for event in events:
                _read_event(event, result)
            if hang_up_after is not None and result.tokens >= hang_up_after:
                return
            if size == 0:
                return

    async def many(self, count: int, model: str, **options: Any) -> list[Result]:
        return await asyncio.gather(*(self.ask(model, **options) for _ in range(count)))


async def _whichever(reading: Coroutine[Any, Any, None], leave: asyncio.Event | None) -> None:
    if leave is None:
        await reading
        return
    tasks = {asyncio.ensure_future(reading), asyncio.ensure_future(leave.wait())}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"content-length: " in head:
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        try:
            return await reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            return error.partial
    return await reader.read()


def _read_whole(body: bytes, result: Result) -> None:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        result.wrong = "not JSON"
        return
    if "error" in answer:
        result.error = answer["error"]
        return
    choice = answer["choices"][0]
    _check(choice["message"]["content"], result)
    result.finished = result.done = choice["finish_reason"] == "stop"


def _read_event(event: bytes, result: Result) -> None:
    if event.startswith(b":"):
        return
    data = event.removeprefix(b"data: ")
    if data == b"[DONE]":
        result.done = True
        return
    if result.error is not None or result.done:
        result.wrong = "something after the end"
    chunk = orjson.loads(data)
    if "error" in chunk:
        result.error = chunk["error"]
        return
    for choice in chunk["choices"]:
        if choice["delta"].get("content"):
            now = time.monotonic()
            result.first_at = result.first_at or now
            result.longest_gap_s = max(result.longest_gap_s, now - (result.last_at or now))
            result.last_at = now
            _check(choice["delta"]["content"], result)
        result.finished = result.finished or choice["finish_reason"] == "stop"


def _check(text: str, result: Result) -> None:
    for word in text.split():
        token = word.rstrip("x")
        if token != f"{result.nonce}:{result.tokens}":
            result.wrong = result.wrong or f"{token} where {result.nonce}:{result.tokens} belongs"
        result.tokens += 1
