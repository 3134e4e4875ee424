"""Connections to Redis that pipeline by themselves and reconnect for ever.

All commands issued in one turn of the event loop leave in one write. redis-py opens the connection (TLS, AUTH,
database, Sentinel); from then on the bytes are ours, because awaiting each command costs ten times as much.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import hiredis
import redis.asyncio as redis
import structlog
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

_log = structlog.get_logger()
Argument = str | bytes | int | float
_CONNECT_TIMEOUT_S: Final = 2.0
_PING_EVERY_S: Final = 1.0
_SILENCE_S: Final = 5.0
_URL_SHAPES: Final = (
    "The URL of Redis cannot be read. It is like redis://:password@host:6379/0, rediss://..., unix:///path/to/socket "
    "or redis+sentinel://host:26379,host:26379/mymaster, with special characters of the password percent-encoded."
)
_SHORTEST_BACKOFF_S: Final = 0.02
_LONGEST_BACKOFF_S: Final = 0.3
_WRITE_BUFFER_BYTES: Final = 16 * 1024 * 1024
# Before a command whose reply nobody wants: Redis then need not write one, nor we wake up to read it.
_NO_REPLY: Final = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n"
# Replies that mean "this server will not do": another one, or the same a little later, will.
_UNUSABLE: Final = ("READONLY", "LOADING", "MASTERDOWN", "NOSCRIPT")


class BusDown(ConnectionError):
    """Redis cannot be reached now, or the connection broke before the reply: the command may or may not have run."""


class RedisUrlError(ValueError):
    """A URL of another shape than Redis' ones; its text does not quote it, for it may hold a password."""


class NotRun(BusDown):
    """A server that will not serve us has said so: the command has certainly not run."""


class CommandRefused(Exception):
    """Redis answered a command with an error; the text is Redis' own and begins with its code, for example OOM."""


