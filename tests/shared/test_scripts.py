"""Each Lua script's contract, on a real Redis: what it answers, what it leaves, and that nothing is left at the end."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import scripts
from shared.bus import Script
from shared.frames import Kind, decode_batch, decode_control
from shared.names import PREFIX, control_channel, response_channel

LEASE_MS = 6000
PLENTY = 10**9
WORKERS = ("w1", "w2")
PLACES = ("queue", "due", "suspects", "solo")


class Queue:
    """What fronts and workers do, by the scripts alone; the front "f" and both workers listen."""

    def __init__(self, client: redis.Redis) -> None:
        self.client: Any = client
        self.ears: Any = client.pubsub()  # type: ignore[no-untyped-call]  # redis-py types it in part
        self.ears.subscribe(response_channel("f"), *map(control_channel, WORKERS))
        for _ in range(3):
            self.ears.get_message(timeout=5)

    def run(self, script: Script, *args: Any) -> Any:
        return self.client.eval(script.source, 0, *args)

    def enqueue(self, rid: str, *, epoch: int = 0, size: int = 10, depth: int = PLENTY, most: int = PLENTY) -> int:
        payload = b"%d:" % epoch + b"x" * size
        answer: int = self.run(scripts.ENQUEUE, rid, payload, depth, most, int(epoch > 0))
        return answer

    def claim(
        self,
        worker: str = "w1",
        *,
        most: int = 100,
        most_bytes: int = PLENTY,
        lease_ms: int = LEASE_MS,
        **settings: str,
    ) -> list[tuple[str, int]]:
        """(rid, attempt) of each."""
        source = settings.get("source", "queue")
        flat = self.run(scripts.CLAIM, worker, lease_ms, most, most_bytes, source)
        return [(flat[i].decode(), flat[i + 2]) for i in range(0, len(flat), 5)]

    def finish(
        self, rid: str, attempt: int, *, worker: str = "w1", epoch: int = 0, wait: Any = "", note: str = ""
    ) -> int:
        answer: int = self.run(scripts.FINISH, worker, rid, epoch, attempt, wait, "5", note)
        return answer

    def resync(self, worker: str, *runs: tuple[str, int, int, str]) -> list[int]:
        lost: list[int] = self.run(scripts.RESYNC, worker, *(part for run in runs for part in run))
        return lost

    def reap(self, *, calm: bool = True) -> list[int]:
        """As the one whose turn it is, in quiet times unless `calm` is False."""
        seconds, microseconds = self.client.time()
        now = seconds * 1000 + microseconds // 1000
        if calm:
            self.client.set(PREFIX + "reaped", f"{now - 500} run 0")
        answer: list[int] = self.run(scripts.REAP, LEASE_MS, "run", int(Kind.LOST))
        return answer

    def said(self) -> list[Any]:
        """Messages since the last call: control messages, and frames without their sender."""
        messages: list[Any] = []
        while (message := self.ears.get_message(timeout=0.2)) is not None:
            if b":ctl:" in message["channel"]:
                messages.append(decode_control(message["data"]))
            else:
                messages += list(decode_batch(message["data"]))[1:]
        return messages

    def place(self, rid: str) -> list[str]:
        """Everywhere that it is."""
        found = [name for name in PLACES if self.client.zscore(PREFIX + name, rid) is not None]
        return found + ["running"] * self.client.hexists(PREFIX + "owner", rid)

    def bytes(self) -> int:
        return int(self.client.get(PREFIX + "bytes") or 0)

    def held(self) -> int:
        return sum(len(payload) for payload in self.client.hvals(PREFIX + "jobs"))

    def leftovers(self) -> set[str]:
        """Keys that tell of a job."""
        general = {"workers", "fronts", "reaped", "wake", "doubts", "nursery", "bytes"}
        return {key.decode() for key in self.client.keys(PREFIX + "*")} - {PREFIX + name for name in general}

    def forget_claim(self, worker: str, rid: str) -> None:
        """As a replica that took over before it heard of the claim."""
        self.client.hdel(PREFIX + "owner", rid)
        self.client.hdel(PREFIX + "inf:" + worker, rid)
        self.client.hdel(PREFIX + "tries", rid)
        self.client.zadd(PREFIX + "queue", {rid: 7})


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = redis.Redis.from_url(redis_url)
    built = Queue(client)
    yield built
    built.ears.close()
    client.close()


class TestEnqueue:
    def test_a_job_waits_once(self, queue: Queue) -> None:
        assert [queue.enqueue("f.1"), queue.enqueue("f.1")] == [1, 0]
        queue.claim()
        assert queue.enqueue("f.1", epoch=1) == 0, "it runs"
        assert queue.bytes() == queue.held() == 12

    def test_too_many_and_too_much_are_refused_but_not_what_was_admitted_before(self, queue: Queue) -> None:
        queue.enqueue("f.1", size=100)
        assert queue.enqueue("f.2", depth=1) == -1
        assert queue.enqueue("f.2", most=110) == -2
        assert queue.enqueue("f.2", depth=1, most=1, epoch=1) == 1

    def test_parked_jobs_count_as_waiting(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim()
        queue.finish("f.1", 1, wait=60_000)
        assert queue.enqueue("f.2", depth=1) == -1

    def test_a_worker_is_woken_once(self, queue: Queue) -> None:
        for number in range(3):
            queue.enqueue(f"f.{number}")
        assert queue.client.llen(PREFIX + "wake") == 1


class TestClaim:
    def test_oldest_first_and_the_rest_wakes_another(self, queue: Queue) -> None:
        for number in range(4):
            queue.client.zadd(PREFIX + "queue", {f"f.{number}": number})
            queue.client.hset(PREFIX + "jobs", f"f.{number}", b"0:x")
        queue.client.delete(PREFIX + "wake")
        assert queue.claim(most=2) == [("f.0", 1), ("f.1", 1)]
        assert queue.client.llen(PREFIX + "wake") == 1

    @pytest.mark.parametrize(("limit", "count"), [(1, 1), (10, 1), (24, 2), (36, 3)])
    def test_a_claim_is_bounded_in_bytes_but_gives_one(self, queue: Queue, limit: int, count: int) -> None:
        for number in range(4):
            queue.enqueue(f"f.{number}")
        assert len(queue.claim(most_bytes=limit)) == count

    def test_workers_share_what_waits(self, queue: Queue) -> None:
        queue.claim("w2")
        for number in range(10):
            queue.enqueue(f"f.{number}")
        assert len(queue.claim("w1")) == 5

    def test_attempts_grow_from_run_to_run(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        for attempt in (1, 2, 3):
            assert queue.claim() == [("f.1", attempt)]
            assert queue.finish("f.1", attempt, wait=0) == 1

    def test_jobs_of_a_front_that_does_not_listen_wait(self, queue: Queue) -> None:
        queue.enqueue("deaf.1")
        assert queue.claim() == []
        assert queue.place("deaf.1") == ["due"]

    def test_what_lost_its_payload_is_dropped(self, queue: Queue) -> None:
        queue.client.zadd(PREFIX + "queue", {"f.1": 1})
        assert queue.claim() == []
        assert queue.leftovers() == set()


class TestFinish:
    def test_nothing_is_left_of_a_job(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim()
        assert queue.finish("f.1", 1) == 1
        assert queue.leftovers() == set()
        assert queue.bytes() == 0

    @pytest.mark.parametrize("change", [{"attempt": 2}, {"epoch": 1}, {"worker": "w2"}])
    def test_only_its_own_run_ends_a_job(self, queue: Queue, change: dict[str, Any]) -> None:
        queue.enqueue("f.1")
        queue.claim()
        assert queue.finish("f.1", **({"attempt": 1} | change)) == 0
        assert queue.place("f.1") == ["running"]

    def test_a_parked_job_returns_to_its_place_with_its_note(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim()
        queue.finish("f.1", 1, wait=0, note="tried")
        assert queue.client.hget(PREFIX + "scores", "f.1") == b"5"
        flat = queue.run(scripts.CLAIM, "w1", LEASE_MS, 1, PLENTY, "queue")
        assert flat[2:] == [2, b"5", b"tried"]

    def test_a_job_whose_client_left_is_not_parked(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim()
        queue.run(scripts.CANCEL, "f.1")
        queue.finish("f.1", 1, wait=1000)
        assert queue.leftovers() == set()


class TestCancel:
    def test_a_queued_job_is_gone(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        assert queue.run(scripts.CANCEL, "f.1") == b"queued"
        assert queue.leftovers() == set()
        assert queue.bytes() == 0

    def test_the_owner_of_a_running_one_is_told(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim()
        assert queue.run(scripts.CANCEL, "f.1") == b"running"
        assert queue.said() == [["cancel", "f.1", 0, 1]]
        assert queue.bytes() == 0

    def test_an_unknown_one_is_no_matter(self, queue: Queue) -> None:
        assert queue.run(scripts.CANCEL, "f.1") == b"unknown"


def test_status_tells_unknown_queued_and_running(queue: Queue) -> None:
    queue.enqueue("f.1")
    queue.claim()
    queue.enqueue("f.2")
    assert queue.run(scripts.STATUS, "f.0", "f.2", "f.1") == [0, 1, 2]


class TestReap:
    def test_a_job_is_tried_in_ever_smaller_company_and_then_given_up(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        for attempt, (source, then) in enumerate([("queue", "suspects"), ("suspects", "solo"), ("solo", None)], 1):
            assert queue.claim(source=source, lease_ms=-1) == [("f.1", attempt)]
            assert queue.reap()[0] == 1
            assert queue.place("f.1") == ([then] if then else [])
        assert queue.said() == [[1, 0, 3, 0, Kind.LOST, "poison"]]
        assert queue.leftovers() == set()
        assert queue.bytes() == 0

    def test_what_was_shown_is_not_run_again(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim(lease_ms=-1)
        queue.client.hset(PREFIX + "inf:w1", "f.1", "0:1:s")
        queue.reap()
        assert queue.said() == [[1, 0, 1, 0, Kind.LOST, "died"]]
        assert queue.leftovers() == set()

    def test_a_worker_that_nobody_hears_is_dead_at_the_second_look(self, queue: Queue) -> None:
        queue.claim("deaf")
        assert queue.reap()[0] == 0
        seconds, microseconds = queue.client.time()
        deadline = int(queue.client.zscore(PREFIX + "workers", "deaf"))
        earlier = seconds * 1000 + microseconds // 1000 - 500
        queue.client.hset(PREFIX + "doubts", "deaf", f"{deadline}:{earlier}")
        assert queue.reap()[0] == 1

    def test_a_heartbeat_ends_the_doubt(self, queue: Queue) -> None:
        queue.claim("deaf")
        queue.reap()
        queue.client.hset(PREFIX + "doubts", "deaf", "1:1")
        assert queue.reap()[0] == 0

    def test_one_does_the_work_in_each_half_second(self, queue: Queue) -> None:
        assert queue.reap() != []
        assert queue.reap(calm=False) == []

    def test_nobody_is_buried_by_the_first_run_on_a_new_redis(self, queue: Queue) -> None:
        queue.claim(lease_ms=-1)
        assert queue.reap(calm=False)[0] == 0

    def test_a_deadline_beyond_a_lease_is_cut(self, queue: Queue) -> None:
        """The clock was set back: nobody is to live for an hour after its last heartbeat."""
        queue.claim(lease_ms=3_600_000)
        queue.reap()
        seconds, _ = queue.client.time()
        assert queue.client.zscore(PREFIX + "workers", "w1") < (seconds + 10) * 1000

    def test_jobs_of_a_dead_front_are_removed_after_five_looks(self, queue: Queue) -> None:
        queue.enqueue("deaf.1")
        queue.enqueue("f.1")
        assert [queue.reap()[1] for _ in range(5)] == [0, 0, 0, 0, 1]
        assert queue.place("deaf.1") == []
        assert queue.place("f.1") == ["queue"]
        assert queue.bytes() == queue.held() == 12

    def test_a_disposable_process_is_asked_for_once(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim(lease_ms=-1)
        assert [queue.reap()[2:], queue.reap()[2:]] == [[1, 0, 1], [1, 0, 0]]


class TestResync:
    def test_redis_learns_again_what_it_has_lost(self, queue: Queue) -> None:
        assert queue.resync("w1", ("f.1", 2, 7, "s")) == []
        assert queue.client.hget(PREFIX + "owner", "f.1") == b"w1|2|7"
        assert queue.client.hget(PREFIX + "inf:w1", "f.1") == b"2:7:s"
        assert queue.finish("f.1", 7, epoch=2) == 1
        assert queue.leftovers() == set()

    def test_what_another_has_is_lost(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim("w2")
        assert queue.resync("w1", ("f.1", 0, 1, "q"), ("f.2", 0, 1, "q")) == [0]

    def test_a_claim_whose_answer_was_lost_is_undone(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim()
        assert queue.resync("w1") == []
        assert queue.place("f.1") == ["queue"]
        assert queue.claim("w2") == [("f.1", 2)]

    @pytest.mark.parametrize(("deaths", "place"), [(1, "suspects"), (2, "solo")])
    def test_a_suspect_stays_one_when_its_claim_is_undone(self, queue: Queue, deaths: int, place: str) -> None:
        """Among the innocent it would take them along."""
        queue.enqueue("f.1")
        for source in ("queue", "suspects")[:deaths]:
            queue.claim(source=source, lease_ms=-1)
            queue.reap()
        queue.claim("w2", source=place)
        queue.resync("w2")
        assert queue.place("f.1") == [place]

    def test_a_claim_that_redis_forgot_is_taken_back(self, queue: Queue) -> None:
        """What runs already goes on: no upstream is asked twice."""
        queue.enqueue("f.1")
        queue.claim("w1")
        queue.forget_claim("w1", "f.1")
        assert queue.resync("w1", ("f.1", 0, 1, "s")) == []
        assert queue.place("f.1") == ["running"]
        queue.finish("f.1", 1)
        assert queue.leftovers() == set()

    def test_a_later_enqueue_is_not_taken_back(self, queue: Queue) -> None:
        """The front has given the earlier one up, and refuses what it says."""
        queue.enqueue("f.1", epoch=1)
        assert queue.resync("w1", ("f.1", 0, 1, "q")) == [0]
        assert queue.place("f.1") == ["queue"]

    def test_what_somebody_ran_meanwhile_is_not_taken_back(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim("w1")
        queue.forget_claim("w1", "f.1")
        for attempt in (1, 2):
            queue.claim("w2")
            queue.finish("f.1", attempt, worker="w2", wait=60_000 * (attempt - 1))
        assert queue.resync("w1", ("f.1", 0, 1, "q")) == [0]


def test_a_heartbeat_tells_whether_it_is_news(queue: Queue) -> None:
    queue.enqueue("f.1")
    assert queue.run(scripts.BEAT, "w1", LEASE_MS) == [1, 0, 1, 0]
    queue.claim()
    assert queue.run(scripts.BEAT, "w1", LEASE_MS) == [0, 1, 0, 0]


def test_scripts_that_free_memory_run_at_its_limit(queue: Queue) -> None:
    queue.enqueue("f.1", size=100_000)
    queue.client.config_set("maxmemory", "100kb")
    try:
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            queue.enqueue("f.2")
        assert queue.claim() == [("f.1", 1)]
        assert queue.run(scripts.BEAT, "w1", LEASE_MS)[1] == 1
        assert queue.finish("f.1", 1) == 1
    finally:
        queue.client.config_set("maxmemory", "0")


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["enqueue", "again", "claim", "suspects", "solo", "finish", "park", "cancel", "die", "resync"]),
        st.integers(0, 3),
        st.integers(0, 1),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(script=steps)
def test_a_job_is_in_one_place_and_its_bytes_are_counted(shared_redis: Any, script: Sequence[Step]) -> None:
    """Whatever fronts and workers do, and however workers die: nothing is doubled, and in the end nothing is left."""
    client = redis.Redis.from_url(shared_redis.url)
    client.flushall()
    queue = Queue(client)
    running: dict[str, set[tuple[str, int, int]]] = {worker: set() for worker in WORKERS}
    for step in script:
        play(queue, running, step)
        assert queue.bytes() == queue.held()
        assert [rid for rid in RIDS if len(queue.place(rid)) > 1] == []
    for rid in RIDS:
        queue.run(scripts.CANCEL, rid)
    for worker, runs in running.items():
        for rid, epoch, attempt in runs:
            queue.finish(rid, attempt, worker=worker, epoch=epoch)
    assert queue.leftovers() == set()
    assert queue.bytes() == 0
    queue.ears.close()
    client.close()


RIDS = tuple(f"f.{number}" for number in range(4))


def play(queue: Queue, running: dict[str, set[tuple[str, int, int]]], step: Step) -> None:
    what, number, who = step
    rid, worker = RIDS[number], WORKERS[who]
    own = running[worker]
    if what in {"enqueue", "again"}:
        queue.enqueue(rid, epoch=int(what == "again"), size=number)
    elif what in {"claim", "suspects", "solo"}:
        source = "queue" if what == "claim" else what
        flat = queue.run(scripts.CLAIM, worker, LEASE_MS, number + 1, PLENTY, source)
        own |= {(flat[i].decode(), int(flat[i + 1].split(b":")[0]), flat[i + 2]) for i in range(0, len(flat), 5)}
    elif what in {"finish", "park"} and own:
        one, epoch, attempt = min(own)
        queue.finish(one, attempt, worker=worker, epoch=epoch, wait="" if what == "finish" else 0)
        own.discard((one, epoch, attempt))
    elif what == "cancel":
        queue.run(scripts.CANCEL, rid)
    elif what == "die":
        queue.client.zadd(PREFIX + "workers", {worker: 1})
        queue.reap()
        own.clear()
    elif what == "resync":
        runs = sorted(own)
        lost = queue.resync(worker, *((*run, "q") for run in runs))
        own -= {runs[index] for index in lost}


def test_numbers_keep_their_digits(queue: Queue) -> None:
    """Unix milliseconds do not fit in 32 bits, and Lua has only floating point numbers."""
    seconds, _ = queue.client.time()
    queue.enqueue("f.4294967297")
    score = queue.client.zscore(PREFIX + "queue", "f.4294967297")
    assert 0 <= score / 1000 - seconds < 5
    assert score == int(score)
    flat = queue.run(scripts.CLAIM, "w1", LEASE_MS, 1, PLENTY, "queue")
    assert float(flat[3]) == score
    queue.client.zadd(PREFIX + "workers", {"w1": 1})
    queue.client.hset(PREFIX + "inf:w1", "f.4294967297", "0:1:s")
    queue.reap()
    assert queue.said() == [[4294967297, 0, 1, 0, Kind.LOST, "died"]]
    assert queue.client.get(PREFIX + "reaped").split()[1] == b"run"


def test_what_the_reaper_sends_is_what_fronts_read() -> None:
    """Its sender is nobody."""
    assert msgpack.packb("") == b"\xa0"
