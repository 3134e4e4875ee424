"""Tests that need a program of the system say so with `@pytest.mark.needs("nginx")`; without it they are skipped.

The last line of the run names what is missing and how to get it. Under continuous integration (CI=true) a skipped test
is a failure: what was not run was not shown.
"""

import os
import shutil
from typing import Final

import pytest

_PACKAGES: Final = {
    "nginx": "nginx",
    "promtool": "prometheus",
    "redis-server": "redis-server",
    "redis-sentinel": "redis-sentinel",
    "node": "nodejs",
    "npm": "npm",
}
_ABSENT: Final = " is not on PATH"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): skipped where one of these programs is not on PATH")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            if shutil.which(program) is None:
                pytest.skip(f"{program}{_ABSENT}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _skipped(session.config) and _must_run_all() and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """After the summary, so that it is the last thing to be read."""
    skipped = _skipped(config)
    if not skipped:
        return
    advice = []
    missing = {reason.removesuffix(_ABSENT) for reason in _reasons(config) if reason.endswith(_ABSENT)}
    if missing:
        packages = " ".join(sorted({_PACKAGES.get(program, program) for program in missing}))
        advice.append(f"missing: {', '.join(sorted(missing))}. Debian and Ubuntu: apt install {packages}")
    if _must_run_all():
        advice.append("CI is set, so this is a failure")
    print(f"{skipped} tests were skipped; {'; '.join(advice) or 'their reasons stand above'}")  # noqa: T201  the last line


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter else 0


def _reasons(config: pytest.Config) -> list[str]:
    """Why tests were skipped, from their reports: the tests may have run in other processes."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", ()) if reporter else ()
    return [report.longrepr[2].removeprefix("Skipped: ") for report in reports if isinstance(report.longrepr, tuple)]


def _must_run_all() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}
