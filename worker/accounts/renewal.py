"""Tokens of accounts that sign in: renewed before they expire, by one worker for all, and kept encrypted.

In Redis for the other workers, and in the state folder for the time after a Redis that kept nothing.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgpack
import structlog

from shared.bus import Bus, BusDown, CommandRefused
from worker.accounts.entra import ENTRA, assertion_path, may_ask, service_of, token_request
from worker.accounts.names import renewing_key, token_key
from worker.accounts.oauth import SERVICES, Client, Service, Tokens, read_tokens, refresh_request
from worker.config.schema import CredentialConfig, ProviderConfig
from worker.discovery import Fetch, configured_values
from worker.faults import Fault, UpstreamError
from worker.providers.contract import Credential, UpstreamRequest
from worker.secrets import SealBroken, Secrets
from worker.whole_file import write_whole

_LEASE_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.1
_PAUSE_S: Final = 5.0
"""After a renewal that failed nobody asks for so long: each request would, and would wait for it."""
_CONNECT_S: Final = 10.0
_TOTAL_S: Final = 20.0
_MOST_BYTES: Final = 1024 * 1024
_MOST_ASSERTION_BYTES: Final = 64 * 1024
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Pause:
    """`until_s` is the loop's clock."""

    until_s: float
    fault: Fault
    message: str


class Renewal:
    """The credentials as they are now. `folder` keeps tokens over a restart of everything."""

    def __init__(self, bus: Bus, fetch: Fetch, secrets: Secrets, folder: Path, *, pause_s: float = _PAUSE_S) -> None:
        self._pause_s = pause_s
        self._bus = bus
        self._fetch = fetch
        self._secrets = secrets
        self._folder = folder
        self._tokens: dict[tuple[str, str], tuple[str, Tokens]] = {}
        self._renewing: dict[tuple[str, str], asyncio.Task[Tokens]] = {}
        self._paused: dict[tuple[str, str], _Pause] = {}

    async def credential_of(self, provider: ProviderConfig, account: CredentialConfig) -> Credential:
        """With a token that is not about to expire. Raises UpstreamError when it has and cannot be renewed."""
        plain = await configured_values(provider, account)
        if not is_renewable(provider, plain.values):
            return plain
        tokens = await self._known(provider, plain)
        if tokens.is_stale(time.time()):
            try:
                tokens = await self._renew_once(provider, plain, tokens)
            except UpstreamError as error:
                still_good = tokens.expires_at is not None and tokens.expires_at > time.time()
                if error.fault is Fault.CREDENTIAL_REJECTED or not still_good:
                    raise
        return Credential(plain.name, {**plain.values, **tokens.values()})

    async def renew_refused(self, provider: ProviderConfig, account: CredentialConfig, access_token: str) -> None:
        """The upstream refused this token: gets another, unless somebody has already. Raises UpstreamError."""
        plain = await configured_values(provider, account)
        tokens = await self._known(provider, plain)
        if tokens.access_token == access_token:
            await self._renew_once(provider, plain, tokens)

    # ---- what is known

    async def _known(self, provider: ProviderConfig, plain: Credential) -> Tokens:
        """From memory, Redis, the state folder or the configuration; a new sign-in in the file replaces all others."""
        place, origin = (provider.name, plain.name), _origin(plain.values)
        kept = self._tokens.get(place)
        if kept is None or kept[0] != origin or kept[1].is_stale(time.time()):
            found = await self._stored(place, origin) or self._read_file(place, origin)
            tokens = found or (kept[1] if kept and kept[0] == origin else Tokens.from_values(plain.values))
            kept = self._tokens[place] = origin, tokens
        return kept[1]

    async def _stored(self, place: tuple[str, str], origin: str) -> Tokens | None:
        with contextlib.suppress(BusDown, CommandRefused):
            return self._open(await self._bus.command("GET", token_key(*place)), origin)
        return None

    def _open(self, box: bytes | None, origin: str) -> Tokens | None:
        if not box:
            return None
        try:
            of, values = msgpack.unpackb(self._secrets.decrypt(box))
        except (SealBroken, ValueError):
            return None
        return Tokens.from_values(values) if of == origin else None

    # ---- renewing

    async def _renew_once(self, provider: ProviderConfig, plain: Credential, before: Tokens) -> Tokens:
        """However many requests of this worker want it. Raises UpstreamError."""
        place = provider.name, plain.name
        task = self._renewing.get(place)
        if task is None:
            pause = self._paused.get(place)
            if pause is not None and asyncio.get_running_loop().time() < pause.until_s:
                raise UpstreamError(pause.fault, pause.message, sent=False)
            task = self._renewing[place] = asyncio.create_task(self._renew(provider, plain, before))
            task.add_done_callback(lambda _: self._renewing.pop(place, None))
        return await asyncio.shield(task)

    async def _renew(self, provider: ProviderConfig, plain: Credential, before: Tokens) -> Tokens:
        """Here, or wherever it is being done. Raises UpstreamError."""
        place, origin = (provider.name, plain.name), _origin(plain.values)
        try:
            await self._lock(place)
            try:
                found = await self._stored(place, origin)
                if found is None or found.access_token == before.access_token:
                    found = await self._ask(provider, plain, before)
                    self._tokens[place] = origin, found  # first of all: what it was renewed with may be spent
                    await self._keep(place, origin, found)
            finally:
                with contextlib.suppress(BusDown):
                    self._bus.post("DEL", renewing_key(*place))
        except (BusDown, CommandRefused) as error:  # without the lock two workers could spend one refresh token
            text = "A token cannot be renewed without Redis."
            raise UpstreamError(Fault.UPSTREAM_FAULT, text, sent=False) from error
        self._tokens[place] = origin, found
        return found

    async def _lock(self, place: tuple[str, str]) -> None:
        lock, lease_ms = renewing_key(*place), round(_LEASE_S * 1000)
        while await self._bus.command("SET", lock, "1", "NX", "PX", lease_ms) is None:  # noqa: ASYNC110  others' state
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _ask(self, provider: ProviderConfig, plain: Credential, before: Tokens) -> Tokens:
        try:
            service, request = await _question(provider, plain.values, before)
            proxy = provider.proxy.get_secret_value() if provider.proxy and not service.local else None
            answer = await self._fetch(
                request, connect_s=_CONNECT_S, total_s=_TOTAL_S, most_bytes=_MOST_BYTES, proxy=proxy
            )
            tokens = read_tokens(service, answer, time.time(), before)
        except UpstreamError as error:
            _log.warning("token not renewed", provider=provider.name, credential=plain.name, reason=error.message)
            if error.fault is not Fault.CREDENTIAL_REJECTED:
                until_s = asyncio.get_running_loop().time() + self._pause_s
                self._paused[provider.name, plain.name] = _Pause(until_s, error.fault, error.message)
            raise
        _log.info("token renewed", provider=provider.name, credential=plain.name)
        return tokens

    async def _keep(self, place: tuple[str, str], origin: str, tokens: Tokens) -> None:
        box = self._secrets.encrypt(msgpack.packb([origin, tokens.values()]))
        try:
            write_whole(self._path(place), box)
        except OSError as error:
            _log.warning("token not kept in the state folder", credential=place[1], reason=error.strerror)
        await self._share(place, box)

    async def _share(self, place: tuple[str, str], box: bytes) -> None:
        """Waits while Redis is away: others would renew with what is spent. Raises CommandRefused."""
        while True:
            try:
                await self._bus.command("SET", token_key(*place), box)
            except BusDown:
                await asyncio.sleep(_LOOK_AGAIN_S)
                await self._bus.up.wait()
            else:
                return

    # ---- the state folder

    def _path(self, place: tuple[str, str]) -> Path:
        return self._folder / f"token-{hashlib.sha256('/'.join(place).encode()).hexdigest()[:24]}"

    def _read_file(self, place: tuple[str, str], origin: str) -> Tokens | None:
        try:
            return self._open(self._path(place).read_bytes(), origin)
        except OSError:
            return None


