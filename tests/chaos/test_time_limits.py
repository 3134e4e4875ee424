"""Each time limit ends a request with its own error, and many streams to one upstream run at once."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import FORMS, Arena, build_arena


async def test_each_time_limit_has_its_own_error(lasting_arena: Arena) -> None:
    """First token and between chunks 4 s, both of the upstream's making."""
    first, gap = await asyncio.gather(
        lasting_arena.client.ask("num-n3-t9000", limit_s=60), lasting_arena.client.ask("num-n9-stall3", limit_s=60)
    )
    assert first.error is not None
    assert gap.error is not None
    assert (first.status, first.error["code"]) == (504, "first_token_timeout")
    assert (gap.status, gap.tokens, gap.error["code"]) == (200, 3, "between_chunks_timeout")


async def test_the_whole_answer_has_a_limit(tmp_path_factory: pytest.TempPathFactory) -> None:
    """However often it passes while the upstream speaks, the account is not to blame that answers are long."""
    limits = {"connect_s": 2, "first_token_s": 5, "between_chunks_s": 5, "total_s": 2}
    with build_arena(tmp_path_factory.mktemp("arena"), provider={"timeouts": limits}) as arena:
        whole = await arena.client.many(6, "num-n100-g100", stream=False, limit_s=30)
        assert {(result.status, (result.error or {})["code"]) for result in whole} == {(504, "total_timeout")}
        for result in await arena.client.many(6, "num-n100-g100", limit_s=30):
            assert result.honest_error
            assert result.error is not None
            assert result.error["code"] == "total_timeout"
            assert 0 < result.tokens < 100
        assert arena.account_state("num/one") == "ready"


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Of a machine that takes no connection and refuses none: the queue of a listener that accepts nobody is full."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        waiting = sockets.enter_context(socket.socket())
        waiting.connect(("127.0.0.1", port))
        yield port


@FORMS
async def test_a_connection_that_is_not_made_has_a_limit_of_its_own(
    tmp_path: Path, deaf_port: int, *, stream: bool
) -> None:
    """Nothing was sent, which its error says."""
    away = {"base_url": f"http://127.0.0.1:{deaf_port}/v1", "timeouts": {"connect_s": 1}, "models": ["num"]}
    with build_arena(tmp_path, provider=away) as arena:
        result = await arena.client.ask("num", stream=stream)
        assert result.honest_error
        assert result.error is not None
        assert (result.status, result.error["code"]) == (504, "connect_timeout")
        assert "safe to send the request again" in result.error["message"]
        assert arena.account_state("num/one") == "ready"


async def test_a_queue_wait_is_not_the_upstreams_fault_and_ends_no_stream(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With no slot free, what waits is refused at its deadline; what runs goes on far beyond it."""
    config = {"worker": {"slots": 1}, "queue": {"wait_s": 2}}
    with build_arena(tmp_path_factory.mktemp("arena"), config=config) as arena:
        running = asyncio.create_task(arena.client.many(2, "num-n80-g100", limit_s=60))
        await arena.until_called(2)
        waited = await arena.client.ask("num-n3", limit_s=30)
        assert waited.error is not None
        assert (waited.status, waited.error["code"]) == (503, "queue_timeout")
        assert [result for result in await running if not result.exact(80)] == []
        assert waited.nonce not in arena.calls()
        assert arena.account_state("num/one") == "ready"


async def test_a_hundred_and_fifty_streams_to_one_upstream_are_open_at_once(lasting_arena: Arena) -> None:
    """No hidden limit on connections: all have their first token before any has its last."""
    results = await lasting_arena.client.many(150, "num-n40-g200")
    assert [result for result in results if not result.exact(40)] == []
    assert max(result.first_at for result in results) < min(result.last_at for result in results)
