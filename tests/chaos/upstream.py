"""An upstream that numbers what it says and fails on request; a process of its own, on a raw protocol to be cheap.

The model's name sets what happens, in parts joined by "-":
  n40 g20 t100   40 tokens, 20 ms apart, 100 ms before the first
  b1000          1000 bytes of padding in each token
  FAULT at K     after K tokens (0: before the first content): reset, end, errorevent, stall, badjson, badtext, long,
                 e.g. "num-n40-g20-reset7"; nodone ends after the finish reason;
                 also plain, html, okerror, status429, hang, drop, stalledhtml, stallederror without a number;
  "poison" kills the process that asks
An answer that is not streamed has its head and its first half at once, the rest when a stream would have ended.
A token is "<nonce>:<index> "; the nonce is the last word of the last message. `GET /stats` gives a JSON object
nonce -> {"calls", "streamed", "tokens", "ended", "hung_up", "hung_up_at"}, "keys", nonce -> the key of each of its
calls, and the connections that are open.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any, cast

import orjson
import uvloop

_PART = re.compile(r"([a-z]+)(\d*)")
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
HTML = b"<!doctype html><html><body>Sign in to continue</body></html>"
ERROR = {"error": {"message": "the upstream broke", "type": "server_error", "param": None, "code": "broken"}}
_ESTABLISHED = "01"
MID_FAULTS = ("reset", "end", "errorevent", "stall", "badjson", "badtext", "long")
WAITS = {"hang", "stalledhtml", "stallederror"}
calls: dict[str, dict[str, float]] = {}
keys: dict[str, list[str]] = {}
connections: set["Connection"] = set()


def behaviour(model: str) -> dict[str, int]:
    """{"n": tokens, "g": gap ms, "t": ms before the first, <fault>: after so many tokens}."""
    found = {"n": 10, "g": 0, "t": 0, "b": 0}
    for part in model.split("-")[1:]:
        match = _PART.fullmatch(part)
        if match:
            found[match[1]] = int(match[2] or 0)
    return found


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection; requests come one after another."""

    def __init__(self) -> None:
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None
        self.row: dict[str, float] | None = None
        self.transport: asyncio.Transport
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        connections.add(self)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        connections.discard(self)
        if self.row is not None:
            self.row["hung_up"] += 1
            self.row["hung_up_at"] = time.monotonic()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        match = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        length = int(match[1]) if match else 0
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if head.startswith(b"GET"):
            self.get(head)
        else:
            found = re.search(rb"\r\nauthorization: Bearer ([^\r]*)", head, re.IGNORECASE)
            key = found[1].decode() if found else ""
            self.task = asyncio.get_running_loop().create_task(self.answer(orjson.loads(rest[:length]), key))

    def get(self, head: bytes) -> None:
        if b"/models" in head:
            self.whole({"object": "list", "data": [{"id": "num", "object": "model"}]})
        else:
            self.whole({"calls": calls, "keys": keys, "connections": len(connections)})

    def whole(self, value: Any, status: str = "200 OK", media: str = "application/json") -> None:
        body = value if isinstance(value, bytes) else orjson.dumps(value)
        head = f"HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {len(body)}\r\nretry-after: 1\r\n\r\n"
        self.transport.write(head.encode() + body)

    def chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(self, body: dict[str, Any], key: str) -> None:
        nonce = body["messages"][-1]["content"].split()[-1]
        keys.setdefault(nonce, []).append(key)
        row = calls.setdefault(nonce, {"calls": 0, "streamed": 0, "tokens": 0, "ended": 0, "hung_up": 0})
        row["calls"] += 1
        row["streamed"] += bool(body.get("stream"))
        self.row = row
        plan = behaviour(body["model"])
        await asyncio.sleep(plan["t"] / 1000)
        if not self.early_fault(plan):
            if body.get("stream"):
                await self.stream(plan, body, nonce, row)
            else:
                await self.plain(plan, nonce, row)
        elif not WAITS.isdisjoint(plan):
            await asyncio.sleep(3600)
        else:
            row["ended"] += 1
        self.row = None

    def early_fault(self, plan: dict[str, int]) -> bool:
        if "poison" in plan:
            kill_peer(*(self.transport.get_extra_info(end)[1] for end in ("peername", "sockname")))
        elif "html" in plan:
            self.whole(HTML, media="text/html")
        elif "plain" in plan:
            self.whole(b"GIF89a", media="image/gif")
        elif "okerror" in plan:
            self.whole(ERROR)
        elif "status" in plan:
            self.whole(ERROR, status=f"{plan['status']} Refused")
        elif "drop" in plan:
            self.transport.abort()
        elif "stalledhtml" in plan:
            self.transport.write(WHOLE.replace(b"application/json", b"text/html") % (2 * len(HTML)) + HTML)
        elif "stallederror" in plan:
            self.transport.write(WHOLE.replace(b"200 OK", b"500 Broken") % 1000 + b'{"error": {"mess')
        else:
            return "hang" in plan
        return True

    async def stream(self, plan: dict[str, int], body: dict[str, Any], nonce: str, row: dict[str, float]) -> None:
        self.transport.write(SSE)
        frame = {"id": f"c-{nonce}", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        self.event(frame, {"role": "assistant", "content": ""})
        loop = asyncio.get_running_loop()
        began = loop.time()
        padding = "x" * plan["b"]
        for index in range(plan["n"]):
            if await self.mid_fault(plan, index):
                return
            self.event(frame, {"content": f"{nonce}:{index}{padding} "})
            row["tokens"] += 1
            await self.writable.wait()
            await asyncio.sleep(max(0, began + (index + 1) * plan["g"] / 1000 - loop.time()))
        if await self.mid_fault(plan, plan["n"]):
            return
        self.event(frame, {}, "stop")
        if "nodone" in plan:
            row["ended"] += 1
            self.row = None
            self.transport.write(b"0\r\n\r\n")
            return
        usage = {"prompt_tokens": 3, "completion_tokens": plan["n"], "total_tokens": plan["n"] + 3}
        self.chunk(b"data: %b\n\n" % orjson.dumps({**frame, "choices": [], "usage": usage}))
        row["ended"] += 1
        self.row = None
        self.chunk(b"data: [DONE]\n\n")
        self.transport.write(b"0\r\n\r\n")

    def event(self, frame: dict[str, Any], delta: dict[str, Any], reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        self.chunk(b"data: %b\n\n" % orjson.dumps({**frame, "choices": [choice]}))

    async def mid_fault(self, plan: dict[str, int], index: int) -> bool:
        """Does what the plan has for this place; True if that was the end of it."""
        fault = next((name for name in MID_FAULTS if plan.get(name) == index), None)
        if fault is None:
            return False
        if fault != "stall" and self.row is not None:
            self.row["ended"] += 1
            self.row = None
        if fault == "reset":
            self.transport.abort()
        elif fault == "stall":
            await asyncio.sleep(3600)
        elif fault == "end":
            self.transport.write(b"0\r\n\r\n")
        else:
            broken = {
                "errorevent": b"data: %b\n\n" % orjson.dumps(ERROR),
                "badjson": b'data: {"id": "c", "choices": [{]}\n\n',
                "badtext": b'data: {"id": "c", "choices": [{"index": 0, "delta": {"content": "\xff"}}]}\n\n',
                "long": b"data: " + b"x" * (5 * 1024 * 1024),
            }
            self.chunk(broken[fault])
            if fault != "long":
                self.transport.write(b"0\r\n\r\n")
        return True

    async def plain(self, plan: dict[str, int], nonce: str, row: dict[str, float]) -> None:
        text = "".join(f"{nonce}:{index} " for index in range(plan["n"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": plan["n"], "total_tokens": plan["n"] + 3}
        whole = {"id": f"c-{nonce}", "object": "chat.completion", "created": 1, "model": "num", "choices": [choice]}
        body = orjson.dumps({**whole, "usage": usage})
        fault = next((name for name in MID_FAULTS if name in plan), None)
        if fault is not None:
            said = len(body) * plan[fault] // max(1, plan["n"])
            if fault == "stall":
                row["tokens"] = plan[fault]
            await self.plain_fault(fault, body, body[: max(0, said - 1)])
            return
        half = len(body) // 2
        self.transport.write(WHOLE % len(body) + body[:half])
        loop = asyncio.get_running_loop()
        began = loop.time()
        for index in range(plan["n"]):  # as many as a stream would have said by then
            if plan["g"]:
                await asyncio.sleep(max(0, began + (index + 1) * plan["g"] / 1000 - loop.time()))
            row["tokens"] += 1
        row["ended"] += 1
        self.row = None
        self.transport.write(body[half:])

    async def plain_fault(self, fault: str, body: bytes, said: bytes) -> None:
        if fault != "stall" and self.row is not None:
            self.row["ended"] += 1
            self.row = None
        if fault in {"reset", "stall"}:
            self.transport.write(WHOLE % len(body) + said)
            if fault == "stall":
                await asyncio.sleep(3600)
            self.transport.abort()
        elif fault == "end":
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
            self.transport.write(said)
            self.transport.close()
        elif fault == "errorevent":
            self.whole(ERROR)
        elif fault == "badtext":
            self.whole(body.replace(b"assistant", b"assist\xffnt"))
        elif fault == "long":
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
            self.transport.write(b'{"x":"' + b"x" * (5 * 1024 * 1024))
            self.transport.close()
        else:
            self.whole(b'{"id": "c", "choices": [{]}')


def kill_peer(its_port: int, our_port: int) -> None:
    """SIGKILL for whoever on this machine has the other end of this connection; ports serve many at a time."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = (f":{its_port:04X}", f":{our_port:04X}")
    inode = next(row[9] for row in rows if (row[1][-5:], row[2][-5:], row[3]) == (*ends, _ESTABLISHED))
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(link.readlink().name == f"socket:[{inode}]" for link in (folder / "fd").iterdir()):
                os.kill(int(folder.name), signal.SIGKILL)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    sys.stderr.write(json.dumps({"event": "upstream ready", "port": port}) + "\n")
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
