"""DashScope's native interface for farui-plus, in the test's own loop; the caller's key chooses what happens."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.servers import free_port

_PATH = "/api/v1/services/aigc/text-generation/generation"
_USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


@dataclass
class Native:
    """`refusals` maps a key to the status and code that it gets; `breaking` are keys whose answers break off."""

    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    breaking: set[str] = field(default_factory=set)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post(_PATH, self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        key, body = request.headers["authorization"].removeprefix("Bearer "), await request.json()
        self.seen.append((key, body))
        if key in self.refusals:
            status, code = self.refusals[key]
            return web.json_response({"code": code, "message": f"no, {key}", "request_id": "r"}, status=status)
        pieces = [key, " said ", body["input"]["messages"][-1]["content"]]
        if request.headers.get("x-dashscope-sse") == "enable":
            return await self._stream(request, pieces, key)
        if key in self.breaking:
            assert request.transport is not None
            request.transport.close()
        message = {"role": "assistant", "content": "".join(pieces)}
        return web.json_response(_result(message, "stop"))

    async def _stream(self, request: web.Request, pieces: list[str], key: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(_event("result", 200, _result({"role": "assistant", "content": piece}, "null")))
            await asyncio.sleep(0.01)
        if key in self.breaking:
            error = {"code": "InternalError.Algo", "message": "broke", "request_id": "r"}
            await response.write(_event("error", 500, error))
        else:
            await response.write(_event("result", 200, _result({"role": "assistant", "content": ""}, "stop")))
        await response.write_eof()
        return response


def _result(message: dict[str, Any], reason: str) -> dict[str, Any]:
    choice = {"finish_reason": reason, "message": message}
    return {"output": {"choices": [choice]}, "usage": _USAGE, "request_id": "r-1"}


def _event(name: str, status: int, data: dict[str, Any]) -> bytes:
    return f"id:1\nevent:{name}\n:HTTP_STATUS/{status}\ndata:{json.dumps(data)}\n\n".encode()
