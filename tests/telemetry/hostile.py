"""An upstream that quotes everything it was sent, wherever an upstream can say something."""

import asyncio
import contextlib
import json
from collections.abc import Callable

STREAM = "content-type: text/event-stream\r\n"


class HostileUpstream:
    """The model's name chooses how it answers. `quoted` is all that it knows of the last request: its headers, which
    hold the provider's key, and its body, which holds the prompt; `private` is the upstream's own secret.
    """

    def __init__(self, private: str) -> None:
        self.private = private
        self.port = 0
        self.received = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line.split(":")[1]) for line in head.lower().split("\r\n") if "content-length" in line)
            body = (await reader.readexactly(length)).decode()
            self.received = head + body
            authorization = next(line for line in head.split("\r\n") if line.lower().startswith("authorization"))
            quoted = f"{self.private} {authorization} {authorization.split()[-1]} {json.loads(body)['messages']}"
            writer.write(ANSWERS[json.loads(body)["model"]](quoted).encode())
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _whole(status: str, body: str, headers: str = "content-type: application/json\r\n") -> str:
    size = len(body.encode())
    return f"HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {size}\r\n\r\n{body}"


def _refusal(status: str, code: str) -> Callable[[str], str]:
    def answer(quoted: str) -> str:
        error = {"error": {"message": quoted, "type": quoted, "param": None, "code": code}}
        return _whole(status, json.dumps(error), f"content-type: application/json\r\nx-request-id: {quoted[:30]}\r\n")

    return answer


def _chunk(text: str, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n"


def _completion(quoted: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": quoted}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


def _stream(*events: str) -> str:
    return f"HTTP/1.1 200 OK\r\n{STREAM}connection: close\r\n\r\n{''.join(events)}"


ANSWERS: dict[str, Callable[[str], str]] = {
    "whole": lambda quoted: _whole("200 OK", _completion(quoted)),
    "stream": lambda quoted: _stream(_chunk(quoted), _chunk("", "stop"), "data: [DONE]\n\n"),
    "bad-request": _refusal("400 Bad Request", "invalid_request_error"),
    "too-long": _refusal("400 Bad Request", "context_length_exceeded"),
    "rejected": _refusal("401 Unauthorized", "invalid_api_key"),
    "denied": _refusal("403 Forbidden", "permission"),
    "no-such-model": _refusal("404 Not Found", "model_not_found"),
    "limited": _refusal("429 Too Many Requests", "rate_limit_exceeded"),
    "no-money": _refusal("429 Too Many Requests", "insufficient_quota"),
    "broken": _refusal("500 Internal Server Error", "server_error"),
    "overloaded": _refusal("503 Service Unavailable", "overloaded"),
    "odd-code": lambda quoted: _refusal("418 I'm a teapot", quoted)(quoted),
    "html": lambda quoted: _whole("200 OK", f"<html>{quoted}</html>", "content-type: text/html\r\n"),
    "not-json": lambda quoted: _whole("200 OK", f'{{"choices": {quoted}'),
    "not-http": lambda quoted: f"{quoted}\r\n\r\n",
    "bad-header": lambda quoted: f"HTTP/1.1 200 OK\r\n{quoted}\r\n\r\n",
    "bad-event": lambda quoted: _stream(_chunk("so far"), f"data: {{{quoted}\n\n"),
    "error-event": lambda quoted: _stream(_chunk("so far"), f"data: {json.dumps({'error': {'message': quoted}})}\n\n"),
    "odd-shape": lambda quoted: _stream(f"data: {json.dumps({'choices': quoted})}\n\n"),
    "odd-choice": lambda quoted: _whole("200 OK", json.dumps({"choices": [quoted], "usage": quoted})),
    "cut": lambda quoted: _stream(_chunk("so far"), f"data: {quoted}"),
}
# Faults of the caller's own request, in which the upstream may be quoted to that caller.
QUOTABLE = frozenset({"bad-request", "too-long", "no-such-model", "odd-code"})
