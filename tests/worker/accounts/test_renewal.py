"""Tokens are renewed before they expire, by one worker for all, and outlive whatever held them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import orjson
import pytest
from pydantic import SecretStr

from shared.bus import Bus
from tests.servers import RedisServer
from worker.accounts.renewal import Renewal
from worker.config.schema import CredentialConfig, ProviderConfig
from worker.discovery import Fetch
from worker.faults import Fault, UpstreamError
from worker.providers.contract import UpstreamRequest, UpstreamResponse
from worker.secrets import Secrets

PROVIDER = ProviderConfig.model_construct(name="cli", type="qwen-code", proxy=None)
SECRETS = Secrets(b"0123456789abcdef0123456789abcdef")


def account(*, expires_in_s: float | None, refresh_token: str = "refresh-0") -> CredentialConfig:
    expiry = "" if expires_in_s is None else datetime.fromtimestamp(time.time() + expires_in_s, UTC).isoformat()
    values = {"access_token": "access-0", "refresh_token": refresh_token, "client_id": "id", "expiry": expiry}
    return CredentialConfig(name="ann", values={name: SecretStr(value) for name, value in values.items()})


class SignInService:
    """Each refresh token is good once, as Qwen's are."""

    def __init__(self) -> None:
        self.good = "refresh-0"
        self.asked = 0
        self.down = False
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens elsewhere while it answers."""

    async def fetch(
        self, request: UpstreamRequest, *, connect_s: float, total_s: float, most_bytes: int, proxy: str | None = None
    ) -> UpstreamResponse:
        del connect_s, total_s, most_bytes, proxy
        await asyncio.sleep(0.01)
        self.asked += 1
        self.meanwhile()
        if self.down:
            return UpstreamResponse(500, {}, b"")
        if parse_qs(request.body.decode())["refresh_token"] != [self.good]:
            return UpstreamResponse(400, {}, b'{"error": "invalid_grant"}')
        self.good = f"refresh-{self.asked}"
        tokens = {"access_token": f"access-{self.asked}", "refresh_token": self.good, "expires_in": 3600}
        return UpstreamResponse(200, {}, orjson.dumps(tokens))


class TokenService:
    """What apps and machines ask: as many tokens as they want. `asked` has each request and its proxy."""

    def __init__(self) -> None:
        self.asked: list[tuple[UpstreamRequest, str | None]] = []

    async def fetch(
        self, request: UpstreamRequest, *, connect_s: float, total_s: float, most_bytes: int, proxy: str | None = None
    ) -> UpstreamResponse:
        del connect_s, total_s, most_bytes
        self.asked.append((request, proxy))
        tokens = {"access_token": f"access-{len(self.asked)}", "expires_in": 3600}
        return UpstreamResponse(200, {}, orjson.dumps(tokens))


class Workers:
    def __init__(self, url: str, folder: Path, stack: AsyncExitStack) -> None:
        self.service = SignInService()
        self.bus = Bus(url)
        self._url, self._folder, self._stack = url, folder, stack

    async def add(self, folder: str = "state", *, pause_s: float = 5, fetch: Fetch | None = None) -> Renewal:
        bus = Bus(self._url)
        await bus.start()
        self._stack.push_async_callback(bus.close)
        await bus.up.wait()
        self.bus = bus
        return Renewal(bus, fetch or self.service.fetch, SECRETS, self._folder / folder, pause_s=pause_s)


@pytest.fixture
async def workers(redis_url: str, tmp_path: Path) -> AsyncIterator[Workers]:
    async with AsyncExitStack() as stack:
        yield Workers(redis_url, tmp_path, stack)


async def token(renewal: Renewal, credential: CredentialConfig) -> str:
    return (await renewal.credential_of(PROVIDER, credential)).values["access_token"]


async def test_a_token_that_is_good_is_used_as_it_is(workers: Workers) -> None:
    assert await token(await workers.add(), account(expires_in_s=600)) == "access-0"
    assert workers.service.asked == 0


async def test_a_token_about_to_expire_is_renewed_once_for_all_workers(workers: Workers) -> None:
    renewals = [await workers.add(f"state-{i}") for i in range(4)]
    credential = account(expires_in_s=30)
    found = await asyncio.gather(*(token(renewal, credential) for renewal in renewals for _ in range(5)))
    assert set(found) == {"access-1"}
    assert workers.service.asked == 1


async def test_an_unknown_expiry_is_used_and_renewed_when_refused(workers: Workers) -> None:
    renewals = [await workers.add() for _ in range(2)]
    credential = account(expires_in_s=None)
    assert await token(renewals[0], credential) == "access-0"
    await asyncio.gather(*(renewal.renew_refused(PROVIDER, credential, "access-0") for renewal in renewals))
    assert [await token(renewal, credential) for renewal in renewals] == ["access-1"] * 2
    assert workers.service.asked == 1


@pytest.mark.parametrize("lost", ["redis", "memory", "folder"])
async def test_a_renewed_token_outlives_each_of_its_places(workers: Workers, lost: str) -> None:
    """The refresh token of the file is spent by then."""
    credential = account(expires_in_s=30)
    renewal = await workers.add()
    assert await token(renewal, credential) == "access-1"
    if lost == "redis":
        await workers.bus.command("FLUSHALL")
    if lost != "memory":
        assert await token(await workers.add("elsewhere" if lost == "folder" else "state"), credential) == "access-1"
    assert await token(renewal, credential) == "access-1"
    assert workers.service.asked == 1


async def test_a_new_sign_in_in_the_file_replaces_what_is_kept(workers: Workers) -> None:
    renewal = await workers.add()
    assert await token(renewal, account(expires_in_s=30)) == "access-1"
    workers.service.good = "refresh-new"
    assert await token(renewal, account(expires_in_s=600, refresh_token="refresh-new")) == "access-0"


async def test_no_token_lies_in_redis_or_in_a_file_in_clear(workers: Workers, tmp_path: Path) -> None:
    await token(await workers.add(), account(expires_in_s=30))
    kept = [await workers.bus.command("GET", "{ps}:token:cli/ann")]
    kept += [path.read_bytes() for path in (tmp_path / "state").iterdir()]
    assert len(kept) == 2
    assert all(box and b"access" not in box and b"refresh" not in box for box in kept)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "state").iterdir())


async def test_a_sign_in_that_has_ended_is_told_with_what_to_do(workers: Workers) -> None:
    workers.service.good = "another"
    with pytest.raises(UpstreamError, match="penstock login qwen-code") as error:
        await token(await workers.add(), account(expires_in_s=30))
    assert error.value.fault is Fault.CREDENTIAL_REJECTED


async def test_a_sign_in_service_that_fails_for_a_moment_costs_nothing_while_the_token_is_good(
    workers: Workers,
) -> None:
    workers.service.down = True
    renewal = await workers.add()
    assert await token(renewal, account(expires_in_s=30)) == "access-0"
    with pytest.raises(UpstreamError):
        await token(renewal, account(expires_in_s=-30, refresh_token="refresh-other"))


async def test_a_sign_in_service_that_fails_is_not_asked_by_every_request(workers: Workers) -> None:
    """Each would wait for it besides."""
    workers.service.down = True
    credential = account(expires_in_s=-30)
    renewal = await workers.add(pause_s=600)
    for _ in range(3):
        with pytest.raises(UpstreamError) as error:
            await token(renewal, credential)
        assert error.value.fault is Fault.UPSTREAM_FAULT
    assert workers.service.asked == 1
    workers.service.down = False
    assert await token(await workers.add(pause_s=0), credential) == "access-2"


async def test_a_token_that_was_renewed_while_redis_went_away_is_shared_when_it_is_back(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """The refresh token of before is spent, and another machine's state folder does not have the new one."""
    async with AsyncExitStack() as stack:
        workers = Workers(redis_server.url, tmp_path, stack)
        renewal, credential = await workers.add("here"), account(expires_in_s=30)
        gone = asyncio.Event()

        def go() -> None:
            redis_server.kill()
            gone.set()

        workers.service.meanwhile = go
        renewing = asyncio.create_task(token(renewal, credential))
        await gone.wait()
        await asyncio.to_thread(redis_server.start)
        assert await renewing == "access-1"
        workers.service.meanwhile = lambda: None
        assert await token(await workers.add("there"), credential) == "access-1"
    assert workers.service.asked == 1


