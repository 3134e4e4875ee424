"""Waits for work: for the token that wakes one worker, for a free slot, or for a parked job to be due."""

import asyncio
import contextlib
from typing import Any

from shared.bus import BusDown
from shared.names import WAKE
from shared.pipe import Link, Pipe

_IDLE_S = 2.0


class Waker:
    """BLPOP blocks its connection, so it has one of its own; `run` keeps that."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, _greet_nothing)
        self._poked = False
        self._waiter: asyncio.Future[None] | None = None
        self._token: asyncio.Future[Any] | None = None
        self._wanted = False

    async def run(self) -> None:
        await self._link.run()

    def poke(self) -> None:
        """There may be something to do: a slot is free, a parked job is due, the host is to end."""
        self._poked = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, *, for_token: bool) -> None:
        """At most two seconds, then look again: whatever was missed is found then. Not `for_token`, one that comes
        nevertheless wakes another worker.
        """
        self._wanted = for_token
        if self._token is not None and self._token.done():
            self._pass_on(self._token)
        token = self._pending_token() if for_token else None
        if not (self._poked or (token is not None and token.done())):
            await self._rest()
        self._poked = False
        if self._token is not None and self._token.done():
            came, self._token = self._token, None
            if came.exception() is not None:  # the connection broke and is being mended
                await asyncio.sleep(0.05)

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(_IDLE_S, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _pending_token(self) -> asyncio.Future[Any]:
        """A BLPOP that was not answered yet goes on from one wait to the next."""
        if self._token is None:
            try:
                if self._link.pipe is None:
                    raise BusDown("not connected")  # noqa: TRY301  one way to say it
                self._token = self._link.pipe.request("BLPOP", WAKE, _IDLE_S)
                self._token.add_done_callback(self._pass_on)
            except BusDown as error:
                self._token = asyncio.get_running_loop().create_future()
                self._token.set_exception(error)
        return self._token

    def _pass_on(self, token: asyncio.Future[Any]) -> None:
        if self._wanted or self._token is not token:
            self._wake()
            return
        self._token = None
        if self._link.pipe is not None and token.exception() is None and token.result() is not None:
            with contextlib.suppress(BusDown):
                self._link.pipe.send(("LPUSH", WAKE, "1"), None)


async def _greet_nothing(pipe: Pipe) -> None:
    """A connection that only waits needs no preparation."""
