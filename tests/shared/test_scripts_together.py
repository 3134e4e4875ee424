"""All scripts together, in any order."""

from collections.abc import Sequence
from typing import Any

import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import scripts
from shared.names import PREFIX
from tests.shared.played_queue import LEASE_MS, PLENTY, WORKERS, Queue

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
        _, *flat = queue.run(scripts.CLAIM, worker, LEASE_MS, number + 1, PLENTY, source)
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
