"""Wrong administration keys, counted in a real Redis."""

from collections.abc import AsyncIterator

import pytest

from api.failures import COUNT, Failures
from shared.bus import Bus
from shared.errors import RateLimited, Unavailable


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    made = Bus(redis_url, [COUNT])
    await made.start()
    await made.up.wait()
    yield made
    await made.close()


async def count(bus: Bus, address: str, *, wrong: bool, most: int = 2, window_ms: int = 60_000) -> int:
    wait_ms: int = await bus.run(COUNT, args=[address, int(wrong), most, window_ms, 3])
    return wait_ms


async def test_an_address_waits_after_the_last_wrong_key_that_it_may_try(bus: Bus) -> None:
    assert [await count(bus, "a", wrong=True) for _ in range(2)] == [0, 0]
    assert 0 < await count(bus, "a", wrong=True) <= 60_000
    assert await count(bus, "a", wrong=False) > 0
    assert await count(bus, "b", wrong=True) == 0


async def test_right_keys_are_not_counted(bus: Bus) -> None:
    assert [await count(bus, "a", wrong=False) for _ in range(5)] == [0] * 5
    assert await bus.command("DBSIZE") == 0


async def test_waiting_does_not_make_the_wait_longer(bus: Bus) -> None:
    waits = [await count(bus, "a", wrong=True) for _ in range(6)][2:]
    assert waits == sorted(waits, reverse=True)


async def test_everything_is_forgotten_when_the_window_ends(bus: Bus) -> None:
    await count(bus, "a", wrong=True, most=1, window_ms=1)
    while await count(bus, "a", wrong=False, most=1):
        pass
    while await bus.command("DBSIZE"):
        pass


async def test_addresses_beyond_the_most_share_one_count(bus: Bus) -> None:
    """Three are counted apart here; whoever comes later is one of the others, and Redis holds no more than that."""
    for address in ("a", "b", "c"):
        assert await count(bus, address, wrong=True) == 0
    assert [await count(bus, address, wrong=True) for address in ("d", "e")] == [0, 0]
    assert await count(bus, "f", wrong=True) > 0
    assert await count(bus, "a", wrong=True) == 0
    assert await bus.command("DBSIZE") == 5


async def test_without_redis_nobody_is_let_in() -> None:
    with pytest.raises(Unavailable):
        await Failures(Bus("redis://127.0.0.1:1/0")).count("a", wrong=False)


async def test_the_refusal_says_how_long_to_wait(redis_url: str) -> None:
    made = Bus(redis_url)
    failures = Failures(made)
    await made.start()
    await made.up.wait()
    for _ in range(10):
        await failures.count("a", wrong=True)
    with pytest.raises(RateLimited) as raised:
        await failures.count("a", wrong=False)
    await made.close()
    assert raised.value.retry_after_s is not None
    assert 0 < raised.value.retry_after_s <= 60
