"""A fake upstream for every provider type: `python -m tests.upstream.server --port N`.

`http://127.0.0.1:N/<type>/<case>/<path of its base_url>` is a base_url at which that case's fixtures are spoken over a
real socket, whole, as events or by WebSocket. Behaviours stand before the type: `/~hold/openai/text/v1`.

    ~hold       says all but the end of the stream, then nothing until the client leaves; a whole answer never comes
    ~crumbs     sends three bytes at a time
    ~error-N    answers the completion with the N-th entry of errors.json
    ~broken-N   streams the N-th entry of broken_streams.json
    ~wall-N     answers everything with the N-th entry of errors.json

`GET /asked` tells what was asked and how it ended ("running", "answered" or "hung up"); `DELETE /asked` forgets it.
"""

import argparse
import asyncio
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from tests.providers.cases import FOLDER, Case, payload
from tests.upstream.script import Asked, Reply, broken_reply, choose, error_reply
from worker.providers.contract import Framing

_TYPES = {
    Framing.SSE: "text/event-stream",
    Framing.LINES: "application/x-ndjson",
    Framing.RAW: "text/plain; charset=utf-8",
}
_CRUMB_BYTES = 3


@dataclass
class Entry:
    """One line of the account."""

    case: str
    asked: Asked
    outcome: str = "running"
    messages: list[Any] = field(default_factory=list)


class FakeUpstream:
    def __init__(self) -> None:
        self.account: list[Entry] = []

    async def tell(self, request: web.Request) -> web.Response:
        """`GET /asked`."""
        return web.json_response([asdict(entry) for entry in self.account])

    async def forget(self, request: web.Request) -> web.Response:
        """`DELETE /asked`."""
        self.account.clear()
        return web.Response()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any path below a case."""
        *behaviours, type_name, case_name, path = _parted(request.path)
        case = Case(FOLDER / type_name / case_name)
        asked = Asked(
            request.method,
            path,
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            payload(await request.read()),
        )
        entry = Entry(case.name, asked)
        self.account.append(entry)
        reply = _behaved(case, choose(case, asked), behaviours)
        if reply is None:
            entry.outcome = "answered"
            return web.Response(status=418, text=f"The fixtures of {case.name} know no {asked.method} {path}")
        try:
            told = await self._tell(request, reply, behaviours, entry)
        except (asyncio.CancelledError, ConnectionError):
            entry.outcome = "hung up"
            raise
        entry.outcome = "answered"
        return told

    async def _tell(
        self, request: web.Request, reply: Reply, behaviours: list[str], entry: Entry
    ) -> web.StreamResponse:
        if reply.framing is Framing.WEBSOCKET:
            return await _converse(request, reply, behaviours, entry)
        held = "~hold" in behaviours and reply.completes
        pieces = reply.pieces
        if reply.framing is None:
            if held:
                await asyncio.Event().wait()
            return web.Response(status=reply.status, headers=reply.headers, body=b"".join(pieces))
        told = web.StreamResponse(headers={"content-type": _TYPES[reply.framing]})
        await told.prepare(request)
        if "~crumbs" in behaviours:
            body = b"".join(pieces)
            pieces = [body[at : at + _CRUMB_BYTES] for at in range(0, len(body), _CRUMB_BYTES)]
        for piece in _most(pieces) if held else pieces:
            await told.write(piece)
        if held:
            await asyncio.Event().wait()
        await told.write_eof()
        return told


async def _converse(request: web.Request, reply: Reply, behaviours: list[str], entry: Entry) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    entry.messages.append(payload((await socket.receive()).data or ""))
    for piece in _most(reply.pieces) if "~hold" in behaviours else reply.pieces:
        await socket.send_str(piece.decode())
    if "~hold" in behaviours:
        async for _ in socket:
            """What else the client says goes unanswered."""
        raise ConnectionResetError
    await socket.close()
    return socket


def _most(pieces: list[bytes]) -> list[bytes]:
    """All but the last event, or all but the last byte of a text."""
    return pieces[:-1] or [pieces[0][:-1]]


def _parted(path: str) -> list[str]:
    """Behaviours, the type, the case, and the path that the upstream itself would see."""
    behaviours, rest = [], path.removeprefix("/")
    while rest.startswith("~"):
        behaviour, _, rest = rest.partition("/")
        behaviours.append(behaviour)
    type_name, _, rest = rest.partition("/")
    case_name, _, rest = rest.partition("/")
    return [*behaviours, type_name, case_name, f"/{rest}"]


def _behaved(case: Case, reply: Reply | None, behaviours: list[str]) -> Reply | None:
    """The reply that a behaviour puts in the place of the completion."""
    for behaviour in behaviours:
        name, _, number = behaviour.partition("-")
        if name == "~wall":
            return error_reply(case, int(number))
        if name == "~error" and reply is not None and reply.completes:
            return error_reply(case, int(number))
        if name == "~broken" and reply is not None and reply.framing is not None:
            return broken_reply(case, int(number))
    return reply


def application() -> web.Application:
    upstream = FakeUpstream()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_get("/asked", upstream.tell)
    app.router.add_delete("/asked", upstream.forget)
    app.router.add_route("*", "/{path:.+}", upstream.answer)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake upstream for every provider type.")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    sys.stdout.write("fake upstream starts\n")
    web.run_app(application(), host="127.0.0.1", port=port, handler_cancellation=True, print=None, access_log=None)


if __name__ == "__main__":
    main()
