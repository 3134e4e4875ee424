"""Opt-in health checks: finds dead accounts before users do, and brings those back that work again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from shared.bus import Bus, BusDown, CommandRefused
from worker.accounts.leases import Accounts
from worker.accounts.names import checked_key
from worker.accounts.states import State, consequence, view_accounts
from worker.answer import UpstreamAnswer
from worker.config.schema import Config, CredentialConfig, HealthCheck, ProviderConfig
from worker.faults import MISSHAPEN, Fault, UpstreamError, misshapen
from worker.providers.contract import ChatCall, Credential, Settings
from worker.upstream import Upstream

_TICK_S: Final = 1.0
_TOTAL_S: Final = 30.0
_MOST_BYTES: Final = 8 * 1024 * 1024
_OK: Final = range(200, 300)
# A model list or one token proves nothing about money and little about limits.
_PROVEN_WRONG: Final = frozenset(
    {Fault.CREDENTIAL_REJECTED, Fault.UPSTREAM_FAULT, Fault.TIMED_OUT, Fault.OVERLOADED, Fault.CHALLENGED}
)
_log = structlog.get_logger()


class Health:
    """Of all workers, the one that comes first in each interval checks."""

    def __init__(
        self,
        bus: Bus,
        upstream: Upstream,
        accounts: Accounts,
        credential_of: Callable[[ProviderConfig, CredentialConfig], Awaitable[Credential]],
    ) -> None:
        self._bus = bus
        self._upstream = upstream
        self._accounts = accounts
        self._credential_of = credential_of
        self._running: set[asyncio.Task[None]] = set()

    async def look_after(self, config_now: Callable[[], Config]) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    await self._tick(config_now())
                except (BusDown, CommandRefused) as error:
                    _log.debug("health not checked", reason=str(error))
                await asyncio.sleep(_TICK_S)
        finally:
            for task in self._running:
                task.cancel()

    async def _tick(self, config: Config) -> None:
        for provider in config.providers:
            check = provider.health_check
            if check is None or provider.disabled:
                continue
            for account in provider.credentials:
                key = checked_key(provider.name, account.name)
                if account.disabled or not await self._bus.command(
                    "SET", key, "1", "NX", "PX", int(check.every_s * 1000)
                ):
                    continue
                task = asyncio.create_task(self.check(provider, account, check))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def check(self, provider: ProviderConfig, account: CredentialConfig, check: HealthCheck) -> None:
        """One account, whatever comes of it."""
        try:
            proven_wrong = await self._ask(provider, await self._credential_of(provider, account), check)
        except UpstreamError as error:
            suffered = consequence(error.fault, error.retry_after_s)
            if suffered is not None:
                self._accounts.bench(provider.name, account.name, error.fault, suffered)
            _log.info("health check failed", provider=provider.name, credential=account.name, fault=error.fault.value)
            return
        (view,) = await view_accounts(self._bus, [(provider.name, account.name)])
        if view.state in {State.COOLING, State.NEEDS_RENEWAL} and view.cause in proven_wrong:
            self._accounts.revive(provider.name, account.name)

    async def _ask(self, provider: ProviderConfig, credential: Credential, check: HealthCheck) -> frozenset[Fault]:
        """The faults that the answer proves wrong. Raises UpstreamError."""
        base_url = provider.base_url or provider.kind.default_base_url or ""
        settings = Settings(provider.name, base_url, provider.options, drop_params=True)
        proxy = provider.proxy.get_secret_value() if provider.proxy else None
        if check.model is not None:
            body = {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
            call = ChatCall(body, check.model, False, "chatcmpl-health", int(time.time()), settings)
            answer = UpstreamAnswer(
                self._upstream,
                provider.kind,
                call,
                credential,
                provider.timeouts,
                include_usage=False,
                most_bytes=_MOST_BYTES,
                proxy=proxy,
            )
            try:
                await answer.first()
            finally:
                await answer.aclose()
            return _PROVEN_WRONG
        request = provider.kind.models_request(settings, credential)
        if request is None:
            return frozenset()
        connect_s = provider.timeouts.connect_s
        found = await self._upstream.fetch(
            request, connect_s=connect_s, total_s=_TOTAL_S, most_bytes=_MOST_BYTES, proxy=proxy
        )
        if found.status not in _OK:
            raise provider.kind.parse_error(found.status, found.headers, found.body)
        try:
            provider.kind.parse_models(found.body)
        except MISSHAPEN as error:
            raise misshapen() from error
        return _PROVEN_WRONG - {Fault.CHALLENGED}  # sites show their lists to everybody, and guard their answers
