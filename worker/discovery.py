"""Asks upstreams for their models in the background, one worker for all, and shares the answers through Redis.

HASH `{ps}:discovered`: `revision` (grows with each change) and, per upstream, `<provider>:<digest of its settings>` ->
msgpack list of model ids; a channel tells of each change. STRING `{ps}:discovery:<the same>:<keyed digest of its
accounts>`: somebody has looked, or is looking, until it expires.
"""

import asyncio
import hashlib
import hmac
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Protocol

import msgpack
import structlog

from shared.bus import Bus, BusDown, CommandRefused, Script
from shared.names import DISCOVERED, DISCOVERED_NEWS, PREFIX
from worker.config.canonical import canonical
from worker.config.schema import Config, CredentialConfig, ProviderConfig
from worker.faults import MISSHAPEN, Fault, UpstreamError, misshapen
from worker.providers.contract import Credential, Settings, UpstreamRequest, UpstreamResponse

STORE = Script("discovery", (files("worker") / "discovery.lua").read_text())
_MOST_BYTES = 8 * 1024 * 1024
_TOTAL_S = 30.0
_MOST_PAGES = 50
_AFTER_FAILURE_S = 30.0
_JITTER = 0.1
_OK = range(200, 300)
# Another account may still be let in; anything else would fail for all of them.
_ACCOUNT_FAULTS = frozenset({Fault.CREDENTIAL_REJECTED, Fault.PERMISSION_DENIED, Fault.QUOTA_EXHAUSTED})
_log = structlog.get_logger()

Models = Mapping[str, tuple[str, ...]]
"""Provider name -> the upstream's model ids."""


