"""Everything that a worker process holds: opened at start, looked after while it runs, closed at its end."""

import asyncio
import contextlib
from collections.abc import Mapping

import structlog

from shared.bus import Bus, BusDown, CommandRefused
from shared.vital import start_vital
from worker.administration.current import CurrentConfiguration
from worker.administration.intake import Intake
from worker.administration.masks import Masks
from worker.administration.office import Office
from worker.administration.store import OverlayStore
from worker.catalogue import CataloguePublisher, Standing, make_offer
from worker.config.loading import Loaded
from worker.config.problems import ConfigError
from worker.config.schema import Config
from worker.config.watching import watch
from worker.discovery import Discovery
from worker.dispatch import Dispatch
from worker.exchange import clean_ups_ended
from worker.metrics import WorkerMetrics
from worker.secrets import Secrets, state_folder
from worker.upstream import Upstream

_LOOK_EVERY_S = 1.0
_LAST_LOOK_S = 1.0
_log = structlog.get_logger()


class WorkerState:
    """`config` is replaced as a whole when it changes; a request keeps the one it began with."""

    def __init__(
        self,
        bus: Bus,
        loaded: Loaded,
        secrets: Secrets,
        environ: Mapping[str, str],
        metrics: WorkerMetrics,
        *,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        """Before the bus starts. Changes are told of; `look_every_s` is for those whose news got lost, and how often
        fronts hear that a worker still backs their catalogue.
        """
        self.secrets = secrets
        self.metrics = metrics
        self.upstream = Upstream()
        self._file = self._loaded = loaded  # what the file says, and what is in use
        self._environ = environ
        self._look_every_s = look_every_s
        folder = state_folder(environ)
        self.dispatch = Dispatch(bus, self.upstream, secrets, metrics, folder)
        store = OverlayStore(bus, secrets, folder)
        self._current = CurrentConfiguration(bus, store, loaded, environ, self._change, look_every_s=look_every_s)
        masks = Masks(secrets.derive("masks"))
        office = Office(self._current, masks, self.dispatch, environ)
        self._intake = Intake(bus, secrets, office, look_every_s=look_every_s)
        self._discovery = Discovery(
            bus,
            self.upstream.fetch,
            secrets.derive("discovery"),
            credential_of=self.dispatch.renewal.credential_of,
            on_failure=lambda found: metrics.not_listed(found.provider, found.fault),
        )
        self._catalogue = CataloguePublisher(bus, metrics.stands)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_outdated(self) -> bool:
        """Whether fronts may use a newer configuration than this worker has."""
        return self._current.is_behind or self._catalogue.standing is Standing.OUTDATED

    async def open(self, *, administers: bool) -> None:
        """Once the bus is up. A disposable process does not administer: it may die at any time.

        Raises SecretsError if living workers have another secret, and ConfigError if the file does not go with the
        changes that were made over HTTP.
        """
        await self._current.open()
        self._use(self._current.loaded)
        self._offer()
        await self.dispatch.tell()
        await self._catalogue.publish_now()
        self._tasks = [
            start_vital(self._look_after(), "catalogue and discovery"),
            start_vital(self.dispatch.look_after(), "accounts"),
            start_vital(watch(self._file, self._environ, self._use_file, self._keep), "configuration"),
            start_vital(self._current.follow(), "changes"),
        ]
        if administers:
            self._tasks.append(start_vital(self._intake.run(), "administration"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(BusDown, CommandRefused, TimeoutError):
            async with asyncio.timeout(_LAST_LOOK_S):
                await self.dispatch.remember()
        await self._discovery.aclose()
        await clean_ups_ended()
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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_every_s):
                    await self._discovery.news.wait()
            self._discovery.news.clear()

    def _offer(self) -> None:
        """Routes, accounts and catalogue follow the configuration in use and the models discovered for it."""
        self.dispatch.use(self._loaded, self._discovery.models)
        routes, passthrough = self.dispatch.routes, self.config.passthrough
        own = routes.models_of(passthrough.provider) if passthrough else []
        revision = self._discovery.revision
        self._catalogue.offer(
            make_offer(self._loaded, self.secrets, routes.public_models(), routes.patterns(), revision, own)
        )

    @property
    def config(self) -> Config:
        return self._loaded.config

    def _use(self, loaded: Loaded) -> None:
        """What is offered has to be of one piece: a catalogue without the models of its newest provider would stay."""
        self._loaded = loaded
        self._discovery.use(self.config)
        self.metrics.configured(loaded.generation)

    def _use_file(self, file: Loaded) -> None:
        """Raises ConfigError if it does not go with the changes that were made over HTTP."""
        self._current.use_file(file)
        self._use(self._current.loaded)
        _log.info("configuration loaded", file=str(file.path), warnings=list(self._loaded.warnings))

    async def _change(self, loaded: Loaded) -> None:
        """Made over HTTP: in use at once, here and for the fronts. Raises BusDown and CommandRefused."""
        self._use(loaded)
        self._offer()
        await self._catalogue.tick()
        await self.dispatch.tell()
        _log.info("configuration changed", generation=loaded.generation, warnings=list(loaded.warnings))

    def _keep(self, error: ConfigError) -> None:
        self.metrics.reload_failed()
        _log.error("configuration not loaded, the last one stays in use", problems=str(error))
