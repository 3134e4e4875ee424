"""Waiting for an account: in order, without polling, without loss of what the limit allows."""

from shared.names import PREFIX
from tests.worker.accounts.conftest import Bench, provider
from worker.accounts.leases import Accounts, Ask, Candidate, Delay, Lease

ANY = (Candidate("p"),)
DUE, OWNER = f"{PREFIX}due", f"{PREFIX}owner"


class Waiters:
    """What hosts and fronts do with jobs, as far as lines depend on it: park, claim when due, forget who has left."""

    def __init__(self, bench: Bench, accounts: Accounts, *, wait_ms: int = 3_600_000) -> None:
        self.served: list[int] = []
        self.leases: dict[int, Lease] = {}
        self.late: dict[int, Delay] = {}
        self.asked = 0
        self._bench = bench
        self._accounts = accounts
        self._deadline_ms = bench.now_ms + wait_ms
        self._tokens: dict[int, int] = {}

    async def ask(self, number: int, tokens: int = 0) -> None:
        """The job runs: it is leased, or parked, or refused. `number` is its place, too."""
        tokens = self._tokens.setdefault(number, tokens)
        rid = f"f.{number}"
        self.asked += 1
        await self._bench.bus.command("HSET", OWNER, rid, "w")
        ask = Ask(ANY, tokens, rid=rid, place=str(number), deadline_ms=round(self._deadline_ms))
        found = await self._accounts.lease(ask)
        await self._bench.bus.command("HDEL", OWNER, rid)
        if isinstance(found, Lease):
            self.served.append(number)
            self.leases[number] = found
        elif found.kind == "wait":
            await self._bench.bus.command("ZADD", DUE, round(self._bench.now_ms + found.wait_s * 1000), rid)
        else:
            self.late[number] = found

    async def leave(self, number: int) -> None:
        await self._bench.bus.command("ZREM", DUE, f"f.{number}")

    async def claim(self) -> int:
        """Runs all jobs that are due, in the order of their places, until none is due; how many are parked then."""
        while due := await self._bench.bus.command("ZRANGEBYSCORE", DUE, "-inf", self._bench.now_ms):
            await self._bench.bus.command("ZREM", DUE, *due)
            for number in sorted(int(rid.partition(b".")[2]) for rid in due):
                await self.ask(number)
        parked: int = await self._bench.bus.command("ZCARD", DUE)
        return parked

    async def live(self, ms: float, step_ms: float = 50) -> None:
        for _ in range(int(ms / step_ms)):
            await self._bench.advance(step_ms)
            if not await self.claim():
                return


async def test_ten_times_the_limit_is_served_in_order_by_one_credential(bench: Bench) -> None:
    """At its pace, with little more than one further look for each that waited."""
    waiters = Waiters(bench, await bench.worker(provider(weights="1", rpm=60)))
    for number in range(600):
        await waiters.ask(number)
    await waiters.live(11.5 * 60_000)
    assert waiters.served == list(range(600))
    assert waiters.late == {}
    assert waiters.asked < 600 * 2.2


async def test_small_limits_serve_in_order_as_well(bench: Bench) -> None:
    waiters = Waiters(bench, await bench.worker(provider(weights="1", rpm=3)))
    for number in range(15):
        await waiters.ask(number)
    await waiters.live(5 * 62_000)
    assert waiters.served == list(range(15))


async def test_a_newcomer_does_not_overtake(bench: Bench) -> None:
    waiters = Waiters(bench, await bench.worker(provider(weights="1", rpm=60)))
    for number in range(10):
        await waiters.ask(number)
    await waiters.live(3_000)
    await waiters.ask(10)
    await waiters.live(60_000)
    assert waiters.served == list(range(11))


async def test_those_who_leave_the_line_cost_the_others_nothing(bench: Bench) -> None:
    """Three of four leave; the rest is served as if they had never come."""
    waiters = Waiters(bench, await bench.worker(provider(weights="1", rpm=60)))
    for number in range(200):
        await waiters.ask(number)
    staying = [number for number in range(200) if number in waiters.served or number % 4 == 0]
    for number in set(range(200)) - set(staying):
        await waiters.leave(number)
    await waiters.live(60_000)
    assert waiters.served == staying