class Pipe(asyncio.Protocol):
    """One connection. Replies resolve futures in order; with `on_push` every reply goes there instead."""

    def __init__(self, on_push: Callable[[list[Any]], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any] | None] = deque()
        self._out: list[bytes] = []
        self._on_push = on_push
        self._transport: asyncio.Transport | None = None
        self.clogged = False
        self.unusable = False  # the server takes us, and will not serve
        self.on_room: Callable[[], None] | None = None
        """Called when it can be written to again."""
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.heard_at = self._loop.time()

    def adopt(self, connection: Any) -> None:
        """Takes the transport of a connected redis-py connection over."""
        transport = connection._writer.transport  # noqa: SLF001  redis-py is pinned below 6 by arq; it opens, we speak
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        transport.set_protocol(self)
        self._writer = connection._writer  # noqa: SLF001  it closes the transport when it is collected
        connection._reader = connection._writer = None  # noqa: SLF001  redis-py must not close it
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        self._reader.feed(data)
        gets = self._reader.gets
        while (reply := gets()) is not False:
            if self._on_push is not None:
                self._on_push(reply)
            else:
                self._resolve(reply)

    def _resolve(self, reply: Any) -> None:
        future = self._waiting.popleft()
        if isinstance(reply, hiredis.ReplyError):
            text = str(reply)
            unusable = text.startswith(_UNUSABLE)
            if unusable:
                self.unusable = True
                self.abort()
            if future is not None and not future.done():
                future.set_exception(NotRun(text) if unusable else CommandRefused(text))
        elif future is not None and not future.done():
            future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in self._waiting:
            if future is not None and not future.done():
                future.set_exception(BusDown("the connection to Redis broke"))
                future.exception()  # whoever still waits sees it; an abandoned one is no news
        self._waiting.clear()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        self.clogged = True

    def resume_writing(self) -> None:
        self.clogged = False
        if self.on_room is not None:
            self.on_room()

    def send(self, args: tuple[Argument, ...], future: asyncio.Future[Any] | None) -> None:
        """Queues one command; it leaves with all others of this turn of the loop. Raises BusDown."""
        self._put(hiredis.pack_command(args))  # type: ignore[arg-type]  # its stub wants a one-tuple
        if self._on_push is None:
            self._waiting.append(future)

    def _put(self, packed: bytes) -> None:
        if self.lost.done() or self.clogged:
            raise BusDown("Redis does not read" if self.clogged else "the connection to Redis broke")
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packed)

    def tell(self, *args: Argument) -> None:
        """As `send`, and no reply comes, not even an error. Raises BusDown."""
        self._put(_NO_REPLY + hiredis.pack_command(args))  # type: ignore[arg-type]  # its stub wants a one-tuple

    def request(self, *args: Argument) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self.send(args, future)
        return future

    def _flush(self) -> None:
        if self._transport is not None and not self.lost.done():
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Link:
    """Keeps one connection to Redis for ever: connects, greets, watches its health, and begins again.

    `greet` runs on each new connection before anybody else may use it. `pipe` is None while there is none.
    """

    def __init__(self, url: str, greet: Callable[[Pipe], Awaitable[None]]) -> None:
        self._connect = connector(url)
        self._greet = greet
        self._on_push: Callable[[list[Any]], None] | None = None
        self.pipe: Pipe | None = None

    def listen(self, on_push: Callable[[list[Any]], None]) -> None:
        """Makes it a subscriber's connection: all that Redis sends goes to `on_push`."""
        self._on_push = on_push

    async def run(self) -> None:
        """Until cancelled."""
        told, backoff_s = False, _SHORTEST_BACKOFF_S
        while True:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    pipe = await self.open()
            except (OSError, RedisError, CommandRefused, TimeoutError) as error:
                if not told:
                    _log.warning("redis cannot be reached", reason=f"{type(error).__name__}: {error}")
                told = True
            else:
                told = False
                await self._keep(pipe)
                if not pipe.unusable:
                    backoff_s = _SHORTEST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)

    async def _keep(self, pipe: Pipe) -> None:
        self.pipe = pipe
        try:
            await self._watch(pipe)
        finally:
            self.pipe = None
            pipe.abort()

    async def open(self) -> Pipe:
        """One greeted connection. Raises OSError (BusDown too), RedisError or CommandRefused."""
        connection = await self._connect()
        pipe = Pipe(self._on_push)
        pipe.adopt(connection)
        try:
            await self._greet(pipe)
        except BaseException:
            pipe.abort()
            raise
        return pipe

    async def _watch(self, pipe: Pipe) -> None:
        """Returns when the connection is lost; cuts one that is silent although it was asked."""
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            with contextlib.suppress(BusDown):
                pipe.send(("PING",), None)
            done, _ = await asyncio.wait([pipe.lost], timeout=_PING_EVERY_S)
            if done:
                return
            if pipe.heard_at < asked_at and loop.time() - pipe.heard_at > _SILENCE_S:
                pipe.abort()


def connector(url: str) -> Callable[[], Awaitable[Any]]:
    """A function that opens one connection to `url`: redis://, rediss://, unix:// or
    redis+sentinel://[user:password@]host:port[,host:port...]/master[/db][?sentinel_password=...&ssl=true].

    Raises RedisUrlError.
    """
    try:
        if url.startswith("redis+sentinel://"):
            pool = _sentinel_pool(url)
        else:
            pool = redis.ConnectionPool.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT_S)
    except ValueError as error:
        raise error if isinstance(error, RedisUrlError) else RedisUrlError(_URL_SHAPES) from None

    async def connect() -> Any:
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        await connection.connect()
        return connection

    return connect


def _sentinel_pool(url: str) -> redis.ConnectionPool:
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    master, _, database = parts.path.strip("/").partition("/")
    options = dict(parse_qsl(parts.query))
    if not master:
        raise RedisUrlError(
            "redis+sentinel:// needs the master's name: redis+sentinel://host:26379,host:26379/mymaster"
        )
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py types it in part
        [(host.rpartition(":")[0] or host, int(host.rpartition(":")[2]) if ":" in host else 26379) for host in hosts],
        sentinel_kwargs={"password": options.get("sentinel_password"), "socket_timeout": 0.5},
        username=parts.username and unquote(parts.username),
        password=parts.password and unquote(parts.password),
        db=int(database or 0),
        ssl=options.get("ssl") == "true",
    )
    pool: redis.ConnectionPool = sentinel.master_for(master).connection_pool
    return pool
