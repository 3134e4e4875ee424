"""Choosing and leasing, over all workers together, exactly within the limits."""

import asyncio
import random
from collections import Counter, deque

import pytest

from tests.worker.accounts.conftest import Bench, provider
from worker.accounts.leases import Accounts, Ask, Candidate, Delay, Lease
from worker.config.route import Strategy

ANY = (Candidate("p"),)


async def take(accounts: Accounts, ask: Ask | None = None) -> Lease:
    lease = await accounts.lease(ask or Ask(ANY, tokens=0))
    assert isinstance(lease, Lease), lease
    return lease


async def refused(accounts: Accounts, ask: Ask | None = None) -> Delay:
    delay = await accounts.lease(ask or Ask(ANY, tokens=0))
    assert isinstance(delay, Delay), delay
    return delay


async def test_two_to_one_is_interleaved_exactly_over_all_workers(bench: Bench) -> None:
    """Of any three leases in a row, whoever asks, two are of the credential with twice the weight."""
    workers = [await bench.worker(provider()) for _ in range(4)]
    names = [(await take(workers[i % 4])).credential for i in range(60)]
    assert all(Counter(names[i : i + 3]) == {"a": 2, "b": 1} for i in range(57))


async def test_weights_hold_when_all_workers_ask_at_once(bench: Bench) -> None:
    workers = [await bench.worker(provider(weights="5 3 2")) for _ in range(8)]
    leases = await asyncio.gather(*(take(worker) for worker in workers for _ in range(25)))
    assert Counter(lease.credential for lease in leases) == {"a": 100, "b": 60, "c": 40}


async def test_round_robin_ignores_weights(bench: Bench) -> None:
    accounts = await bench.worker(provider(), strategy=Strategy.ROUND_ROBIN)
    assert Counter([(await take(accounts)).credential for _ in range(10)]) == {"a": 5, "b": 5}


async def test_priority_takes_the_first_that_has_room(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1 1", concurrency=2), strategy=Strategy.PRIORITY)
    assert [(await take(accounts)).credential for _ in range(4)] == ["a", "a", "b", "b"]


async def test_least_busy_takes_the_idlest_by_weight(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="2 1"), strategy=Strategy.LEAST_BUSY)
    leases = [await take(accounts) for _ in range(6)]
    assert Counter(lease.credential for lease in leases) == {"a": 4, "b": 2}
    freed = next(lease for lease in leases if lease.credential == "b")
    accounts.settle(freed, well=True)
    assert (await take(accounts)).credential == "b"


async def test_of_equally_busy_targets_the_one_used_longest_ago_is_next_over_all_workers(bench: Bench) -> None:
    workers = [await bench.worker(provider("x", "1"), provider("y", "1"), provider("z", "1")) for _ in range(4)]
    ask = Ask(tuple(Candidate(name) for name in "xyz"), tokens=0, order="least-busy", turns="gpt")
    idle = []
    for worker in (*workers, *workers, *workers):
        lease = await take(worker, ask)
        idle.append(lease.pool)
        worker.settle(lease, well=True)
        await bench.heard(worker)
    assert idle == [*"xyz"] * 4
    together = await asyncio.gather(*(take(worker, ask) for worker in workers for _ in range(3)))
    assert Counter(lease.pool for lease in together) == {"x": 4, "y": 4, "z": 4}


async def test_a_target_that_was_used_out_of_turn_is_the_last_of_its_equals(bench: Bench) -> None:
    accounts = await bench.worker(provider("x", "1"), provider("y", "1"))
    only = {name: Ask((Candidate(name),), tokens=0, order="least-busy", turns="gpt") for name in "xy"}
    for name in "yx":
        accounts.settle(await take(accounts, only[name]), well=True)
    both = Ask((Candidate("x"), Candidate("y")), tokens=0, order="least-busy", turns="gpt")
    assert (await take(accounts, both)).pool == "y"


