"""What stands between a worker and its upstreams: proxies that want a password, and TLS."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import trustme

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def tcp_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port; ends when its connections have."""
    running: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*running)


class Proxy:
    """Wants a user and a password; forwards plain HTTP, and tunnels after CONNECT. `hosts` are names that it resolves,
    and the local ports at which they are.
    """

    def __init__(self, user: str, password: str, hosts: Mapping[str, int]) -> None:
        self._wanted = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._hosts = hosts
        self.heads: list[str] = []
        """The first line of each request that was let through."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n").split("\r\n")
        if f"proxy-authorization: basic {self._wanted}".lower() not in [line.lower() for line in headers]:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        self.heads.append(first)
        method, target, version = first.split()
        host, _, path = target.removeprefix("http://").partition("/")
        far_reader, far_writer = await self._connect(host)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            told = [line for line in headers if not line.lower().startswith("proxy-")]
            far_writer.write("\r\n".join([f"{method} /{path} {version}", *told, "", ""]).encode())
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    async def _connect(self, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._hosts[host.partition(":")[0]])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


class Authority:
    """Signs certificates; whoever has its file as SSL_CERT_FILE trusts them."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.path)

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*names).configure_cert(context)
        return context
