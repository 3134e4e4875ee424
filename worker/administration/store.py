"""Keeps the overlay: encrypted in Redis for all workers, and in each state folder for the time after a lost Redis."""

from importlib.resources import files
from pathlib import Path
from typing import Final

import structlog

from shared.bus import Bus, Script
from shared.names import OVERLAY, OVERLAY_NEWS
from worker.config.overlay import Overlay
from worker.secrets import SealBroken, Secrets
from worker.whole_file import write_whole

PUT: Final = Script("overlay", (files("worker.administration") / "overlay.lua").read_text())
_FILE: Final = "overlay"
_log = structlog.get_logger()


class OverlayStore:
    def __init__(self, bus: Bus, secrets: Secrets, folder: Path) -> None:
        """Before the bus starts. `folder` is the state folder."""
        self._bus = bus
        self._secrets = secrets
        self._folder = folder
        bus.add_scripts(PUT)

    async def generation(self) -> int:
        """That of the overlay in Redis, 0 where there is none. Raises BusDown and CommandRefused."""
        return int(await self._bus.command("HGET", OVERLAY, "generation") or 0)

    async def fetch(self) -> Overlay | None:
        """From Redis; None where there is none that this worker can read. Raises BusDown and CommandRefused."""
        return self._open(await self._bus.command("HGET", OVERLAY, "body"), "Redis")

    async def put(self, overlay: Overlay, over: int) -> bool:
        """Into Redis, unless the one there is not of generation `over`. Raises BusDown and CommandRefused."""
        args = (over, overlay.generation, self._secrets.encrypt(overlay.encode()), OVERLAY_NEWS)
        done: int = await self._bus.run(PUT, [OVERLAY], args)
        return done == 1

    def read_copy(self) -> Overlay | None:
        """From the state folder."""
        try:
            return self._open((self._folder / _FILE).read_bytes(), "the state folder")
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("changes made over HTTP cannot be read", source="state folder", reason=error.strerror)
            return None

    def keep_copy(self, overlay: Overlay) -> None:
        """A folder that takes nothing is only told: Redis has it."""
        try:
            write_whole(self._folder / _FILE, self._secrets.encrypt(overlay.encode()))
        except OSError as error:
            _log.warning("changes made over HTTP are not in the state folder", reason=error.strerror)

    def _open(self, box: bytes | None, source: str) -> Overlay | None:
        if not box:
            return None
        try:
            return Overlay.decode(self._secrets.decrypt(box))
        except (SealBroken, ValueError) as error:
            _log.error("changes made over HTTP cannot be read", source=source, reason=str(error))
            return None
