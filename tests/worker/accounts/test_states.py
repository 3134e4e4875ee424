"""What faults do to accounts, how these come back, and what survives when Redis or a worker does not."""

import asyncio
from dataclasses import replace

import pytest

from shared.names import PREFIX
from tests.worker.accounts.conftest import Bench, provider
from worker.accounts.learning import Lesson
from worker.accounts.leases import LEASE_MS, Accounts, Ask, Candidate, Delay, Lease
from worker.accounts.states import AccountView, State, consequence, view_accounts
from worker.faults import Fault
from worker.retry import LIMITS

ANY = (Candidate("p"),)


async def take(accounts: Accounts, tokens: int = 0) -> Lease:
    lease = await accounts.lease(Ask(ANY, tokens))
    assert isinstance(lease, Lease), lease
    return lease


async def delay(accounts: Accounts) -> Delay:
    found = await accounts.lease(Ask(ANY, tokens=0))
    assert isinstance(found, Delay), found
    return found


def fail(accounts: Accounts, lease: Lease, fault: Fault, retry_after_s: float | None = None) -> None:
    accounts.settle(lease, fault=fault, consequence=consequence(fault, retry_after_s))


async def view(bench: Bench, accounts: Accounts) -> AccountView:
    await bench.heard(accounts)
    (found,) = await view_accounts(bench.bus, [("p", "a")])
    return found


async def test_a_rate_limited_account_rests_for_all_workers_as_long_as_it_was_told(bench: Bench) -> None:
    one, other = [await bench.worker(provider(weights="1")) for _ in range(2)]
    fail(one, await take(one), Fault.RATE_LIMITED, retry_after_s=20)
    await bench.heard(one)
    found = await delay(other)
    assert (found.why, found.wait_s) == ("rate_limited", 20)
    await bench.advance(20_001)
    assert not (await take(other)).probe


