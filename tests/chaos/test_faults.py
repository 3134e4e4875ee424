"""Each fault under forty numbered requests and more, half of them streamed, over two fronts and two workers."""

import asyncio
import time

import pytest
import redis

from tests.chaos.client import Result
from tests.chaos.conftest import Arena
from tests.system import CLIENT_KEY

HALF = 24
SLACK_S = 15.0  # what a busy machine adds: here only hangs are looked for, `tests.chaos.figures` has the times
STREAM = "num-n40-g100"  # 4 s
DIED = "The worker that streamed this answer died"  # where it was frozen, it may be found to have "fallen silent"
SLOW_START = "num-n20-g20-t2500"


def both(arena: Arena, model: str, half: int = HALF, limit_s: float = 60) -> "asyncio.Task[list[Result]]":
    """`half` streamed and `half` plain requests, begun now."""

    async def run() -> list[Result]:
        streams = arena.client.many(half, model, limit_s=limit_s)
        plain = arena.client.many(half, model, stream=False, limit_s=limit_s)
        return [result for results in await asyncio.gather(streams, plain) for result in results]

    return asyncio.create_task(run())


def broken(results: list[Result], tokens: int) -> list[Result]:
    """Those that are neither exact nor an honest error."""
    return [result for result in results if not result.exact(tokens) and not result.honest_error]


def verdict(result: Result) -> tuple[str, str]:
    """Its error's code, and the sentence that says why."""
    assert result.error is not None
    return result.error["code"], result.error["message"].partition(".")[0]


def inexact(results: list[Result], tokens: int) -> list[Result]:
    return [result for result in results if not result.exact(tokens)]


@pytest.mark.parametrize("append_only", [False], ids=["memory"])
class TestWorker:
    async def test_killed_before_content_is_run_again(self, arena: Arena) -> None:
        """Nothing was shown: every answer is exact, soon after the upstream could have given it."""
        asked = both(arena, SLOW_START)
        await arena.until_called(2 * HALF)
        arena.busy_worker().kill()
        killed_at = time.monotonic()
        results = await asked
        assert inexact(results, 20) == []
        assert max(result.first_at for result in results) - killed_at < 3 + 2.5 + SLACK_S
        assert await arena.at_rest() == {}

    async def test_killed_mid_stream_is_told(self, arena: Arena) -> None:
        """What was shown is an exact beginning, the error comes within two seconds, the other worker loses nothing."""
        await arena.until("calm", arena.calm)
        asked = both(arena, STREAM)
        await arena.until_tokens(5, 2 * HALF)
        ran = arena.most_running()
        arena.busy_worker().kill()
        killed_at = time.monotonic()
        results = await asked
        streams, plain = results[:HALF], results[HALF:]
        assert inexact(plain, 40) == [], "nothing was shown of these"
        assert broken(streams, 40) == []
        failed = inexact(streams, 40)
        run_again = [result for result in plain if arena.calls()[result.nonce]["calls"] > 1]
        assert failed, "the killed worker had streams"
        assert len(failed) + len(run_again) == ran, "the other worker's went on"
        assert {verdict(result) for result in failed} == {("stream_broken", DIED)}, "the reaper's, before the front's"
        assert max(result.ended_at for result in failed) - killed_at < 2 + SLACK_S
        assert await arena.at_rest() == {}

    async def test_frozen_past_its_lease_is_as_dead(self, arena: Arena) -> None:
        """Its streams end with an error, its late frames are dropped when it thaws; plain requests are run again."""
        asked = both(arena, "num-n120-g100")
        await arena.until_tokens(5, 2 * HALF)
        worker = arena.busy_worker()
        worker.freeze()
        frozen_at = time.monotonic()
        await asyncio.sleep(9)
        worker.thaw()
        results = await asked
        streams, plain = results[:HALF], results[HALF:]
        assert inexact(plain, 120) == []
        assert broken(streams, 120) == []
        failed = inexact(streams, 120)
        assert failed
        assert max(result.ended_at for result in failed) - frozen_at < 8 + SLACK_S
        assert await arena.at_rest() == {}


