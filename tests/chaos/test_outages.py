"""Redis away for long, full, or replaced by its replica: bounded answers, flat memory, streams that go on."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.chaos.client import Result
from tests.chaos.conftest import Arena, build_arena, numbering, start_upstream
from tests.chaos.test_hostile import resident_mib
from tests.servers import AnswersPing, Process, RedisServer, free_port, redis_binaries, wait_until
from tests.system import System


@pytest.mark.slow
async def test_ninety_seconds_without_redis(tmp_path: Path) -> None:
    """Who comes at its beginning is refused when their wait ends, who comes later at once; memory does not grow, and
    service is back at once.
    """
    with build_arena(tmp_path, config={"queue": {"wait_s": 30}}) as arena:
        await arena.client.many(20, "num-n3")
        before = resident_mib(arena)
        arena.redis.kill()
        began = time.monotonic()
        results: list[Result] = []
        while time.monotonic() - began < 90:
            results += await arena.client.many(20, "num-n3", limit_s=40)
            await asyncio.sleep(0.5)
        arena.redis.start()
        early, late = results[:20], results[20:]
        assert [result for result in results if not result.honest_error] == []
        assert {result.error["code"] for result in early if result.error} == {"queue_timeout"}
        assert {(result.status, (result.error or {}).get("code")) for result in late} == {(503, "queue_unavailable")}
        assert resident_mib(arena) - before < 30
        back = time.monotonic()
        while not all(result.exact(3) for result in await arena.client.many(4, "num-n3")):
            assert time.monotonic() - back < 5
        assert await arena.at_rest() == {}


@pytest.mark.parametrize("append_only", [False], ids=["memory"])
async def test_redis_at_its_memory_limit(arena: Arena) -> None:
    """New requests are refused clearly, running ones finish, and service is back when there is room again."""
    asked = asyncio.create_task(arena.client.many(40, "num-n40-g50"))
    await arena.until_tokens(2, 40)
    client = redis.Redis.from_url(arena.redis.url)
    client.config_set("maxmemory", "1mb")
    refused = await arena.client.many(10, "num-n3")
    running = await asked
    client.config_set("maxmemory", "0")
    client.close()
    assert [result for result in running if not result.exact(40)] == []
    assert {(result.status, (result.error or {}).get("code")) for result in refused} == {(503, "queue_full")}
    assert [result for result in await arena.client.many(10, "num-n3") if not result.exact(3)] == []
    assert await arena.at_rest() == {}


class SentinelSet:
    """A master, a replica and three sentinels, all real."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.master = self._redis("master")
        self.replica = self._redis("replica", "--replicaof", f"127.0.0.1 {self.master.port}")
        self.ports = [free_port() for _ in range(3)]
        self.sentinels = [self._sentinel(port) for port in self.ports]

    def _redis(self, name: str, *options: str) -> RedisServer:
        folder = self.folder / name
        folder.mkdir()
        return RedisServer(folder, options=["--repl-diskless-sync-delay", "0", *options])

    def _sentinel(self, port: int) -> Process:
        path = self.folder / f"sentinel-{port}.conf"
        path.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor penstock 127.0.0.1 {self.master.port} 2\n"
            "sentinel down-after-milliseconds penstock 1000\nsentinel failover-timeout penstock 5000\n"
        )
        process = Process([redis_binaries()[0], str(path), "--sentinel"], self.folder, path.stem)
        wait_until("sentinel", AnswersPing(port), process)
        return process

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/penstock"

    def agreed(self) -> bool:
        """All sentinels know each other and the replica."""
        for port in self.ports:
            client = redis.Redis(port=port)
            about: Any = client.sentinel_master("penstock")  # type: ignore[no-untyped-call]  # redis-py
            client.close()
            if about["num-other-sentinels"] != 2 or about["num-slaves"] != 1:
                return False
        return True

    def close(self) -> None:
        for process in self.sentinels:
            process.close()
        self.replica.close()
        self.master.close()


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelSet]:
    built = SentinelSet(tmp_path)
    yield built
    built.close()


async def test_a_sentinel_failover_under_load(tmp_path: Path, sentinels: SentinelSet) -> None:
    """The master is killed: running streams are exact, new requests wait or are told when to come again."""
    upstream, port = start_upstream(tmp_path)
    environ = {"PENSTOCK_REDIS_URL": sentinels.url}
    system = System(tmp_path, {"providers": [numbering(port)]}, sentinels.replica, environ=environ)
    try:
        arena = Arena(system.start(fronts=2, workers=2), port)
        await arena.until("sentinels agree", sentinels.agreed)
        running = asyncio.create_task(arena.client.many(40, "num-n150-g100"))
        await arena.until_tokens(3, 40)
        sentinels.master.kill()
        during: list[Result] = []
        began = time.monotonic()
        while time.monotonic() - began < 10:
            during += await arena.client.many(4, "num-n3", limit_s=60)
        assert [result for result in await running if not result.exact(150)] == []
        assert [result for result in during if not result.exact(3) and not _told_to_return(result)] == []
        assert all(result.exact(3) for result in await arena.client.many(10, "num-n3"))
        assert await arena.at_rest() == {}
    finally:
        system.close()
        upstream.close()


def _told_to_return(result: Result) -> bool:
    return result.status == 503 and result.honest_error
