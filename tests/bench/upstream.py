"""A mock upstream in OpenAI's shape, on a raw protocol so that it takes little of the machine it shares.

    python -m tests.bench.upstream PORT

The model's name says what it does: `mock-n50-g20` is 50 tokens, 20 ms apart on an absolute schedule; without a gap it
writes one chunk per turn of the event loop. `GET /stats` tells what it saw, `POST /reset` forgets that.
"""

import asyncio
import sys
from typing import Any, cast

import httptools
import orjson
import uvloop

from tests.bench.wire import FILLERS, filler, now_us
from tests.chaos.upstream import SSE, behaviour

_FILLERS_JSON = [orjson.dumps(text)[1:-1] for text in FILLERS]
_MIDDLE = b'},"logprobs":null,"finish_reason":null}]}\n\n'


class Stats:
    """`calls` is nonce -> [requests, ended at us, hung up at us]."""

    def __init__(self) -> None:
        self.chunks = 0
        self.running = 0
        self.calls: dict[str, list[int]] = {}


stats = Stats()


class Stream:
    """One streamed answer, from its head to `[DONE]`."""

    def __init__(self, connection: "Connection", plan: dict[str, int], nonce: str, model: str) -> None:
        self.paused = self._over = False
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._tokens, self._gap_s = plan["n"], plan["g"] / 1000
        self._nonce = nonce.encode()
        head = {"id": f"c-{nonce}", "object": "chat.completion.chunk", "created": 1, "model": model}
        self._head = b"data: %b" % orjson.dumps({**head, "system_fingerprint": "fp_mock"})[:-1]
        self._delta = self._head + b',"choices":[{"index":0,"delta":{'
        self._index = 0
        self._timer: asyncio.Handle | None = None
        connection.transport.write(SSE)
        connection.chunk(self._delta + b'"role":"assistant","content":""' + _MIDDLE)
        self._began = self._loop.time()
        self.schedule()

    def schedule(self) -> None:
        if self._gap_s and self._index < self._tokens:
            self._timer = self._loop.call_at(self._began + (self._index + 1) * self._gap_s, self._step)
        else:
            self._timer = self._loop.call_soon(self._step)

    def _step(self) -> None:
        index = self._index
        if index == self._tokens:
            self._end()
            return
        token = b"%b:%d@%d%b" % (self._nonce, index, now_us(), _FILLERS_JSON[index % len(FILLERS)])
        self._index += 1
        stats.chunks += 1
        self._connection.chunk(b'%b"content":"%b"%b' % (self._delta, token, _MIDDLE))
        if not self.paused:
            self.schedule()

    def _end(self) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": self._tokens, "total_tokens": self._tokens + 3}
        self._connection.chunk(self._delta + b'},"finish_reason":"stop"}]}\n\n')
        self._connection.chunk(b'%b,"choices":[],"usage":%b}\n\n' % (self._head, orjson.dumps(usage)))
        self._connection.finish(b"data: [DONE]\n\n")

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection; requests come one after another."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""
        self._row: list[int] | None = None
        self._stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if self._row is not None:
            self._row[2] = now_us()
            stats.running -= 1
        if self._stream is not None:
            self._stream.stop()

    def pause_writing(self) -> None:
        if self._stream is not None:
            self._stream.paused = True

    def resume_writing(self) -> None:
        if self._stream is not None:
            self._stream.paused = False
            self._stream.schedule()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url.endswith(b"/chat/completions"):
            self._chat(orjson.loads(self._body))
        elif self._url.endswith(b"/models"):
            self._whole({"object": "list", "data": [{"id": "mock", "object": "model"}]})
        else:
            if self._url == b"/reset":
                stats.calls.clear()
                stats.chunks = 0
            self._whole({"chunks": stats.chunks, "running": stats.running, "calls": stats.calls})

    def _chat(self, body: dict[str, Any]) -> None:
        nonce = body["messages"][-1]["content"]
        self._row = stats.calls.setdefault(nonce, [0, 0, 0])
        self._row[0] += 1
        stats.running += 1
        plan = behaviour(body["model"])
        if body.get("stream"):
            self._stream = Stream(self, plan, nonce, body["model"])
            return
        text = "".join(f"{nonce}:{index}@{now_us()}{filler(index)}" for index in range(plan["n"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": plan["n"], "total_tokens": plan["n"] + 3}
        whole = {"id": f"c-{nonce}", "object": "chat.completion", "created": 1, "model": body["model"]}
        stats.chunks += plan["n"]
        self._settle()
        self._whole({**whole, "choices": [choice], "usage": usage})

    def chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self, data: bytes) -> None:
        self._settle()
        self._stream = None
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))

    def _settle(self) -> None:
        assert self._row is not None
        self._row[1] = now_us()
        self._row = None
        stats.running -= 1

    def _whole(self, value: dict[str, Any]) -> None:
        body = orjson.dumps(value)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    sys.stderr.write("upstream ready\n")
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
