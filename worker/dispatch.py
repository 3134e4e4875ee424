"""Where a worker's requests can go: the route table and the accounts, replaced together when either has changed."""

import asyncio
import secrets as randomness
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import count
from pathlib import Path

import structlog

from shared.bus import Bus, BusDown, CommandRefused
from worker.accounts.leases import RENEW_EVERY_S, Accounts
from worker.accounts.pools import Pool, build_pools
from worker.accounts.remembered import FIELDS, Remembered
from worker.accounts.renewal import Renewal
from worker.accounts.scripts import load_scripts
from worker.accounts.states import AccountView, read_accounts, view_accounts
from worker.config.loading import Loaded
from worker.config.schema import Config
from worker.health import Health
from worker.metrics import WorkerMetrics
from worker.routing.fields import FieldRules, rules_of
from worker.routing.table import RouteTable
from worker.secrets import Secrets
from worker.upstream import Upstream

_log = structlog.get_logger()
_VIEW_EVERY = 3  # renewals


class Dispatch:
    """`routes` and `pools` belong together; a request keeps those it began with."""

    def __init__(self, bus: Bus, upstream: Upstream, secrets: Secrets, metrics: WorkerMetrics, folder: Path) -> None:
        """Before the bus starts. `folder` keeps renewed tokens and states of accounts."""
        self._remembered = Remembered(folder)
        self.accounts = Accounts(bus, load_scripts(), "w" + randomness.token_hex(5), self._remembered.recall)
        self.renewal = Renewal(bus, upstream.fetch, secrets, folder)
        self.routes = RouteTable(Config(), ())
        self.pools: Mapping[str, Pool] = {}
        self.key_rules: Mapping[str, FieldRules] = {}
        """By the name of a client key."""
        self._bus = bus
        self._secret = secrets.derive("accounts")
        self._metrics = metrics
        self._loaded: Loaded | None = None
        self._health = Health(bus, upstream, self.accounts, self.renewal.credential_of)

    def use(self, loaded: Loaded, discovered: Mapping[str, Sequence[str]]) -> None:
        """`discovered` is provider name -> model ids."""
        config = loaded.config
        self.routes = RouteTable.build(config, discovered)
        if loaded is self._loaded:
            return
        self._loaded = loaded
        self.pools = build_pools(config.providers, config.routing.strategy, loaded.generation, self._secret)
        self.key_rules = {key.name: rules_of(key) for key in config.keys}
        self.accounts.use(self.pools)
        for problem in self.routes.dangling():
            _log.warning("a route leads nowhere", model=problem.name, reason=problem.why)

    async def tell(self) -> None:
        """Accounts as they are configured now, rather than with the next request for one. Raises BusDown."""
        await self.accounts.sync(self.pools)

    def digest(self, data: bytes) -> str:
        """A keyed hash, for names in Redis that must tell nothing of what they stand for."""
        return blake2b(data, key=self._secret, digest_size=16).hexdigest()

    async def look_after(self) -> None:
        """Until cancelled: keeps leases alive, checks health where that is asked for, and has the states of accounts at
        hand for metrics.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew_leases())
            tasks.create_task(self._health.look_after(lambda: self._loaded.config if self._loaded else Config()))

    async def _renew_leases(self) -> None:
        for turn in count():
            try:
                await self.accounts.renew()
                if turn % _VIEW_EVERY == 0:
                    await self.remember()
                    self._metrics.accounts = await self.view()
            except (BusDown, CommandRefused) as error:
                _log.debug("leases not renewed", reason=str(error))
            await asyncio.sleep(RENEW_EVERY_S)

    async def view(self) -> list[AccountView]:
        """Raises BusDown."""
        return await view_accounts(self._bus, self._places())

    async def remember(self) -> None:
        """Keeps what became of accounts; a Redis that has lost them is told. Raises BusDown and CommandRefused."""
        known = self._remembered.note(await read_accounts(self._bus, self._places(), FIELDS))
        if self._remembered.unsaved:
            await asyncio.to_thread(self._remembered.save)
        if not known:
            await self.tell()

    def _places(self) -> list[tuple[str, str]]:
        return [(pool.name, name) for pool in self.pools.values() for name in sorted(pool.credentials)]
