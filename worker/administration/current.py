"""The configuration in use: the file, and over it the changes made over HTTP, which all workers share."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from shared.bus import Bus, BusDown, CommandRefused
from shared.errors import GatewayError
from shared.names import OVERLAY_NEWS
from worker.administration.refusals import refusal
from worker.administration.store import OverlayStore
from worker.config.loading import Loaded, overlaid
from worker.config.overlay import Overlay
from worker.config.problems import ConfigError

_LOOK_EVERY_S: Final = 1.0
_TRIES: Final = 10
_log = structlog.get_logger()
Edit = Callable[[Overlay, Loaded, Loaded], Overlay]
"""(overlay, the file's configuration, the one in use) -> the overlay that is wanted; may raise GatewayError."""


class CurrentConfiguration:
    """`on_use` takes each new configuration into use, here and for the fronts."""

    def __init__(
        self,
        bus: Bus,
        store: OverlayStore,
        file: Loaded,
        environ: Mapping[str, str],
        on_use: Callable[[Loaded], Awaitable[None]],
        *,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        """Before the bus starts. Changes are told of; `look_every_s` is for those whose news got lost."""
        self.loaded = file
        self._file = file
        self._overlay = Overlay()
        self._refused = 0
        self._store = store
        self._environ = environ
        self._on_use = on_use
        self._look_every_s = look_every_s
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        bus.subscribe(OVERLAY_NEWS, lambda _: self._news.set())
        bus.on_up.append(lambda _: self._news.set())

    @property
    def is_behind(self) -> bool:
        """Whether a change is known of that may not be in use yet."""
        return self._news.is_set() or self._turn.locked()

    async def open(self) -> None:
        """At start, before anything is in use. Raises ConfigError for changes that this file does not go with."""
        found = [self._store.read_copy(), await self._store.fetch()]
        overlay = max((one for one in found if one is not None), key=lambda one: one.generation, default=Overlay())
        self.loaded, self._overlay = overlaid(self._file, overlay, self._environ), overlay
        if overlay.generation:
            await asyncio.to_thread(self._store.keep_copy, overlay)

    def use_file(self, file: Loaded) -> None:
        """The file was edited. Raises ConfigError if it does not go with the changes made over HTTP."""
        self.loaded, self._file = overlaid(file, self._overlay, self._environ), file
        self._refused = 0
        self._news.set()

    async def follow(self) -> None:
        """Until cancelled: takes over what other workers changed, and gives Redis back what it lost."""
        while True:
            try:
                await self.catch_up()
            except (BusDown, CommandRefused) as error:
                _log.debug("changes not looked for", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_every_s):
                    await self._news.wait()
            self._news.clear()

    async def catch_up(self) -> None:
        """To what was changed on other workers. Raises BusDown and CommandRefused."""
        async with self._turn:
            await self._catch_up()

    async def change(self, edit: Edit) -> int:
        """Applies an edit, here and on all workers; its generation.

        Raises InvalidRequest for a configuration that cannot be, BusDown, CommandRefused, and what `edit` raises: then
        nothing was changed.
        """
        async with self._turn:
            for _ in range(_TRIES):
                await self._catch_up()
                before, file = self._overlay, self._file
                wanted = edit(before, file, self.loaded)
                if wanted is before:
                    return before.generation
                wanted = wanted.next()
                loaded = await asyncio.to_thread(self._check, file, wanted)
                if self._file is file and await self._store.put(wanted, over=before.generation):
                    await self._take(wanted, loaded)
                    return wanted.generation
        raise GatewayError(
            "Others change the configuration all the time. Nothing was changed; send the request again.",
            status=409,
            type="invalid_request_error",
            code="conflict",
        )

    def _check(self, file: Loaded, overlay: Overlay) -> Loaded:
        try:
            return overlaid(file, overlay, self._environ)
        except ConfigError as error:
            raise refusal(error, overlay.apply(file.data)) from None

    async def _catch_up(self) -> None:
        stored = await self._store.generation()
        if stored < self._overlay.generation:
            await self._store.put(self._overlay, over=stored)
        elif stored > max(self._overlay.generation, self._refused):
            await self._take_over(stored)

    async def _take_over(self, stored: int) -> None:
        overlay, file = await self._store.fetch(), self._file
        self._refused = stored  # unless it is taken: one complaint for each
        if overlay is None:
            return
        try:
            loaded = await asyncio.to_thread(overlaid, file, overlay, self._environ)
        except ConfigError as error:
            _log.error("changes made over HTTP do not go with this file, the last ones stay", problems=str(error))
            return
        if self._file is file:
            await self._take(overlay, loaded)
        else:
            self._refused = 0

    async def _take(self, overlay: Overlay, loaded: Loaded) -> None:
        self._overlay, self.loaded = overlay, loaded
        await asyncio.to_thread(self._store.keep_copy, overlay)
        await self._on_use(loaded)
