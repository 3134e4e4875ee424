"""`python -m tests.bench`: runs the scenarios, prints the table, exits with 1 if an answer was wrong."""

import argparse
import dataclasses
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.growth import grow
from tests.bench.load import Order
from tests.bench.measure import Cell, measure
from tests.bench.scenarios import GROWTH_TARGETS, SCENARIOS, TARGETS, Scenario
from tests.bench.subject import Subject, order, run_subject
from tests.bench.table import Rows, errors, parts, render

_IDLE_S = 5.0
_NAMES = [scenario.name for scenario in SCENARIOS]


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What a request costs: a table.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each scenario runs; medians are shown")
    parser.add_argument("--scenarios", default=",".join(_NAMES), help=f"some of {','.join(_NAMES)}")
    parser.add_argument("--quick", action="store_true", help="one round of a quarter of the requests, without growth")
    parser.add_argument("--no-growth", action="store_true", help="without the scenarios of many streams and processes")
    parser.add_argument("--out", type=Path, help="write all figures to this file, as JSON")
    options = parser.parse_args(arguments)
    options.chosen = options.scenarios.split(",")
    unknown = set(options.chosen) - set(_NAMES)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}")
    if options.quick:
        options.rounds, options.no_growth = 1, True
    return options


def main(arguments: Sequence[str]) -> int:
    options = read_options(arguments)
    chosen = [scenario for scenario in SCENARIOS if scenario.name in options.chosen]
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        with run_subject(Path(folder) / "subject") as subject:
            rows = run_rounds(subject, chosen, options.rounds, quick=options.quick)
        if not options.no_growth:
            rows |= grow(Path(folder), rows)
    wrong = errors(rows)
    say(f"\n{describe_machine()}\n\n{render(rows, TARGETS + GROWTH_TARGETS)}\n\n{parts(rows)}\n")
    say(f"errors: {json.dumps(wrong)}" if wrong else "every token of every answer was right")
    if options.out:
        options.out.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=1))
    return 1 if wrong else 0


def run_rounds(subject: Subject, chosen: Sequence[Scenario], rounds: int, *, quick: bool) -> Rows:
    warm_up(subject)
    rows: Rows = {"idle": [rest(subject)]}
    for number in range(rounds):
        for scenario in chosen:
            cell = measure(subject, scenario, shortened(scenario.order) if quick else scenario.order)
            rows.setdefault(scenario.name, []).append(cell)
            say(f"round {number + 1}: {scenario.name}: {brief(cell)}")
    peak = subject.peak_rss_mb()
    rows["memory"] = [{**peak, "sum": sum(peak.values()), "errors": {}}]
    return rows


def warm_up(subject: Subject) -> None:
    subject.load(order("mock-n50", connections=16, requests=400))
    subject.load(order("mock-n50", stream=True, connections=16, requests=60))


def rest(subject: Subject) -> Cell:
    """CPU of processes that have nothing to do, % of a core."""
    time.sleep(1)
    before, began = subject.cpu_s(), time.monotonic()
    time.sleep(_IDLE_S)
    took_s = time.monotonic() - began
    after = subject.cpu_s()
    used = {name: (after[name] - before[name]) * 100 / took_s for name in after}
    return {**used, "most": max(used.values()), "errors": {}}


def shortened(whole: Order) -> Order:
    return dataclasses.replace(whole, requests=max(whole.connections, whole.requests // 4))


def brief(cell: Cell) -> str:
    chunk = f", {cell['cpu_us_chunk']:.1f} us per chunk" if "cpu_us_chunk" in cell else ""
    wrong = f", ERRORS {cell['errors']}" if cell["errors"] else ""
    return f"{cell['cpu_ms_request']:.3f} ms of CPU per request{chunk}, others {cell['others_cores']:.2f} cores{wrong}"


def describe_machine() -> str:
    return f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {platform.machine()}"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
