"""Signing in to a provider as a person: the I/O around the steps that worker.accounts describes."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final

from worker.accounts.code_assist import find_project
from worker.accounts.oauth import (
    Client,
    Service,
    Show,
    Tokens,
    Wait,
    authorize_url,
    code_request,
    device_flow,
    read_redirect,
    read_tokens,
    verifier,
)
from worker.providers.contract import Ask, UpstreamRequest, UpstreamResponse
from worker.upstream import Upstream

Tell = Callable[[str], None]
_CONNECT_S: Final = 10.0
_TOTAL_S: Final = 30.0
_MOST_BYTES: Final = 1024 * 1024
_PAGE: Final = b"This page can be closed; the terminal says how the sign-in went."
_MOST_HEAD_BYTES: Final = 16 * 1024


class SignIn:
    """One sign-in at `service`. `tell` shows a line to the person. Raises UpstreamError where it is refused."""

    def __init__(self, service: Service, client: Client, tell: Tell, *, proxy: str | None = None) -> None:
        self._service, self._client, self._tell, self._proxy = service, client, tell, proxy
        self._upstream = Upstream()

    async def credential(self, *, project: str, code_assist_url: str | None) -> dict[str, str]:
        """The values of a credential in penstock.yaml. `code_assist_url` is where a `gemini-cli` account's project is
        found; other accounts have none.
        """
        try:
            tokens = await (self._by_device() if self._service.device_url else self._by_browser())
            values = {**tokens.values(), "client_id": self._client.client_id}
            if self._client.client_secret:
                values["client_secret"] = self._client.client_secret
            if code_assist_url is not None:
                values["project_id"] = await self._drive(find_project(code_assist_url, tokens.access_token, project))
            return values
        finally:
            await self._upstream.aclose()

    async def _by_device(self) -> Tokens:
        steps = device_flow(self._service, self._client, verifier(os.urandom(32)))
        return read_tokens(self._service, await self._drive(steps), time.time())

    async def _by_browser(self) -> Tokens:
        """The browser comes back to a port of this machine (RFC 8252)."""
        state, code_verifier = secrets.token_urlsafe(16), verifier(os.urandom(32))
        async with _loopback() as (redirect_uri, visit):
            url = authorize_url(
                self._service, self._client, redirect_uri=redirect_uri, state=state, code_verifier=code_verifier
            )
            self._tell(f"Open this page in a browser on this machine, and sign in:\n\n{url}\n")
            code = read_redirect(await visit, state)
        request = code_request(
            self._service, self._client, code=code, redirect_uri=redirect_uri, code_verifier=code_verifier
        )
        return read_tokens(self._service, await self._fetch(request), time.time())

    async def _drive(self, steps: Generator[Ask | Show | Wait, UpstreamResponse | None, Any]) -> Any:
        """The value that the generator returns."""
        answer: UpstreamResponse | None = None
        try:
            while True:
                step, answer = steps.send(answer), None
                if isinstance(step, Ask):
                    answer = await self._fetch(step.request)
                elif isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                else:
                    self._tell(f"Open {step.url}\nand enter the code {step.code}\n")
        except StopIteration as end:
            return end.value

    async def _fetch(self, request: UpstreamRequest) -> UpstreamResponse:
        return await self._upstream.fetch(
            request, connect_s=_CONNECT_S, total_s=_TOTAL_S, most_bytes=_MOST_BYTES, proxy=self._proxy
        )


@contextlib.asynccontextmanager
async def _loopback() -> AsyncIterator[tuple[str, asyncio.Future[str]]]:
    """(the URI that the browser is led to, the URL with which it came)."""
    visit: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            words = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n"
            writer.write(head + b"content-length: %d\r\n\r\n" % len(_PAGE) + _PAGE)
            await writer.drain()
            target = words[1].decode("latin-1") if len(words) > 1 else ""
            if target.startswith("/callback?") and not visit.done():  # not the browser's wish for an icon
                visit.set_result(target)
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0, limit=_MOST_HEAD_BYTES)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback", visit
