"""Rounds to one table: medians, spread, and the budget beside them."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from tests.bench.measure import Cell
from tests.bench.scenarios import Target

Rows = dict[str, list[Cell]]
"""Scenario -> its cells, one for each round."""


def values(cells: Iterable[Cell], figure: str) -> list[float]:
    """`figure` may be a path: "under_way_ms.p99". Rounds without it are left out."""
    found = []
    for cell in cells:
        value: Any = cell
        for name in figure.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found.append(float(value))
    return found


def spread(found: Sequence[float]) -> float:
    """(largest - smallest) / median."""
    middle = statistics.median(found)
    return (max(found) - min(found)) / middle if middle else 0.0


def errors(rows: Rows) -> dict[str, dict[str, int]]:
    """Scenario -> kind -> how often, of all rounds; only where there were any."""
    found: dict[str, dict[str, int]] = {}
    for scenario, cells in rows.items():
        for cell in cells:
            for kind, count in cell["errors"].items():
                kinds = found.setdefault(scenario, {})
                kinds[kind] = kinds.get(kind, 0) + count
    return found


def render(rows: Rows, targets: Iterable[Target]) -> str:
    """Markdown. A figure that misses what it must reach is marked."""
    lines = ["| figure | measured | spread | must reach | aim | |", "|---|---:|---:|---:|---:|---|"]
    for target in targets:
        found = values(rows.get(target.scenario, []), target.figure)
        if not found:
            continue
        middle = statistics.median(found)
        width = f"{spread(found):.2f}" if len(found) > 1 else ""
        bounds = " | ".join("" if bound is None else f"{bound:g}" for bound in (target.must, target.aim))
        lines.append(f"| {target.label} | {_number(middle)} | {width} | {bounds} | {_verdict(middle, target)} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


def _verdict(value: float, target: Target) -> str:
    if target.must is not None and value > target.must:
        return "MISSED"
    return "aim" if target.aim is not None and value <= target.aim else "met" if target.must is not None else ""


def parts(rows: Rows) -> str:
    """CPU by process, medians."""
    lines = ["| scenario | CPU ms per request | of it: redis | worker | front | others' cores |", "|---|" + "---:|" * 5]
    for name, cells in rows.items():
        whole = values(cells, "cpu_ms_request")
        if not whole:
            continue
        figures = [whole, *(values(cells, f"parts_ms_request.{part}") for part in ("redis", "worker", "front"))]
        told = " | ".join(f"{statistics.median(found):.3f}" for found in figures)
        lines.append(f"| {name} | {told} | {statistics.median(values(cells, 'others_cores')):.2f} |")
    return "\n".join(lines)
