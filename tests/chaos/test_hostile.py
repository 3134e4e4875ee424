"""Clients that do not read, read a byte a second, or open streams and go: memory stays flat, others keep their pace."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.chaos.client import Result, request_bytes
from tests.chaos.conftest import Arena, build_arena

MIB = 1024 * 1024
TOKEN_BYTES = 2000
ENDLESS = f"num-n200000-b{TOKEN_BYTES}"
MOST_BEHIND_MIB = 16  # half of it in each direction's socket buffers, which the kernel makes as large as 6 MiB
ALLOWED_MIB = (
    60  # eight streams that may be 0.5 MiB ahead, on both sides, and what four allocators keep of their copies
)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with build_arena(tmp_path_factory.mktemp("arena")) as built:
        yield built


def resident_mib(arena: Arena) -> float:
    """Of all fronts and workers together."""
    pids = [front.process.pid for front in arena.system.fronts] + [worker.pid for worker in arena.system.workers]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * 4096 / MIB


def open_and_stall(port: int, model: str, nonce: str) -> socket.socket:
    """A client with a small window that sends its request and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(request_bytes(model, stream=True, nonce=nonce))
    return client


def subscriber_ids(client: redis.Redis) -> set[str]:
    clients: Any = client.client_list(_type="pubsub")
    return {entry["id"] for entry in clients}


def tokens_said(arena: Arena, nonces: list[str]) -> int:
    """By the upstream, in these answers."""
    rows = arena.calls()
    return int(sum(rows[nonce]["tokens"] if nonce in rows else 0 for nonce in nonces))


async def test_clients_that_stop_reading_stop_their_upstreams(lasting: Arena) -> None:
    """Theirs alone: a normal stream keeps its pace. What they are behind is all that is kept for them."""
    before = resident_mib(lasting)
    nonces = [f"stalled{i}" for i in range(8)]
    stalled = [open_and_stall(lasting.client.ports[i % 2], ENDLESS, nonce) for i, nonce in enumerate(nonces)]
    try:
        paced = await lasting.client.ask("num-n40-g50")
        assert paced.exact(40)
        assert paced.longest_gap_s < 2
        said = [0, -1]

        def stands_still() -> bool:
            said.append(tokens_said(lasting, nonces))
            return said[-1] == said[-2] == said[-3]

        await lasting.until("the upstreams stand still", stands_still, 30)
        assert said[-1] * TOKEN_BYTES < 8 * MOST_BEHIND_MIB * MIB
        assert resident_mib(lasting) - before < ALLOWED_MIB
    finally:
        for client in stalled:
            client.close()
    assert await lasting.at_rest() == {}


async def test_a_fast_upstream_does_not_outrun_its_client(lasting: Arena) -> None:
    """Sixty times what may be on its way, as fast as both can."""
    answer = await lasting.client.ask(f"num-n15000-b{TOKEN_BYTES}")
    assert answer.exact(15000)
    assert answer.done


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_client_that_stops_for_most_of_a_minute_gets_the_rest(lasting: Arena) -> None:
    """Longer than the time that an upstream may be silent between chunks: it is not the upstream that is."""
    result = Result("pausing")
    client = open_and_stall(lasting.client.ports[0], f"num-n15000-b{TOKEN_BYTES}", result.nonce)
    await asyncio.sleep(50)
    assert tokens_said(lasting, [result.nonce]) < 15000
    reader, writer = await asyncio.open_connection(sock=client)
    await lasting.client.read(reader, result)
    writer.close()
    assert result.exact(15000)


async def test_a_client_that_reads_a_byte_at_a_time_is_served(lasting: Arena) -> None:
    """Slow is not hostile as long as the answer fits what a client may be behind."""
    client = open_and_stall(lasting.client.ports[0], "num-n20-g1", "sipping")
    client.settimeout(20)
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        byte = await asyncio.to_thread(client.recv, 1)
        assert byte, "cut off"
        received += byte
    client.close()
    assert b"data: [DONE]" in received


async def test_five_hundred_that_open_and_go_leave_nothing(lasting: Arena) -> None:
    before = resident_mib(lasting)
    asked = [lasting.client.ask("num-n1000-g100", hang_up_after=1, limit_s=60) for _ in range(500)]
    await asyncio.gather(*asked)
    assert await lasting.at_rest() == {}
    assert resident_mib(lasting) - before < ALLOWED_MIB


@pytest.mark.slow
async def test_a_front_cut_off_for_its_output_buffer_recovers(lasting: Arena) -> None:
    """Redis drops a subscriber that is behind; the front resubscribes and every stream is exact by replay."""
    client = redis.Redis.from_url(lasting.redis.url)
    client.config_set("client-output-buffer-limit", "pubsub 2mb 1mb 5")
    subscribers = subscriber_ids(client)
    asked = asyncio.create_task(lasting.client.many(120, "num-n1000-b1000", limit_s=100))
    try:
        await lasting.until_called(100)
        lasting.system.fronts[0].process.freeze()
        await lasting.until("Redis cuts the front off", lambda: not subscribers <= subscriber_ids(client))
        lasting.system.fronts[0].process.thaw()
        results = await asked
    finally:
        client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")
        client.close()
    assert [result for result in results if not result.exact(1000)] == []
    assert await lasting.at_rest() == {}
