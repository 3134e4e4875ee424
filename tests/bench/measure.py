"""One scenario, measured once."""

import time
from collections.abc import Mapping
from typing import Any

from tests.bench.clocks import machine_busy_s
from tests.bench.load import Order
from tests.bench.scenarios import Scenario
from tests.bench.subject import Figures, Subject

_REST_S = 3.0
Cell = dict[str, Any]
"""A scenario's figures in one round; `errors` is kind -> how often."""


def measure(subject: Subject, scenario: Scenario, order: Order) -> Cell:
    """`order` is the scenario's, perhaps of fewer requests."""
    subject.upstream_forgets()
    busy, began, upstream, before = machine_busy_s(), time.monotonic(), subject.upstream_cpu_s(), subject.cpu_s()
    tally = subject.load(order)
    cpu = _difference(subject.cpu_s(), before)
    took_s = time.monotonic() - began
    ours = sum(cpu.values()) + subject.upstream_cpu_s() - upstream + tally["cpu_s"]
    cell: Cell = {
        **tally,
        **_per_unit(cpu, order, scenario.chunks_per_request),
        "requests_s": tally["ok"] / max(tally["wall_s"], 1e-9),
        "others_cores": max(0.0, machine_busy_s() - busy - ours) / took_s,
    }
    cell["errors"] = {**tally["errors"], **_disagreements(subject, order)}
    if order.hang_up_after:
        cell |= _hang_ups(tally["hang_ups"], subject.upstream_saw()["calls"])
    if scenario.compared:
        direct = subject.load(order, "upstream")
        for name in ("total_ms", "first_ms"):
            cell[f"added_{name}"] = _difference(tally[name], direct[name])
    return cell


def _difference(after: Mapping[str, float], before: Mapping[str, float]) -> Figures:
    return {name: after[name] - before.get(name, 0.0) for name in after}


def _per_unit(cpu: Figures, order: Order, chunks: int) -> Cell:
    requests = order.requests + order.warmup * order.connections
    cell: Cell = {
        "cpu_ms_request": sum(cpu.values()) * 1e3 / requests,
        "parts_ms_request": {name: seconds * 1e3 / requests for name, seconds in cpu.items()},
    }
    if chunks:
        cell["cpu_us_chunk"] = sum(cpu.values()) * 1e6 / requests / chunks
        cell["parts_us_chunk"] = {name: seconds * 1e6 / requests / chunks for name, seconds in cpu.items()}
    return cell


def _disagreements(subject: Subject, order: Order) -> dict[str, int]:
    """Everything arrived at the upstream exactly once, and nothing runs on there."""
    deadline = time.monotonic() + _REST_S
    while (saw := subject.upstream_saw())["running"] and time.monotonic() < deadline:
        time.sleep(0.05)  # another process' state, which has no other way to tell
    asked = order.requests + order.warmup * order.connections
    found = {
        "left running": saw["running"],
        "asked twice": sum(row[0] - 1 for row in saw["calls"].values()),
        "never asked": asked - len(saw["calls"]),
    }
    return {what: count for what, count in found.items() if count}


def _hang_ups(left_us: Mapping[str, int], calls: Mapping[str, list[int]]) -> Cell:
    """`seen_ms`: from a client's leaving to the upstream's noticing."""
    seen = sorted((calls[nonce][2] - us) / 1000 for nonce, us in left_us.items() if nonce in calls and calls[nonce][2])
    times = {"p50": seen[len(seen) // 2], "max": seen[-1]} if seen else {}
    return {"unseen": len(left_us) - len(seen), "seen_ms": times}