async def test_a_freed_place_goes_to_the_first_in_line_at_once(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", concurrency=2))
    waiters = Waiters(bench, accounts)
    for number in range(5):
        await waiters.ask(number)
    assert waiters.served == [0, 1]
    for number in range(3):
        accounts.settle(waiters.leases[number], well=True)
        await bench.heard(accounts)
        await waiters.claim()
        assert waiters.served == list(range(3 + number))


async def test_who_is_served_elsewhere_holds_up_nobody_while_it_runs(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", concurrency=1))
    waiters = Waiters(bench, accounts)
    for number in range(3):
        await waiters.ask(number)
    await waiters.leave(1)
    await bench.bus.command("HSET", OWNER, "f.1", "w")
    accounts.settle(waiters.leases[0], well=True)
    await bench.heard(accounts)
    await waiters.claim()
    assert waiters.served == [0], "the place is the first one's"
    accounts.leave("f.1", [("p", ""), ("p", "a")])
    await bench.heard(accounts)
    await waiters.claim()
    assert waiters.served == [0, 2]


async def test_who_cannot_make_the_deadline_is_told_at_once_how_long_it_takes(bench: Bench) -> None:
    """60 a minute, one is served at once: the thirtieth second ends after about thirty."""
    waiters = Waiters(bench, await bench.worker(provider(weights="1", rpm=60)), wait_ms=30_000)
    for number in range(100):
        await waiters.ask(number)
    assert 25 < len(waiters.served) + await bench.bus.command("ZCARD", DUE) < 35
    delay = waiters.late[99]
    assert (delay.kind, delay.why) == ("late", "rpm")
    assert 28 < delay.wait_s < 33
    await waiters.live(31_000)
    assert waiters.served == [number for number in range(100) if number not in waiters.late]


async def test_requests_that_come_together_are_promised_no_more_than_there_is(bench: Bench) -> None:
    """One a minute and 90 s to wait, so one may wait: the others hear it at once, in whatever order they ask."""
    waiters = Waiters(bench, await bench.worker(provider(weights="1", rpm=1)), wait_ms=90_000)
    for number in (5, 3, 4, 0, 1, 2):
        await waiters.ask(number)
    assert waiters.served == [5]
    assert list(waiters.late) == [4, 0, 1, 2]
    assert all(delay.wait_s > 90 for delay in waiters.late.values())
    await waiters.live(61_000, step_ms=1000)
    assert waiters.served == [5, 3]


async def test_who_has_waited_long_elsewhere_comes_before_those_who_just_came(bench: Bench) -> None:
    """Its place is its own, and not the end of the line."""
    waiters = Waiters(bench, await bench.worker(provider(weights="1", rpm=1)), wait_ms=90_000)
    await waiters.ask(60_000)
    await waiters.ask(60_001)
    await waiters.ask(1)
    assert 1 not in waiters.late
    await waiters.live(61_000, step_ms=1000)
    assert waiters.served == [60_000, 1]


async def test_a_large_request_at_the_head_waits_for_its_tokens_and_is_not_overtaken(bench: Bench) -> None:
    waiters = Waiters(bench, await bench.worker(provider(weights="1", tpm=1000)))
    await waiters.ask(0, 900)
    await waiters.ask(1, 900)
    await waiters.ask(2, 10)
    assert waiters.served == [0]
    await waiters.live(62_000, step_ms=1000)
    assert waiters.served == [0, 1, 2]


async def test_settled_tokens_let_the_next_one_in(bench: Bench) -> None:
    """The estimate is replaced by what was used, once."""
    accounts = await bench.worker(provider(weights="1", tpm=1000))
    waiters = Waiters(bench, accounts)
    await waiters.ask(0, 900)
    await waiters.ask(1, 900)
    accounts.settle(waiters.leases[0], tokens=50, well=True)
    accounts.settle(waiters.leases[0], tokens=0, well=True)
    await bench.heard(accounts)
    await waiters.claim()
    assert waiters.served == [0, 1]
    found = await accounts.lease(Ask(ANY, tokens=51))
    assert isinstance(found, Delay)
    assert isinstance(await accounts.lease(Ask(ANY, tokens=50)), Lease)


async def test_a_line_that_everybody_left_is_gone_with_the_next_heartbeat(bench: Bench) -> None:
    accounts = await bench.worker(provider(weights="1", rpm=60))
    waiters = Waiters(bench, accounts)
    for number in range(5):
        await waiters.ask(number)
    for number in range(5):
        await waiters.leave(number)
    assert await bench.bus.command("EXISTS", "{ps}:line:p") == 1
    await accounts.renew()
    assert await bench.bus.command("EXISTS", "{ps}:line:p") == 0