AZURE = ProviderConfig.model_construct(name="azure", type="azure-openai", proxy=SecretStr("http://proxy:3128"))


def app(**values: str) -> CredentialConfig:
    return CredentialConfig(name="app", values={name: SecretStr(value) for name, value in values.items()})


async def test_a_workloads_file_is_read_for_each_token(workers: Workers, tmp_path: Path) -> None:
    """Its platform writes another from time to time."""
    file, service = tmp_path / "assertion", TokenService()
    workload = app(tenant_id="t", client_id="app", federated_token_file=str(file))
    renewal = await workers.add(fetch=service.fetch)
    with pytest.raises(UpstreamError, match=r"assertion cannot be read .* where the workers run") as error:
        await renewal.credential_of(AZURE, workload)
    assert error.value.fault is Fault.CREDENTIAL_REJECTED
    file.write_text("assertion-1\n")
    assert (await renewal.credential_of(AZURE, workload)).values["access_token"] == "access-1"
    file.write_text("assertion-2\n")
    await renewal.renew_refused(AZURE, workload, "access-1")
    assert (await renewal.credential_of(AZURE, workload)).values["access_token"] == "access-2"
    shown = [parse_qs(request.body.decode())["client_assertion"] for request, _ in service.asked]
    assert shown == [["assertion-1"], ["assertion-2"]]
    assert {proxy for _, proxy in service.asked} == {"http://proxy:3128"}


async def test_no_proxy_leads_to_a_machines_own_service(workers: Workers) -> None:
    service = TokenService()
    credential = await (await workers.add(fetch=service.fetch)).credential_of(AZURE, app(managed_identity="system"))
    assert credential.values["access_token"] == "access-1"
    assert [proxy for _, proxy in service.asked] == [None]
