"""How cost grows with open streams, with processes, and what Redis' part of it is."""

import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.measure import Cell
from tests.bench.subject import Subject, order, read_tally, run_subject

_RAMP_S = 4.0
_SETTLE_S = 3.0
_WINDOW_S = 12.0
_HALF_S = 10.0
_TURNS = 3
_PER_FRONT = 64


def grow(folder: Path, rows: dict[str, list[Cell]]) -> dict[str, list[Cell]]:
    """Scenario -> its one cell. `rows` are those of the other scenarios; some figures follow from them."""
    found: dict[str, Cell] = {"redis": _redis(rows)}
    with run_subject(folder / "one") as one:
        _warm_up(one)
        found["half-rate"] = _half_rate(one)
        with run_subject(folder / "four", fronts=4, workers=4) as four:
            _warm_up(four)
            found["four-by-four"] = _compare(one, four)
    with run_subject(folder / "streams") as subject:
        _warm_up(subject)
        found["open-streams"] = _open_streams(subject)
    return {name: [cell] for name, cell in found.items()}


def _warm_up(subject: Subject) -> None:
    subject.load(order("mock-n50", connections=16, requests=400))
    subject.load(order("mock-n50", stream=True, connections=16, requests=100))


def _saturate(subject: Subject, connections: int) -> Cell:
    """The same number of connections for each front, so that each is as busy as one alone would be."""
    asked = order("mock-n50", connections=connections, requests=6000)
    before = sum(subject.cpu_s().values())
    tally = subject.load(asked)
    cpu = sum(subject.cpu_s().values()) - before
    return {
        "cpu_ms_request": cpu * 1e3 / asked.requests,
        "requests_s": tally["ok"] / tally["wall_s"],
        "errors": tally["errors"],
    }


def _compare(one: Subject, four: Subject) -> Cell:
    """By turns, for what a virtual machine gets done in a second differs from minute to minute."""
    turns = [(_saturate(one, _PER_FRONT), _saturate(four, 4 * _PER_FRONT)) for _ in range(_TURNS)]
    single, multiple = (median(turn[i]["cpu_ms_request"] for turn in turns) for i in range(2))
    errors = {key: count for turn in turns for cell in turn for key, count in cell["errors"].items()}
    return {"cpu_ms_1x1": single, "cpu_ms_4x4": multiple, "ratio": multiple / single, "errors": errors}


def _half_rate(subject: Subject) -> Cell:
    """Requests at random times, at half of the rate that the system can do on this machine now."""
    saturated = _saturate(subject, _PER_FRONT)
    rate = saturated["requests_s"] / 2
    asked = order("mock-n50", connections=_PER_FRONT, requests=round(rate * _HALF_S), rate=rate, warmup=1)
    through, direct = subject.load(asked), subject.load(asked, "upstream")
    return {
        "rate": rate,
        "cpu_ms_saturated": saturated["cpu_ms_request"],
        "added_total_ms": {part: through["total_ms"][part] - direct["total_ms"][part] for part in ("p50", "p99")},
        "errors": {**saturated["errors"], **through["errors"], **direct["errors"]},
    }


def _open_streams(subject: Subject) -> Cell:
    few, many = _hold(subject, 200), _hold(subject, 2000)
    return {
        "us_chunk_200": few["us_chunk"],
        "us_chunk_2000": many["us_chunk"],
        "parts_us_chunk_200": few["parts"],
        "parts_us_chunk_2000": many["parts"],
        "ratio": many["us_chunk"] / few["us_chunk"],
        "front_kb": many["kb"]["front"],
        "worker_kb": many["kb"]["worker"],
        "errors": {**few["errors"], **many["errors"]},
    }


def _hold(subject: Subject, streams: int) -> dict[str, Any]:
    """Streams of one chunk per second: CPU while all are open and none begins or ends."""
    tokens = round(_RAMP_S + 2 * _SETTLE_S + _WINDOW_S)
    resting_mb = subject.rss_mb()
    model = f"mock-n{tokens}-g1000"
    load = subject.begin_load(order(model, stream=True, connections=streams, requests=streams, ramp_s=_RAMP_S))
    time.sleep(_RAMP_S + _SETTLE_S)
    subject_before, chunks_before = subject.cpu_s(), subject.upstream_saw()["chunks"]
    time.sleep(_WINDOW_S)
    cpu, chunks = subject.cpu_s(), subject.upstream_saw()["chunks"] - chunks_before
    open_mb = subject.rss_mb()
    parts = {name: (cpu[name] - subject_before[name]) * 1e6 / chunks for name in cpu}
    tally = read_tally(load)
    return {
        "us_chunk": sum(parts.values()),
        "parts": parts,
        "kb": {name: (open_mb[name] - resting_mb[name]) * 1024 / streams for name in open_mb},
        "errors": tally["errors"] | ({} if tally["ok"] == streams else {"streams not whole": streams - tally["ok"]}),
    }


def _redis(rows: dict[str, list[Cell]]) -> Cell:
    """One Redis uses one core: the rate at which its CPU per request, or per chunk, would fill it."""
    cell: Cell = {"errors": {}}
    if "saturation" in rows:
        us = min(row["parts_ms_request"]["redis"] for row in rows["saturation"]) * 1e3
        cell |= {"us_request": us, "requests_s": 1e6 / us}
    if "paced-10000" in rows:
        us = min(row["parts_us_chunk"]["redis"] for row in rows["paced-10000"])
        cell |= {"us_chunk": us, "chunks_s": 1e6 / us}
    return cell
