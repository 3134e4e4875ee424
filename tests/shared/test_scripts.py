"""Each Lua script's contract, on a real Redis: what it answers, what it leaves, and that nothing is left at the end."""

from typing import Any

import pytest
import redis

from shared import scripts
from shared.frames import Kind
from shared.names import PREFIX
from tests.servers import wait_until
from tests.shared.played_queue import LEASE_MS, PLENTY, Queue


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

    def test_no_other_worker_is_woken_before_the_last_one_claims(self, queue: Queue) -> None:
        queue.client.set(PREFIX + "woken", "1")
        queue.enqueue("f.1")
        assert queue.client.llen(PREFIX + "wake") == 0
        queue.claim()
        queue.enqueue("f.2")
        assert queue.client.llen(PREFIX + "wake") == 1

    def test_one_that_was_woken_and_does_not_claim_is_not_waited_for(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.client.lpop(PREFIX + "wake")
        wait_until("forgotten", lambda: not queue.client.exists(PREFIX + "woken"))
        queue.enqueue("f.2")
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
        for number in range(20):
            queue.enqueue(f"f.{number}")
        assert len(queue.claim("w1")) == 10

    def test_a_few_are_not_shared(self, queue: Queue) -> None:
        queue.claim("w2")
        for number in range(8):
            queue.enqueue(f"f.{number}")
        assert len(queue.claim("w1")) == 8

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
        _, *flat = queue.run(scripts.CLAIM, "w1", LEASE_MS, 1, PLENTY, "queue")
        assert flat[2:] == [2, b"5", b"tried"]

    def test_a_claim_says_how_many_jobs_it_leaves(self, queue: Queue) -> None:
        """So that nobody claims once more to find nothing."""
        for number in range(3):
            queue.enqueue(f"f.{number}")
        assert [queue.run(scripts.CLAIM, "w1", LEASE_MS, 2, PLENTY, "queue")[0] for _ in range(3)] == [1, 0, 0]

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


def test_a_heartbeat_tells_whether_it_is_news(queue: Queue) -> None:
    queue.enqueue("f.1")
    assert queue.run(scripts.BEAT, "w1", LEASE_MS) == [1, 0, 1, 0]
    queue.claim()
    assert queue.run(scripts.BEAT, "w1", LEASE_MS) == [0, 1, 0, 0]


def test_what_goes_on_with_a_job_runs_at_the_memory_limit(queue: Queue) -> None:
    queue.enqueue("f.1", size=100_000)
    queue.client.config_set("maxmemory", "100kb")
    try:
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            queue.enqueue("f.2")
        assert queue.claim() == [("f.1", 1)]
        assert queue.run(scripts.BEAT, "w1", LEASE_MS)[1] == 1
        queue.show("f.1", 1)
        assert queue.client.hget(PREFIX + "inf:w1", "f.1") == b"0:1:s"
        assert queue.finish("f.1", 1) == 1
    finally:
        queue.client.config_set("maxmemory", "0")


def test_jobs_of_one_millisecond_keep_their_order(queue: Queue) -> None:
    """By their names "f.10" would come before "f.2"."""
    together = queue.client.pipeline(transaction=False)
    for number in range(1, 31):
        together.eval(scripts.ENQUEUE.source, 0, f"f.{number}", b"0:x", PLENTY, PLENTY, 0)
    together.execute()
    assert [rid for rid, _ in queue.claim(worker="w1")] == [f"f.{number}" for number in range(1, 31)]


def test_numbers_keep_their_digits(queue: Queue) -> None:
    """Unix milliseconds do not fit in 32 bits, and Lua has only floating point numbers."""
    seconds, _ = queue.client.time()
    queue.enqueue("f.4294967297")
    score = queue.client.zscore(PREFIX + "queue", "f.4294967297")
    assert 0 <= score / 1000 - seconds < 5
    assert score * 1000 == pytest.approx(round(score * 1000), abs=0.3), "microseconds"
    _, *flat = queue.run(scripts.CLAIM, "w1", LEASE_MS, 1, PLENTY, "queue")
    assert float(flat[3]) == score
    queue.client.zadd(PREFIX + "workers", {"w1": 1})
    queue.client.hset(PREFIX + "inf:w1", "f.4294967297", "0:1:s")
    queue.reap()
    assert queue.said() == [[4294967297, 0, 1, 0, Kind.LOST, "died"]]
    assert queue.client.get(PREFIX + "reaped").split()[1] == b"run"