@pytest.mark.parametrize("append_only", [False], ids=["memory"])
@pytest.mark.parametrize(
    "arena_config", [{"keys": [{"name": "hasty", "key": CLIENT_KEY, "queue_wait_s": 3}]}], ids=["3-s-wait"]
)
async def test_with_all_workers_killed_nobody_waits_for_ever(arena: Arena) -> None:
    """Nobody is left to find out that they died, and Redis says that the jobs run."""
    asked = both(arena, "num-n5-t60000", half=4, limit_s=30)
    await arena.until_called(8)
    for worker in arena.system.workers:
        worker.kill()
    results = await asked
    assert [result for result in results if not result.honest_error or result.status != 503] == []
    arena.system.add_worker()
    assert await arena.at_rest() == {}


@pytest.mark.parametrize("append_only", [False], ids=["memory"])
async def test_front_killed_stops_its_upstream_calls(arena: Arena) -> None:
    asked = both(arena, "num-n100-g100")
    await arena.until_called(2 * HALF)
    arena.system.fronts[0].process.kill()
    killed_at = time.monotonic()
    await arena.until("calls cancelled", lambda: sum(row["hung_up"] for row in arena.calls().values()) >= HALF)
    assert time.monotonic() - killed_at < 4 + SLACK_S
    results = await asked
    assert len(inexact(results, 100)) == HALF
    assert await arena.at_rest(4) == {}


class TestRedis:
    async def test_restarted(self, arena: Arena) -> None:
        """Running answers are exact, and the upstream is not asked twice for what had started."""
        asked = both(arena, STREAM)
        await arena.until_called(2 * HALF)
        arena.redis.restart()
        results = await asked
        assert inexact(results, 40) == []
        assert [row for row in arena.calls().values() if row["calls"] != 1] == []
        assert await arena.at_rest() == {}

    async def test_killed_with_all_data_lost(self, arena: Arena) -> None:
        asked = both(arena, STREAM)
        await arena.until_called(2 * HALF)
        arena.redis.lose_all()
        results = await asked
        assert inexact(results, 40) == []
        assert [row for row in arena.calls().values() if row["calls"] != 1] == []
        assert await arena.at_rest() == {}

    async def test_frozen_for_ten_seconds(self, arena: Arena) -> None:
        asked = both(arena, "num-n140-g100")
        await arena.until_called(2 * HALF)
        arena.redis.process.freeze()
        await asyncio.sleep(10)
        arena.redis.process.thaw()
        results = await asked
        assert inexact(results, 140) == []
        assert max(result.longest_gap_s for result in results) < 12 + SLACK_S
        assert [row for row in arena.calls().values() if row["calls"] != 1] == []
        assert await arena.at_rest() == {}

    async def test_all_connections_cut_six_times(self, arena: Arena) -> None:
        asked = both(arena, STREAM)
        await arena.until_called(2 * HALF)
        cutter = redis.Redis.from_url(arena.redis.url)
        for _ in range(6):
            for kind in ("normal", "pubsub"):
                cutter.client_kill_filter(_type=kind, skipme=True)
            await asyncio.sleep(0.3)
        cutter.close()
        results = await asked
        assert inexact(results, 40) == []
        assert [row for row in arena.calls().values() if row["calls"] != 1] == []
        assert await arena.at_rest() == {}

    @pytest.mark.parametrize("arena_config", [{"worker": {"slots": 2}}], ids=["4-slots"])
    async def test_killed_with_jobs_queued(self, arena: Arena) -> None:
        """Fifty wait for four slots when Redis and all that it knew is gone: all are answered."""
        asked = both(arena, "num-n10-g30", half=27)
        await arena.until_called(4)
        arena.redis.lose_all()
        assert inexact(await asked, 10) == []
        assert await arena.at_rest() == {}


@pytest.mark.parametrize("append_only", [True], ids=["append-only"])
async def test_a_worker_and_redis_die_together(arena: Arena) -> None:
    asked = both(arena, STREAM)
    await arena.until_called(2 * HALF)
    held = arena.most_running()
    arena.busy_worker().kill()
    arena.redis.process.kill()
    arena.redis.start()
    results = await asked
    assert broken(results, 40) == []
    assert len([result for result in results if result.error]) <= held, "the other worker's streams are exact"
    assert await arena.at_rest() == {}
