"""What the routes of one front share."""

import asyncio
import contextlib
from typing import Final, cast

from starlette.requests import Request

from api.catalogue import CatalogueCache
from api.clocks import Clocks
from api.desk import Desk
from api.failures import Failures
from api.metrics import FrontCollector, FrontMetrics
from api.relay import Relay
from api.settings import ApiSettings
from shared.bus import Bus
from shared.metrics_server import new_registry
from shared.vital import start_vital

_START_S: Final = 2.0


class FrontState:
    """Made once the event loop runs; `start` before the first request, `stop` after the last."""

    def __init__(self, settings: ApiSettings) -> None:
        self.settings = settings
        self.draining = False
        self.bus = Bus(settings.redis_url)
        self.relay = Relay(self.bus)
        self.catalogue = CatalogueCache(self.bus, may_be_open=settings.is_private())
        self.failures = Failures(self.bus)
        self.desk = Desk(self.bus, self.relay.front)
        self.registry = new_registry()
        self.metrics = FrontMetrics(self.registry, self.catalogue)
        self.registry.register(FrontCollector(self.relay, self.bus, self.catalogue, lambda: self.draining))
        self._clocks = Clocks(self.bus, self.relay)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when requests can be served: they come as soon as somebody listens. Does not wait long for Redis."""
        await self.bus.start()
        self._tasks = [start_vital(self.catalogue.run(), "catalogue"), start_vital(self._clocks.run(), "clocks")]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                await self.bus.subscribed.wait()
                await self.catalogue.looked.wait()

    async def stop(self) -> None:
        """Tells workers what has arrived, then leaves."""
        self.relay.send_acknowledgements()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.bus.close()


def front_state(request: Request) -> FrontState:
    return cast("FrontState", request.app.state.front)
