"""nginx/ with a real nginx: it streams, tells of hang-ups, and hides that a front leaves."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.gateway import Gateway
from tests.servers import ROOT, wait_until
from tests.system import CLIENT_KEY

pytestmark = pytest.mark.needs("nginx")
_HEADERS = {"Authorization": f"Bearer {CLIENT_KEY}"}
_ENDLESS = "num-n1000000-g1000"  # a million seconds: whoever waits for its end waits for ever


class _HungUp:
    def __init__(self, gateway: Gateway, nonce: str) -> None:
        self._gateway, self._nonce = gateway, nonce

    def __call__(self) -> bool:
        return self._gateway.calls()[self._nonce]["hung_up"] == 1


async def test_the_first_token_passes_at_once_and_a_hang_up_reaches_the_upstream(gateway: Gateway) -> None:
    answer = await gateway.client.ask(_ENDLESS, hang_up_after=1, limit_s=20)
    assert answer.tokens == 1
    assert not answer.wrong
    await asyncio.to_thread(wait_until, "the hang-up", _HungUp(gateway, answer.nonce))


async def test_a_front_that_was_killed_loses_no_new_request(gateway: Gateway) -> None:
    gateway.system.fronts[0].process.kill()
    answers = await asyncio.gather(*[gateway.client.ask("num-n3", stream=i % 2 == 0) for i in range(20)])
    assert all(answer.exact(3) for answer in answers)


async def _say_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


async def test_a_front_that_is_just_back_is_asked_when_there_is_no_other(gateway: Gateway) -> None:
    """Nginx leaves it alone until a request there has ended; in a rolling restart its neighbour is gone by then."""
    ports = [front.port for front in gateway.system.fronts]
    for front in gateway.system.fronts:
        front.process.kill()
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        for down, up in (ports, ports[::-1]):
            assert up != down
            server = await asyncio.start_server(_say_ok, "127.0.0.1", up)
            statuses = [(await client.get("/livez")).status_code for _ in range(4)]
            server.close()
            await server.wait_closed()
            assert statuses == [200] * 4


class _Counted:
    """Log lines are written after the answer."""

    def __init__(self, read: Callable[[], str], text: str, count: int = 1) -> None:
        self._read, self._text, self._count = read, text, count

    def __call__(self) -> bool:
        return self._read().count(self._text) == self._count


async def test_both_fronts_are_used(gateway: Gateway) -> None:
    await asyncio.gather(*[gateway.client.ask("num-n5-g20") for _ in range(20)])
    used = {line["front"] for line in gateway.lines() if line["url.path"] == "/v1/chat/completions"}
    assert used == {f"127.0.0.1:{front.port}" for front in gateway.system.fronts}


def test_the_front_sees_the_clients_address_and_believes_nobody_else(gateway: Gateway) -> None:
    forged = {**_HEADERS, "X-Forwarded-For": "203.0.113.9"}
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.7")) as client:
        assert client.get(f"{gateway.url}/v1/models", headers=_HEADERS).is_success
        assert client.get(f"{gateway.system.url}/v1/models", headers=forged).is_success
    wait_until("both lines", _Counted(gateway.system.logs, '"client.address":"127.0.0.7"', 2))
    assert "203.0.113.9" not in gateway.system.logs()


def test_a_request_keeps_one_id_through_nginx_and_front(gateway: Gateway) -> None:
    named = httpx.get(f"{gateway.url}/v1/models", headers={**_HEADERS, "X-Request-ID": "my-own-id"})
    unnamed = httpx.get(f"{gateway.url}/v1/models", headers=_HEADERS)
    assert named.headers["x-request-id"] == "my-own-id"
    given = unnamed.headers["x-request-id"]
    wait_until("nginx's line", _Counted(lambda: str(gateway.lines()), given))
    wait_until("the front's line", _Counted(gateway.system.logs, given))


def test_no_key_and_no_query_reaches_nginx_logs(gateway: Gateway) -> None:
    httpx.get(f"{gateway.url}/v1/models?key={CLIENT_KEY}", headers=_HEADERS)
    wait_until("nginx's line", _Counted(lambda: str(gateway.lines()), "'/v1/models'"))
    assert CLIENT_KEY not in str(gateway.lines())
    assert CLIENT_KEY not in gateway.nginx.log()


def test_a_body_that_is_too_large_is_refused_in_openais_shape(gateway: Gateway) -> None:
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", headers=_HEADERS, content=bytes(32 * 2**20 + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"


def test_without_any_front_a_client_is_told_to_come_back(gateway: Gateway) -> None:
    for front in gateway.system.fronts:
        front.process.kill()
    answer = httpx.get(f"{gateway.url}/v1/models", headers=_HEADERS)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "overloaded"


def test_the_list_for_compose_is_valid_but_for_what_newer_versions_brought(tmp_path: Path) -> None:
    """`resolve` came with 1.27.3; all else is read by the nginx that is here."""
    listed = (ROOT / "nginx" / "compose" / "upstream.conf").read_text()
    assert re.search(r"server api:8080 resolve ", listed)
    shutil.copy(ROOT / "nginx" / "nginx.conf", tmp_path)
    (tmp_path / "upstream.conf").write_text(listed.replace("api:8080 resolve", "127.0.0.1:8080"))
    checked = subprocess.run(
        ["nginx", "-t", "-c", tmp_path / "nginx.conf", "-g", f"pid {tmp_path}/nginx.pid;"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
