"""What `make` does before anything of ours runs: finding a Python, and skipping what a machine cannot do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT


def _fake_python(folder: Path, name: str, version: tuple[int, int], *, has_venv: bool = True) -> None:
    """Answers the two questions that the script asks of a Python, with `version`'s truth."""
    path = folder / name
    old = int(version < (3, 11))
    path.write_text(
        "#!/bin/sh\n"
        f'case "$2" in *version_info*) exit {old};; *ensurepip*) exit {int(not has_venv)};; esac\n'
        f"echo Python {version[0]}.{version[1]}.0\n"
    )
    path.chmod(0o755)


def _find(folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    script = ROOT / "deploy" / "find-python.sh"
    environ = {"PATH": str(folder), "USR_BIN": str(folder / "usr")}
    return subprocess.run([script], env=environ, capture_output=True, text=True, check=False)


def test_the_python_that_has_a_redis_wheel_is_preferred_without_a_redis(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", (3, 13))
    _fake_python(tmp_path, "python3.12", (3, 12))
    assert _find(tmp_path).stdout == "python3.12\n"


def test_the_usual_python_is_taken_with_a_redis(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", (3, 13))
    _fake_python(tmp_path, "python3.12", (3, 12))
    _fake_python(tmp_path, "valkey-server", (0, 0))
    assert _find(tmp_path).stdout == "python3\n"


def test_the_distributions_python_comes_first(tmp_path: Path) -> None:
    """It is the one that was built to be fast."""
    (tmp_path / "usr").mkdir()
    _fake_python(tmp_path, "python3", (3, 13))
    _fake_python(tmp_path, "valkey-server", (0, 0))
    _fake_python(tmp_path / "usr", "python3", (3, 11))
    assert _find(tmp_path).stdout == f"{tmp_path}/usr/python3\n"


@pytest.mark.parametrize(("version", "has_venv"), [((3, 9), True), ((3, 11), False)], ids=["old", "bare"])
def test_a_python_that_will_not_do_is_passed_over(tmp_path: Path, version: tuple[int, int], *, has_venv: bool) -> None:
    (tmp_path / "usr").mkdir()
    _fake_python(tmp_path, "python3", (3, 12))
    _fake_python(tmp_path, "valkey-server", (0, 0))
    _fake_python(tmp_path / "usr", "python3", version, has_venv=has_venv)
    assert _find(tmp_path).stdout == "python3\n"


def test_a_newer_python_is_found_beside_an_old_one(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", (3, 9))
    _fake_python(tmp_path, "python3.13", (3, 13))
    assert _find(tmp_path).stdout == "python3.13\n"


def test_an_old_python_alone_is_told_with_what_to_install(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", (3, 9))
    found = _find(tmp_path)
    assert found.returncode == 1
    assert "Python 3.9.0" in found.stderr
    assert "apt install python3" in found.stderr


def test_a_python_without_venv_is_told_with_what_to_install(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", (3, 11), has_venv=False)
    found = _find(tmp_path)
    assert found.returncode == 1
    assert "apt install python3-venv" in found.stderr


_NEEDY = """import pytest
@pytest.mark.needs("nginx")
def test_needy() -> None: ...
def test_modest() -> None: ...
"""


def _run_tests(folder: Path, source: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest over one file, with the plugin and nothing else of ours."""
    (folder / "test_some.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider", "--rootdir", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_missing_program_is_named_last_and_fails_under_continuous_integration(
    tmp_path: Path, ci: str, status: int
) -> None:
    ran = _run_tests(tmp_path, _NEEDY, PATH=str(tmp_path), CI=ci)
    assert ran.returncode == status
    assert "1 passed, 1 skipped" in ran.stdout
    assert "apt install nginx" in ran.stdout.splitlines()[-1]


def test_the_summary_comes_last_where_nothing_was_skipped(tmp_path: Path) -> None:
    ran = _run_tests(tmp_path, "def test_modest() -> None: ...\n", CI="true")
    assert ran.returncode == 0
    assert "1 passed" in ran.stdout.splitlines()[-1]
