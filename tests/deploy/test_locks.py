"""The lock files hold what pyproject.toml asks for, and name no place to get it from."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.servers import ROOT

_RUNTIME, _TOOLS = ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock"
_PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^ ]+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (_RUNTIME, [*_PROJECT["project"]["dependencies"], *_PROJECT["dependency-groups"]["build"]]),
        (_TOOLS, _PROJECT["dependency-groups"]["test"]),
    ],
    ids=["runtime", "tools"],
)
def test_every_dependency_is_locked_to_a_version_that_fits(path: Path, asked: list[str]) -> None:
    """Where this fails: make lock."""
    locked = _locked(path)
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_tools_and_runtime_agree_on_versions() -> None:
    runtime, tools = _locked(_RUNTIME), _locked(_TOOLS)
    assert {
        name: (runtime[name], tools[name]) for name in runtime.keys() & tools.keys() if runtime[name] != tools[name]
    } == {}


@pytest.mark.parametrize(
    "path", [_RUNTIME, _TOOLS, *sorted((ROOT / "tests" / "clients").glob("*.lock"))], ids=lambda path: path.name
)
def test_a_lock_names_no_place_and_hashes_everything(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert "--find-links" not in text
    pinned = [block for block in re.split(r"\n(?=\w)", text) if "==" in block]
    assert [block for block in pinned if "--hash=sha256:" not in block] == []


def test_what_is_locked_is_all_that_it_needs() -> None:
    """The locks are installed with --no-deps, so that nothing which is missing there comes in behind our back."""
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