async def test_random_reaches_every_credential(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1 1 1 1"), strategy=Strategy.RANDOM)
    found = [(await take(accounts, Ask(ANY, tokens=0, luck=i / 40))).credential for i in range(40)]
    assert Counter(found) == {"a": 10, "b": 10, "c": 10, "d": 10}


async def test_a_lease_is_one_round_trip_with_a_hundred_credentials_too(bench: Bench) -> None:
    """And settling it, which nobody awaits, another."""
    accounts = await bench.worker(provider(weights="1 " * 100, rpm=1000, tpm=100_000, concurrency=5))
    await take(accounts)  # the first one tells Redis of the pool

    async def calls() -> int:
        stats = (await bench.bus.command("INFO", "commandstats")).decode()
        return int(stats.partition("cmdstat_evalsha:calls=")[2].partition(",")[0])

    before = await calls()
    lease = await take(accounts, Ask(ANY, tokens=10))
    assert await calls() == before + 1
    accounts.settle(lease, tokens=7, well=True)
    await bench.heard(accounts)
    assert await calls() == before + 2


async def test_a_standby_serves_only_when_nothing_else_can(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1 0", concurrency=1))
    assert [(await take(accounts)).credential for _ in range(2)] == ["a", "b"]


async def test_targets_take_turns_by_weight_over_all_workers(bench: Bench) -> None:
    workers = [await bench.worker(provider("x", "1"), provider("y", "1")) for _ in range(3)]
    ask = Ask((Candidate("x", 10), Candidate("y", 5)), tokens=0, order="turns", turns="gpt")
    pools = [(await take(workers[i % 3], ask)).pool for i in range(30)]
    assert all(Counter(pools[i : i + 3]) == {"x": 2, "y": 1} for i in range(27))


async def test_a_full_target_leaves_its_turn_to_the_next(bench: Bench) -> None:
    accounts = await bench.worker(provider("x", "1", concurrency=1), provider("y", "1"))
    ask = Ask((Candidate("x"), Candidate("y")), tokens=0)
    assert [(await take(accounts, ask)).pool for _ in range(3)] == ["x", "y", "y"]


async def test_a_pinned_credential_is_the_only_one_asked(bench: Bench) -> None:
    accounts = await bench.worker(provider(concurrency=1))
    ask = Ask((Candidate("p", credential="b"),), tokens=0)
    assert (await take(accounts, ask)).credential == "b"
    assert (await refused(accounts, ask)).why == "concurrency"


async def test_left_out_credentials_are_not_asked_again(bench: Bench) -> None:
    accounts = await bench.worker(provider())
    first = await take(accounts, Ask(ANY, tokens=0, left_out=frozenset({(0, "a")})))
    assert first.credential == "b"
    nobody = await refused(accounts, Ask(ANY, tokens=0, left_out=frozenset({(0, "a"), (0, "b")})))
    assert (nobody.kind, nobody.why) == ("none", "left out")


@pytest.mark.parametrize("rpm", [1, 2, 7, 49, 50, 300])
async def test_no_minute_holds_more_than_the_limit_and_demand_gets_95_percent(bench: Bench, rpm: int) -> None:
    """Eight workers ask all the time for three minutes of the test's clock."""
    workers = [await bench.worker(provider(weights="1", rpm=rpm)) for _ in range(8)]
    step_ms = max(20.0, 60_000 / rpm / 4)
    granted: list[float] = []
    for _ in range(int(180_000 / step_ms)):
        found = await asyncio.gather(*(worker.lease(Ask(ANY, tokens=0)) for worker in workers))
        granted += [bench.now_ms] * sum(isinstance(one, Lease) for one in found)
        await bench.advance(step_ms)
    window: deque[float] = deque()
    for at in granted:
        window.append(at)
        while window[0] < at - 60_000:
            window.popleft()
        assert len(window) <= rpm
    assert len(granted) >= 0.95 * 3 * rpm


async def test_no_minute_holds_more_tokens_than_the_limit_and_demand_gets_95_percent(bench: Bench) -> None:
    """Four workers, requests of 1 to 50 tokens, as reserved."""
    workers = [await bench.worker(provider(weights="1", tpm=1000)) for _ in range(4)]
    draw = random.Random(7)
    granted: list[tuple[float, int]] = []
    for _ in range(900):
        costs = [draw.randint(1, 50) for _ in workers]
        asked = (worker.lease(Ask(ANY, cost)) for worker, cost in zip(workers, costs, strict=True))
        for found, cost in zip(await asyncio.gather(*asked), costs, strict=True):
            if isinstance(found, Lease):
                granted.append((bench.now_ms, cost))
        await bench.advance(200)
    for at, _ in granted:
        assert sum(cost for other, cost in granted if at - 60_000 <= other <= at) <= 1000
    assert sum(cost for _, cost in granted) >= 0.95 * 3 * 1000


async def test_a_request_larger_than_the_limit_goes_when_nothing_else_is_counted(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", tpm=1000))
    assert isinstance(await accounts.lease(Ask(ANY, tokens=5000)), Lease)
    assert (await refused(accounts)).why == "tpm"


async def test_a_day_has_its_limit_too(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", tpd=1000))
    await take(accounts, Ask(ANY, tokens=900))
    await bench.advance(3_600_000)
    delay = await refused(accounts, Ask(ANY, tokens=200))
    assert delay.why == "tpd"
    await bench.advance(delay.wait_s * 1000 + 1)
    await take(accounts, Ask(ANY, tokens=200))
