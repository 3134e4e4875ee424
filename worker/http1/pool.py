"""Connections that stay open between requests."""

import asyncio
from collections import deque
from typing import Final

from worker.http1.connection import Connection
from worker.http1.dial import Dialer, Origin

_KEPT_S: Final = 30.0
"""Less than upstreams keep theirs."""


class Pool:
    """As many as are needed, for limits are the accounts' business; the one that was used last is used next, so that
    what a burst has left over is closed.
    """

    def __init__(self, dialer: Dialer, kept_s: float = _KEPT_S) -> None:
        self._dialer = dialer
        self._kept_s = kept_s
        self._idle: dict[Origin, deque[Connection]] = {}
        self._sweep_due = False

    async def take(self, origin: Origin, connect_s: float) -> Connection:
        """Raises UpstreamError."""
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()
            if connection.reusable:
                return connection
            connection.abort()
        return await self._dialer.dial(origin, connect_s)

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """One whose answer was not read to its end is closed."""
        if not connection.reusable:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(origin, deque()).append(connection)
        if not self._sweep_due:
            self._sweep_due = True
            loop.call_later(self._kept_s, self._sweep)

    def _sweep(self) -> None:
        """Closes what nobody has used for so long, before the upstream does it while we send."""
        loop = asyncio.get_running_loop()
        horizon = loop.time() - self._kept_s
        for origin, kept in list(self._idle.items()):
            while kept and kept[0].idle_since <= horizon:
                kept.popleft().abort()
            if not kept:
                del self._idle[origin]
        self._sweep_due = bool(self._idle)
        if self._idle:
            oldest = min(kept[0].idle_since for kept in self._idle.values())
            loop.call_at(oldest + self._kept_s, self._sweep)

    def close(self) -> None:
        for kept in self._idle.values():
            for connection in kept:
                connection.abort()
        self._idle.clear()
