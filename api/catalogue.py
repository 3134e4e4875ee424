"""The front's copy of the catalogue that workers publish."""

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Final

import msgpack
import structlog

from shared.bus import Bus, BusDown, CommandRefused
from shared.catalogue import Catalogue
from shared.names import CATALOGUE, CATALOGUE_NEWS

_CHECK_EVERY_S: Final = 0.5
_KEPT_S: Final = 120.0
_log = structlog.get_logger()


class CatalogueCache:
    """Follows the catalogue in Redis: at once by its channel, and by looking at its version besides.

    What was read last serves on for 120 s after it was last found there and readable. Unless `may_be_open`, keys are
    asked for even where the catalogue has it otherwise.
    """

    def __init__(
        self, bus: Bus, *, kept_s: float = _KEPT_S, may_be_open: bool = True, check_every_s: float = _CHECK_EVERY_S
    ) -> None:
        """Before the bus starts. `run` does the work."""
        self._bus = bus
        self._check_every_s = check_every_s
        self._may_be_open = may_be_open
        self._kept_s = kept_s
        self._catalogue: Catalogue | None = None
        self._version = b""
        self._unreadable = b""
        self._seen_at = 0.0  # time.monotonic()
        self._news = asyncio.Event()
        self.looked = asyncio.Event()
        """Set once Redis has been asked, whether or not there was one."""
        bus.subscribe(CATALOGUE_NEWS, lambda _: self._news.set())
        bus.on_up.append(lambda _: self._news.set())

    @property
    def current(self) -> Catalogue | None:
        """None before the first and when the last one is too old to be trusted with keys."""
        if time.monotonic() - self._seen_at > self._kept_s:
            return None
        return self._catalogue

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except BusDown:
                pass  # the bus reconnects by itself, and says so
            except CommandRefused as error:
                _log.warning("redis refused to show the catalogue", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._check_every_s):
                    await self._news.wait()
            self._news.clear()

    async def _look(self) -> None:
        version = await self._bus.command("HGET", CATALOGUE, "version")
        if version != self._version:
            version, body = await self._bus.command("HMGET", CATALOGUE, "version", "body")
            self._read(version, body)
        if version is not None and version == self._version and version != self._unreadable:
            self._seen_at = time.monotonic()
        self.looked.set()

    def _read(self, version: bytes | None, body: bytes | None) -> None:
        if version is None or body is None:
            return
        self._version = version
        try:
            self._catalogue = self._guard(Catalogue.decode(body))
        except (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException) as error:
            self._unreadable = version
            _log.warning("the published catalogue cannot be read", version=int(version), reason=type(error).__name__)

    def _guard(self, catalogue: Catalogue) -> Catalogue:
        if catalogue.auth_required or self._may_be_open:
            return catalogue
        _log.error("server.auth is none, but others reach this front: it asks for keys; listen on 127.0.0.1 instead")
        return replace(catalogue, auth_required=True)
