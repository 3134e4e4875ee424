"""`penstock login`, against a sign-in service on a real socket."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest

from deploy.sign_in import SignIn
from worker.accounts.oauth import Client, Service
from worker.faults import UpstreamError


@dataclass
class SignInServer:
    """Answers from a list, in order; keeps the forms that it was sent."""

    port: int = 0
    answers: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            body = await reader.readexactly(length)
            self.asked.append((head.split()[1].decode(), parse_qs(body.decode())))
            status, data = self.answers.pop(0)
            payload = orjson.dumps(data)
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(payload)) + payload)
        writer.close()

    def service(self, **more: str) -> Service:
        root = f"http://127.0.0.1:{self.port}"
        urls: dict[str, Any] = {name: root + path for name, path in more.items()}
        return Service("qwen-code", token_url=f"{root}/token", scopes=("openid",), **urls)


@pytest.fixture
async def server() -> AsyncIterator[SignInServer]:
    fake = SignInServer()
    async with await asyncio.start_server(fake.answer, "127.0.0.1", 0) as listening:
        fake.port = listening.sockets[0].getsockname()[1]
        yield fake


_TOKENS: dict[str, object] = {"access_token": "at-1", "refresh_token": "rt-1", "expires_in": 3600}


async def test_a_device_sign_in_shows_the_code_and_waits_for_the_person(server: SignInServer) -> None:
    device = {"device_code": "dc", "user_code": "AB-CD", "verification_uri": "https://x/"}
    server.answers = [
        (200, {**device, "interval": 0.01, "expires_in": 60}),
        (400, {"error": "authorization_pending"}),
        (200, {**_TOKENS, "resource_url": "portal.example"}),
    ]
    told: list[str] = []
    signing_in = SignIn(server.service(device_url="/device"), Client("client-1"), told.append)
    values = await signing_in.credential(project="", code_assist_url=None)
    assert "AB-CD" in told[0]
    assert values["access_token"] == "at-1"
    assert values["refresh_token"] == "rt-1"
    assert values["client_id"] == "client-1"
    assert [path for path, _ in server.asked] == ["/device", "/token", "/token"]


async def test_a_browser_sign_in_comes_back_to_this_machine_and_finds_the_project(server: SignInServer) -> None:
    server.answers = [
        (200, _TOKENS),
        (200, {"currentTier": {"id": "standard-tier"}, "cloudaicompanionProject": "project-1"}),
    ]
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    signing_in = SignIn(server.service(authorize_url="/authorize"), Client("client-1", "cs"), shown.set_result)
    url = f"http://127.0.0.1:{server.port}/v1internal"
    values = asyncio.create_task(signing_in.credential(project="", code_assist_url=url))
    page = re.search(r"http://\S+/authorize\S+", await shown)
    assert page
    query = parse_qs(urlsplit(page[0]).query)
    async with httpx.AsyncClient() as browser:
        redirect = query["redirect_uri"][0]
        await browser.get(redirect.replace("/callback", "/favicon.ico"))
        back = await browser.get(redirect, params={"state": query["state"][0], "code": "the-code"})
    assert back.status_code == 200
    assert (await values)["project_id"] == "project-1"
    form = server.asked[0][1]
    assert form["code"] == ["the-code"]
    assert form["redirect_uri"] == query["redirect_uri"]
    assert "code_verifier" in form


async def test_a_refused_sign_in_is_told(server: SignInServer) -> None:
    server.answers = [(400, {"error": "invalid_client"})]
    signing_in = SignIn(server.service(device_url="/device"), Client("client-1"), print)
    with pytest.raises(UpstreamError, match="client_id"):
        await signing_in.credential(project="", code_assist_url=None)
