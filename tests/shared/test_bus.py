"""The way to Redis: what it tells when there is none, and that it comes back by itself."""

import asyncio

import hiredis
import redis
import structlog

from shared.bus import Bus, BusDown
from tests.servers import RedisServer


def set_password(server: RedisServer, old: str | None, new: str) -> None:
    client = redis.Redis(port=server.port, password=old)
    client.config_set("requirepass", new)
    client.close()


async def test_a_refused_password_is_told_once_and_tried_again(redis_server: RedisServer) -> None:
    """A process that waits for Redis without a word looks as if it hung."""
    set_password(redis_server, None, "other")
    bus = Bus(redis_server.url)
    with structlog.testing.capture_logs() as logs:
        await bus.start()
        try:
            async with asyncio.timeout(10):
                while not logs:  # noqa: ASYNC110  a log has no way to tell
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            set_password(redis_server, "other", "")
            async with asyncio.timeout(10):
                await bus.up.wait()
        finally:
            await bus.close()
    assert [line["event"] for line in logs] == ["redis cannot be reached"]
    assert "Authentication" in logs[0]["reason"]


async def test_what_waits_for_a_reply_hears_that_the_connection_broke(redis_server: RedisServer) -> None:
    bus = Bus(redis_server.url)
    await bus.start()
    try:
        async with asyncio.timeout(10):
            await bus.up.wait()
            waiting = bus.command("BLPOP", "nothing", 0)
            await bus_flushed()
            redis_server.kill()
            assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], BusDown)
            redis_server.start()
            await bus.up.wait()
            assert await bus.command("PING") == b"PONG"
    finally:
        await bus.close()


class Cutting:
    """A server that says yes to everything, and hangs up on the first one who subscribes."""

    def __init__(self) -> None:
        self.subscribers = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                self.subscribers += command[0] == b"SUBSCRIBE"
                if command[0] == b"SUBSCRIBE" and self.subscribers == 1:
                    writer.close()
                    return
                writer.write(
                    b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" if command[0] == b"SUBSCRIBE" else b"+OK\r\n"
                )
        writer.close()


async def test_a_connection_that_breaks_while_subscribing_is_begun_again_at_once() -> None:
    """By that it broke, and not by that nothing was heard for as long as connecting may take."""
    cutting = Cutting()
    server = await asyncio.start_server(cutting.talk, "127.0.0.1", 0)
    bus = Bus(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    bus.subscribe("c", lambda _: None)
    with structlog.testing.capture_logs() as logs:
        await bus.start()
        try:
            async with asyncio.timeout(10):
                await bus.subscribed.wait()
        finally:
            await bus.close()
            server.close()
    assert [line["reason"] for line in logs] == ["BusDown: the connection to Redis broke while subscribing"]
    assert cutting.subscribers == 2


async def bus_flushed() -> None:
    """Commands leave at the end of the turn of the loop in which they were given."""
    await asyncio.sleep(0)