def is_renewable(provider: ProviderConfig, values: Mapping[str, str]) -> bool:
    if provider.type == ENTRA.type_name:
        return may_ask(values)
    return provider.type in SERVICES and bool(values.get("refresh_token") and values.get("client_id"))


async def _question(
    provider: ProviderConfig, values: Mapping[str, str], before: Tokens
) -> tuple[Service, UpstreamRequest]:
    """Raises UpstreamError for a file that cannot be read."""
    if provider.type == ENTRA.type_name:
        path = assertion_path(values)
        assertion = await asyncio.to_thread(_read_assertion, Path(path)) if path else ""
        return service_of(values), token_request(values, assertion)
    service, client = SERVICES[provider.type], Client(values["client_id"], values.get("client_secret", ""))
    return service, refresh_request(service, client, before.refresh_token)


def _read_assertion(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_ASSERTION_BYTES).decode(errors="replace").strip()
    except OSError as error:
        reason = error.strerror
    else:
        if text:
            return text
        reason = "it is empty"
    text = f"federated_token_file {path} cannot be read ({reason}). Mount it where the workers run."
    raise UpstreamError(Fault.CREDENTIAL_REJECTED, text, sent=False)


def _origin(values: Mapping[str, str]) -> str:
    """Tells one sign-in from another; it stays inside the encrypted box."""
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()
