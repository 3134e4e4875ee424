"""Everything that a worker process holds: opened at start, looked after while it runs, closed at its end."""

import asyncio
from collections.abc import Mapping

import structlog

from shared.bus import Bus, BusDown, CommandRefused
from worker.catalogue import CataloguePublisher, Standing, make_offer
from worker.config.loading import Loaded
from worker.config.problems import ConfigError
from worker.config.schema import Config
from worker.config.watching import watch
from worker.discovery import Discovery
from worker.dispatch import Dispatch
from worker.metrics import WorkerMetrics
from worker.secrets import Secrets, state_folder
from worker.upstream import Upstream

_log = structlog.get_logger()


class WorkerState:
    """`config` is replaced as a whole when the file is edited; a request keeps the one it began with."""

    def __init__(
        self, bus: Bus, loaded: Loaded, secrets: Secrets, environ: Mapping[str, str], metrics: WorkerMetrics
    ) -> None:
        self.config: Config = loaded.config
        self.secrets = secrets
        self.metrics = metrics
        self.upstream = Upstream()
        self._bus = bus
        self._loaded = loaded
        self._environ = environ
        self.dispatch = Dispatch(bus, self.upstream, secrets, metrics, state_folder(environ))
        self._discovery = Discovery(
            bus,
            self.upstream.fetch,
            credential_of=self.dispatch.renewal.credential_of,
            on_failure=lambda found: metrics.not_listed(found.provider, found.fault),
        )
        self._catalogue = CataloguePublisher(bus, metrics.stands)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_outdated(self) -> bool:
        """Whether fronts use a newer configuration than this worker has."""
        return self._catalogue.standing is Standing.OUTDATED

    async def open(self) -> None:
        """Once the bus is up. Raises SecretsError if living workers have another secret."""
        self._discovery.use(self.config)
        self.metrics.configured(self._loaded.generation)
        self._offer()
        await self._catalogue.publish_now()
        self._tasks = [
            asyncio.create_task(self._look_after(), name="catalogue and discovery"),
            asyncio.create_task(self.dispatch.look_after(), name="accounts"),
            asyncio.create_task(watch(self._loaded, self._environ, self._use, self._keep), name="configuration"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._discovery.aclose()
        await self.upstream.aclose()

    async def _look_after(self) -> None:
        while True:
            try:
                await self._discovery.tick()
                if self._discovery.changed.is_set():
                    self._discovery.changed.clear()
                    self._offer()
                await self._catalogue.tick()
            except (BusDown, CommandRefused) as error:
                _log.debug("catalogue not refreshed", reason=str(error))
            await asyncio.sleep(1)

    def _offer(self) -> None:
        """Routes, accounts and catalogue follow the configuration and the discovered models."""
        self.dispatch.use(self._loaded, self._discovery.models)
        routes, passthrough = self.dispatch.routes, self.config.passthrough
        own = routes.models_of(passthrough.provider) if passthrough else []
        revision = self._discovery.revision
        self._catalogue.offer(
            make_offer(self._loaded, self.secrets, routes.public_models(), routes.patterns(), revision, own)
        )

    def _use(self, loaded: Loaded) -> None:
        self._loaded, self.config = loaded, loaded.config
        self._discovery.use(loaded.config)
        self.metrics.configured(loaded.generation)
        _log.info("configuration loaded", file=str(loaded.path), warnings=list(loaded.warnings))

    def _keep(self, error: ConfigError) -> None:
        self.metrics.reload_failed()
        _log.error("configuration not loaded, the last one stays in use", problems=str(error))
