"""uvicorn, stopping in a way that loses no request: nginx does not send a POST again when a listener has gone."""

import asyncio
import os
import resource
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from api.listener import turn_away
from api.protocol import Protocol
from api.state import FrontState
from shared.errors import Unavailable

_log = structlog.get_logger()
_KEPT_ALIVE_S = 75  # longer than nginx keeps its side, so that the side that sends is the one that closes


class Server(uvicorn.Server):
    """On SIGTERM: serves on for `closing_s` with `Connection: close`, then stops listening and lets streams finish.

    Connections that say nothing are left open for `closing_s` more, since a request may be on its way on each. Streams
    that still run after `drain_s` end with an error that says so. A second signal ends at once.
    """

    def __init__(self, app: FastAPI, state: FrontState) -> None:
        settings = state.settings
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                fd=settings.fd,
                loop="none",
                http=Protocol,
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                forwarded_allow_ips=settings.forwarded_allow_ips,
                timeout_keep_alive=_KEPT_ALIVE_S,
                backlog=4096,
            )
        )
        self.servers: list[asyncio.Server] = []  # until it listens
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None
        raise_file_limit()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._state.draining:
            self.should_exit = self.force_exit = True
            return
        self._state.draining = True
        self._loop.call_soon_threadsafe(self._begin_closing)

    def _begin_closing(self) -> None:
        _log.info("draining", running=len(self._state.relay.pending))
        self._closing = self._loop.create_task(self._stop_listening())
        self._loop.call_later(self._state.settings.drain_s, self._end_streams)

    async def _stop_listening(self) -> None:
        settings = self._state.settings
        await asyncio.sleep(settings.closing_s)
        if settings.fd is None:
            await turn_away([listener for server in self.servers for listener in server.sockets])
        for server in self.servers:
            server.close()
        if settings.fd is not None:  # uvicorn listens on a copy; who is let in by this one is heard by nobody
            os.close(settings.fd)
        self.config.timeout_keep_alive = settings.closing_s
        self.should_exit = True

    def _end_streams(self) -> None:
        for pending in self._state.relay.pending.values():
            pending.fail(Unavailable("The gateway was stopped before the answer was complete. Send the request again."))


def raise_file_limit() -> None:
    """Each client, and each upstream call, is an open file; the usual limit of 1024 is soon used up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