async def test_the_others_serve_while_one_rests(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1 1"))
    fail(accounts, first := await take(accounts), Fault.RATE_LIMITED, retry_after_s=20)
    served = {(await take(accounts)).credential for _ in range(4)}
    assert served == {"a", "b"} - {first.credential}


async def test_a_rest_without_a_hint_doubles_each_time(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    rests = []
    for _ in range(4):
        fail(accounts, await take(accounts), Fault.RATE_LIMITED)
        rests.append((await delay(accounts)).wait_s)
        await bench.advance(rests[-1] * 1000 + 1)
    assert rests == [1, 2, 4, 8]
    accounts.settle(await take(accounts), well=True)
    fail(accounts, await take(accounts), Fault.RATE_LIMITED)
    assert (await delay(accounts)).wait_s == 1


async def test_two_faults_of_an_upstream_are_borne_and_the_third_opens_the_breaker(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    for _ in range(3):
        fail(accounts, await take(accounts), Fault.UPSTREAM_FAULT)
    assert (await delay(accounts)).why == "upstream_fault"


@pytest.mark.parametrize("fault", [Fault.TIMED_OUT, Fault.OVERLOADED, Fault.UPSTREAM_FAULT])
async def test_only_the_third_failure_in_a_row_counts_and_a_success_begins_the_row_anew(
    bench: Bench, fault: Fault
) -> None:
    """A time limit is one of them. The row is that of all workers together."""
    workers = [await bench.worker(provider(weights="1")) for _ in range(3)]
    for worker in workers[:2]:
        fail(worker, await take(worker), fault)
        await bench.heard(worker)
    workers[2].settle(await take(workers[2]), well=True)
    await bench.heard(workers[2])
    for worker in workers:
        assert (await view(bench, worker)).state is State.READY
        fail(worker, await take(worker), fault)
        await bench.heard(worker)
    found = await view(bench, workers[0])
    assert (found.state, found.cause, found.until_ms) == (State.COOLING, fault.value, bench.now_ms + 5000)


async def test_neither_waiting_nor_leaving_is_blamed_on_an_account(bench: Bench) -> None:
    """Whatever ends while it waits for the account, or is given up by its client, it is as it was."""
    accounts = await bench.worker(provider(weights="1", concurrency=1))
    held = await take(accounts)
    late = Ask(ANY, tokens=0, rid="f.1", place="1", deadline_ms=int(bench.now_ms))
    for _ in range(5):
        found = await accounts.lease(late)
        assert isinstance(found, Delay)
        assert (found.kind, found.why) == ("late", "concurrency")
    accounts.settle(held)
    for _ in range(2):
        fail(accounts, await take(accounts), Fault.TIMED_OUT)
    assert (await view(bench, accounts)).state is State.READY


async def test_after_a_break_one_probe_goes_and_its_first_content_frees_the_others(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    for _ in range(3):
        fail(accounts, await take(accounts), Fault.TIMED_OUT)
    await bench.advance(5_001)
    probe = await take(accounts)
    assert probe.probe
    assert (await delay(accounts)).why == "probing"
    accounts.recover(probe)
    assert not (await take(accounts)).probe
    assert (await view(bench, accounts)).state is State.READY


async def test_a_probe_that_fails_rests_longer(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    for _ in range(3):
        fail(accounts, await take(accounts), Fault.TIMED_OUT)
    await bench.advance(5_001)
    fail(accounts, await take(accounts), Fault.TIMED_OUT)
    assert (await delay(accounts)).wait_s == 10


async def test_a_probe_of_a_dead_worker_is_followed_by_another(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    for _ in range(3):
        fail(accounts, await take(accounts), Fault.TIMED_OUT)
    await bench.advance(5_001)
    assert (await take(accounts)).probe
    await bench.advance(30_001)
    assert (await take(accounts)).probe


async def test_an_old_success_does_not_end_a_rest(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    slow = await take(accounts)
    fail(accounts, await take(accounts), Fault.RATE_LIMITED, retry_after_s=20)
    accounts.settle(slow, well=True)
    assert (await delay(accounts)).why == "rate_limited"


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault.CREDENTIAL_REJECTED, State.NEEDS_RENEWAL),
        (Fault.CHALLENGED, State.NEEDS_RENEWAL),
        (Fault.QUOTA_EXHAUSTED, State.EXHAUSTED),
        (Fault.DISCONTINUED, State.DISABLED),
        (Fault.RATE_LIMITED, State.COOLING),
    ],
)
async def test_a_fault_is_kept_with_cause_and_time(bench: Bench, fault: Fault, state: State) -> None:
    accounts = await bench.worker(provider(weights="1"))
    fail(accounts, await take(accounts), fault)
    found = await view(bench, accounts)
    assert (found.state, found.cause, found.since_ms) == (state, fault.value, bench.now_ms)


@pytest.mark.parametrize("fault", [Fault.INVALID_REQUEST, Fault.CONTEXT_TOO_LONG, Fault.MODEL_NOT_FOUND])
async def test_a_fault_of_the_request_leaves_the_account_alone(bench: Bench, fault: Fault) -> None:
    accounts = await bench.worker(provider(weights="1"))
    for _ in range(10):
        fail(accounts, await take(accounts), fault)
    assert (await view(bench, accounts)).state is State.READY


async def test_a_new_secret_brings_an_account_back(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    fail(accounts, await take(accounts), Fault.CHALLENGED)
    assert (await delay(accounts)).kind == "none"
    renewed = await bench.worker(provider(weights="1", secret="new"), generation=2)
    assert isinstance(await renewed.lease(Ask(ANY, tokens=0)), Lease)


async def test_an_older_configuration_changes_nothing(bench: Bench) -> None:
    new = await bench.worker(provider(weights="1 1"), generation=2)
    old = await bench.worker(provider(weights="1"), generation=1)
    assert {(await take(new)).credential, (await take(old)).credential} == {"a", "b"}


async def test_leases_of_a_dead_worker_come_back_when_they_end(bench: Bench) -> None:
    """The living one renews its own."""
    dead, living = [await bench.worker(provider(weights="1", concurrency=2)) for _ in range(2)]
    await take(dead)
    await take(living)
    assert (await delay(living)).why == "concurrency"
    await bench.advance(LEASE_MS / 2)
    await living.renew()
    await bench.advance(LEASE_MS / 2 + 1)
    await take(living)
    assert (await delay(living)).why == "concurrency"


async def test_who_leaves_while_being_leased_gives_it_back(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", concurrency=1))
    await (await_first := asyncio.ensure_future(accounts.lease(Ask(ANY, tokens=0))))
    accounts.settle(await_first.result(), well=True)  # type: ignore[arg-type]  # the only one, and free
    asking = asyncio.ensure_future(accounts.lease(Ask(ANY, tokens=0)))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await bench.heard(accounts)
    await bench.heard(accounts)
    await take(accounts)


async def test_after_redis_lost_everything_limits_start_empty_and_leases_return(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", rpm=60, concurrency=5))
    held = await take(accounts)
    await bench.bus.command("FLUSHALL")
    await bench.advance(0)
    assert (await delay(accounts)).why == "rpm"
    await accounts.renew()
    assert (await view(bench, accounts)).busy == 1
    accounts.settle(held, tokens=1, well=True)
    assert (await view(bench, accounts)).busy == 0
    await bench.advance(1_100)
    await take(accounts)


@pytest.mark.parametrize("rpm", [10, 300])
async def test_no_minute_around_a_loss_holds_more_than_the_limit(bench: Bench, rpm: int) -> None:
    accounts = await bench.worker(provider(weights="1", rpm=rpm))
    granted: list[float] = []
    for step in range(1800):
        if step == 600:
            await bench.bus.command("FLUSHALL")
        await bench.advance(100)
        while isinstance(await accounts.lease(Ask(ANY, tokens=0)), Lease):
            granted.append(bench.now_ms)
    assert all(sum(at - 60_000 <= other <= at for other in granted) <= rpm for at in granted)


async def test_an_upstreams_word_that_nothing_is_left_rests_the_account(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1"))
    accounts.settle(await take(accounts), well=True, lesson=Lesson(rest_s=7))
    assert (await delay(accounts)).wait_s == 7


async def test_an_unknown_limit_is_learned_when_it_is_met_and_tried_again_later(bench: Bench) -> None:
    """An upstream that takes 20 a minute: soon it is asked for hardly more than that."""
    accounts = await bench.worker(provider(weights="1", adaptive=True))
    taken: list[float] = []
    refused = []
    for _ in range(600):
        await bench.advance(1000)
        while isinstance(lease := await accounts.lease(Ask(ANY, tokens=0)), Lease):
            if sum(at > bench.now_ms - 60_000 for at in taken) < 20:
                taken.append(bench.now_ms)
                accounts.settle(lease, well=True)
            else:
                refused.append(bench.now_ms)
                fail(accounts, lease, Fault.RATE_LIMITED, retry_after_s=5)
            await bench.heard(accounts)
    assert len(taken) > 0.75 * 20 * 10
    assert len(refused) < 0.1 * len(taken)
    learned = (await view(bench, accounts)).learned_rpm
    assert learned is not None
    assert 15 <= learned <= 25


async def test_at_redis_memory_limit_leases_go_on(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", tpm=300, concurrency=3))
    lease = await take(accounts)
    await bench.bus.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await bench.bus.command("CONFIG", "SET", "maxmemory", "1")
    try:
        accounts.settle(lease, well=True)
        await take(accounts)
        assert (await view(bench, accounts)).busy == 1
    finally:
        await bench.bus.command("CONFIG", "SET", "maxmemory", "0")


async def test_who_waits_for_limits_alone_is_told_of_a_rest_and_stands_in_no_line(bench: Bench) -> None:
    """Beyond the deadline it is late, as for anybody."""
    accounts = await bench.worker(provider(weights="1"))
    ask = Ask(ANY, tokens=0, rid="f.1", place="1", deadline_ms=int(bench.now_ms) + 20_000, awaited=LIMITS)
    kinds = []
    accounts.settle(await take(accounts))
    for fault, rest_s in ((Fault.RATE_LIMITED, 10), (Fault.OVERLOADED, 15), (Fault.OVERLOADED, 30)):
        suffered = consequence(fault, rest_s)
        assert suffered is not None
        accounts.bench("p", "a", fault, replace(suffered, borne=0))
        found = await accounts.lease(ask)
        assert isinstance(found, Delay)
        kinds.append((found.kind, found.why, await bench.bus.command("ZCARD", f"{PREFIX}line:p")))
    assert kinds == [("wait", "rate_limited", 1), ("rests", "overloaded", 0), ("late", "overloaded", 0)]