class Fetch(Protocol):
    """`Upstream.fetch`."""

    async def __call__(
        self, request: UpstreamRequest, *, connect_s: float, total_s: float, most_bytes: int, proxy: str | None = None
    ) -> UpstreamResponse: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An upstream whose models could not be listed; its last list stays in use."""

    provider: str
    fault: Fault
    message: str


async def configured_values(_: ProviderConfig, credential: CredentialConfig) -> Credential:
    """A credential as the file has it; accounts that sign in bring their own tokens instead."""
    return Credential(credential.name, {name: value.get_secret_value() for name, value in credential.values.items()})


class Discovery:
    """The models of all upstreams that have a list. `changed` is set whenever `models` has become another, `news` when
    there is something for `tick` to do at once.
    """

    def __init__(
        self,
        bus: Bus,
        fetch: Fetch,
        secret: bytes,
        *,
        credential_of: Callable[[ProviderConfig, CredentialConfig], Awaitable[Credential]] = configured_values,
        on_failure: Callable[[Failure], None] = lambda _: None,
    ) -> None:
        """Before the bus starts. `secret` keys what Redis sees of accounts."""
        self.changed = asyncio.Event()
        self.news = asyncio.Event()
        self.revision = 0
        self._bus = bus
        self._fetch = fetch
        self._secret = secret
        self._credential_of = credential_of
        self._on_failure = on_failure
        self._config = Config()
        self._asked: dict[str, ProviderConfig] = {}
        self._entrances: dict[str, str] = {}
        self._lists: dict[str, tuple[str, ...]] = {}
        self._next_look_s: dict[str, float] = {}
        self._failing: dict[str, Fault] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        bus.add_scripts(STORE)
        bus.subscribe(DISCOVERED_NEWS, lambda _: self.news.set())
        bus.on_up.append(lambda _: self.news.set())

    def use(self, config: Config) -> None:
        """Looks after this configuration's upstreams from now on."""
        self._config = config
        self._asked = {_field(p): p for p in config.providers if p.models is None and not p.disabled}
        self._entrances = {field: f"{field}:{_accounts(p, self._secret)}" for field, p in self._asked.items()}
        self.changed.set()
        self.news.set()

    @property
    def models(self) -> Models:
        """What each provider without a list in the file offers: discovered, or what its type always has."""
        return {p.name: self._lists.get(field) or p.kind.static_models for field, p in self._asked.items()}

    async def tick(self) -> None:
        """Once a second: takes over what other workers found, looks where a look is due. Raises BusDown."""
        await self._take_over()
        now_s = asyncio.get_running_loop().time()
        for field, provider in self._asked.items():
            entrance = self._entrances[field]
            if entrance not in self._looks and self._next_look_s.get(entrance, 0) <= now_s:
                self._looks[entrance] = asyncio.create_task(self._look(field, entrance, provider))

    async def aclose(self) -> None:
        for look in self._looks.values():
            look.cancel()
        await asyncio.gather(*self._looks.values(), return_exceptions=True)

    async def _take_over(self) -> None:
        stored = await self._bus.command("HGET", DISCOVERED, "revision")
        if stored is None and self.revision:
            self.revision = 0
            self._next_look_s.clear()  # Redis lost what was found: look again at once, and use the last lists till then
        elif stored is not None and int(stored) != self.revision:
            fields = await self._bus.command("HGETALL", DISCOVERED)
            self._learn(dict(zip(fields[::2], fields[1::2], strict=True)))

    def _learn(self, stored: Mapping[bytes, bytes]) -> None:
        """Of upstreams too that this worker is only about to hear of."""
        self.revision = int(stored.get(b"revision", b"0"))
        self._lists |= {
            field.decode(): tuple(msgpack.unpackb(models)) for field, models in stored.items() if field != b"revision"
        }
        self.changed.set()

    async def _look(self, field: str, entrance: str, provider: ProviderConfig) -> None:
        try:
            wait_s = await self._look_if_first(field, entrance, provider)
        except (BusDown, CommandRefused):
            wait_s = 1.0
        except Exception:  # noqa: BLE001  one provider's mistake must not end the looks at the others
            _log.exception("models not listed", provider=provider.name)
            wait_s = _AFTER_FAILURE_S
        finally:
            del self._looks[entrance]
        self._next_look_s[entrance] = asyncio.get_running_loop().time() + wait_s

    async def _look_if_first(self, field: str, entrance: str, provider: ProviderConfig) -> float:
        """Seconds until the next look. Of all workers, the one that gets the lock looks."""
        lock = f"{PREFIX}discovery:{entrance}"
        if await self._bus.command("SET", lock, "1", "NX", "PX", int(2 * _TOTAL_S * 1000)) is None:
            left_ms: int = await self._bus.command("PTTL", lock)
            return max(left_ms, 0) / 1000 + random.random()  # noqa: S311  no secret
        interval_s = self._config.worker.discovery_s
        try:
            found = await self._ask(provider)
        except UpstreamError as error:
            if error.fault is not Fault.CHALLENGED:  # asked again and again, a site's guard closes the account
                interval_s = min(interval_s, _AFTER_FAILURE_S)
            self._report(Failure(provider.name, error.fault, error.message))
        else:
            if found is not None:
                self._failing.pop(provider.name, None)
                await self._bus.run(STORE, [DISCOVERED], [field, msgpack.packb(found), DISCOVERED_NEWS])
        wait_s = interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  no secret
        await self._bus.command("SET", lock, "1", "PX", int(wait_s * 1000))
        return wait_s

    async def _ask(self, provider: ProviderConfig) -> list[str] | None:
        """Sorted model ids, or None where the upstream has no list. Raises UpstreamError."""
        settings = Settings(provider.name, provider.base_url, provider.options)
        last: UpstreamError | None = None
        for account in provider.credentials:
            if account.disabled:
                continue
            if provider.kind.models_request(settings, await configured_values(provider, account)) is None:
                return None  # before a token is renewed for it
            try:
                return await self._ask_as(provider, settings, await self._credential_of(provider, account))
            except UpstreamError as error:
                if error.fault not in _ACCOUNT_FAULTS:
                    raise
                last = error
        if last is not None:
            raise last
        return None

    async def _ask_as(self, provider: ProviderConfig, settings: Settings, credential: Credential) -> list[str] | None:
        request = provider.kind.models_request(settings, credential)
        if request is None:
            return None
        found: set[str] = set()
        clock = asyncio.get_running_loop().time
        ends_s = clock() + _TOTAL_S
        for _ in range(_MOST_PAGES):
            page, request = await self._page(provider, request, total_s=round(max(ends_s - clock(), 0.1), 1))
            found.update(page)
            if request is None:
                break
        return sorted(found)

    async def _page(
        self, provider: ProviderConfig, request: UpstreamRequest, *, total_s: float
    ) -> tuple[list[str], UpstreamRequest | None]:
        """The model ids of a page, and the request for the next one. Raises UpstreamError."""
        proxy = provider.proxy.get_secret_value() if provider.proxy else None
        connect_s = provider.timeouts.connect_s
        answer = await self._fetch(request, connect_s=connect_s, total_s=total_s, most_bytes=_MOST_BYTES, proxy=proxy)
        try:
            if answer.status not in _OK:
                raise provider.kind.parse_error(answer.status, answer.headers, answer.body)
            return provider.kind.parse_models(answer.body), provider.kind.next_models_request(request, answer.body)
        except MISSHAPEN as error:
            raise misshapen() from error

    def _report(self, failure: Failure) -> None:
        self._on_failure(failure)
        if self._failing.get(failure.provider) is failure.fault:
            return
        self._failing[failure.provider] = failure.fault
        _log.warning("models not listed", provider=failure.provider, fault=failure.fault.value)


def _field(provider: ProviderConfig) -> str:
    """Another address or account is another list."""
    accounts = sorted(credential.name for credential in provider.credentials)
    what = canonical((provider.type, provider.base_url, provider.options, accounts))
    return f"{provider.name}:{hashlib.sha256(what).hexdigest()[:12]}"


def _accounts(provider: ProviderConfig, secret: bytes) -> str:
    """What decides whether the upstream lets anybody in: after another key it is worth looking again at once."""
    values = [
        (account.name, account.disabled, sorted((name, one.get_secret_value()) for name, one in account.values.items()))
        for account in provider.credentials
    ]
    return hmac.digest(secret, canonical(values), hashlib.sha256).hex()[:12]
