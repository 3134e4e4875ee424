"""Counts wrong administration keys in Redis, over all fronts together.

Ten wrong keys in a minute from one client address, and this address has to wait, whatever key it brings. A key that was
compared while others were wrong is not told to be right once the tenth has been counted.
"""

import hashlib
from importlib.resources import files
from typing import Final

from shared.bus import Bus, BusDown, CommandRefused, Script
from shared.errors import RateLimited, Unavailable

COUNT: Final = Script("failures", (files("api") / "failures.lua").read_text())
_MOST_WRONG: Final = 10
_WINDOW_MS: Final = 60_000
_MOST_ADDRESSES: Final = 10_000


class Failures:
    def __init__(self, bus: Bus) -> None:
        """Before the bus starts."""
        self._bus = bus
        bus.add_scripts(COUNT)

    async def count(self, address: str, *, wrong: bool) -> None:
        """One key that was compared. Raises RateLimited if the address has to wait, and Unavailable."""
        name = hashlib.sha256(address.encode()).hexdigest()[:32]  # of one length, whatever a proxy says
        try:
            wait_ms = await self._bus.run(COUNT, args=[name, int(wrong), _MOST_WRONG, _WINDOW_MS, _MOST_ADDRESSES])
        except (BusDown, CommandRefused):
            raise Unavailable("Redis cannot be reached. Send the request again.", retry_after_s=2) from None
        if wait_ms:
            raise RateLimited(
                "Too many wrong administration keys came from your address. Wait, then send the right one.",
                code="too_many_failures",
                retry_after_s=wait_ms / 1000,
            )
