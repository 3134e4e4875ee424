"""Fronts and workers on a real Redis, by the scripts alone."""

from typing import Any

import redis

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
        _, *flat = self.run(scripts.CLAIM, worker, lease_ms, most, most_bytes, source)
        return [(flat[i].decode(), flat[i + 2]) for i in range(0, len(flat), 5)]

    def finish(
        self, rid: str, attempt: int, *, worker: str = "w1", epoch: int = 0, wait: Any = "", note: str = ""
    ) -> int:
        answer: int = self.run(scripts.FINISH, worker, rid, epoch, attempt, wait, "5", note)
        return answer

    def show(self, rid: str, attempt: int, *, worker: str = "w1", epoch: int = 0) -> None:
        self.run(scripts.SHOWN, worker, rid, f"{epoch}:{attempt}")

    def resync(self, worker: str, *runs: tuple[str, int, int, str]) -> list[int]:
        lost: list[int] = self.run(scripts.RESYNC, worker, LEASE_MS, *(part for run in runs for part in run))
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
                messages += decode_batch(message["data"])[1:]
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
        general = {"workers", "fronts", "reaped", "wake", "woken", "doubts", "nursery", "bytes"}
        return {key.decode() for key in self.client.keys(PREFIX + "*")} - {PREFIX + name for name in general}

    def forget_claim(self, worker: str, rid: str) -> None:
        """As a replica that took over before it heard of the claim."""
        self.client.hdel(PREFIX + "owner", rid)
        self.client.hdel(PREFIX + "inf:" + worker, rid)
        self.client.hdel(PREFIX + "tries", rid)
        self.client.zadd(PREFIX + "queue", {rid: 7})
