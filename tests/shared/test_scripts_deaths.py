"""What becomes of jobs when workers, fronts or Redis itself fail: the reaper's script, and registering anew."""

import pytest

from shared.frames import Kind
from shared.names import PREFIX
from tests.shared.played_queue import Queue


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
        queue.show("f.1", 1)
        queue.reap()
        assert queue.said() == [[1, 0, 1, 0, Kind.LOST, "died"]]
        assert queue.leftovers() == set()

    def test_what_a_run_that_was_replaced_has_shown_says_nothing_of_the_newer(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim(lease_ms=-1)
        queue.show("f.1", 0)
        queue.show("f.2", 1)
        queue.reap()
        assert queue.place("f.1") == ["suspects"]
        assert queue.place("f.2") == []

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

    def test_a_clock_that_was_set_back_keeps_nobody_waiting(self, queue: Queue) -> None:
        queue.enqueue("f.1")
        queue.claim()
        queue.finish("f.1", 1, wait=200)
        seconds, _ = queue.client.time()
        queue.client.zadd(PREFIX + "due", {"f.1": (seconds + 3600) * 1000})
        queue.client.set(PREFIX + "reaped", f"{(seconds + 3600) * 1000} run 0")
        queue.reap(calm=False)
        assert queue.claim() == [("f.1", 2)]

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

    def test_who_registers_is_found_when_it_dies(self, queue: Queue) -> None:
        """Before its next heartbeat: what it owned is not to run for ever by Redis' account."""
        queue.resync("gone", ("f.1", 0, 1, "q"))
        queue.client.zadd(PREFIX + "workers", {"gone": 1})
        assert queue.reap()[0] == 1
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
