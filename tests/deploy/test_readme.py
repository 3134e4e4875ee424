"""README.md says what is so."""

import re
from typing import Final

import pytest
import yaml

from deploy.cli import app
from tests.servers import ROOT
from worker.config.loading import parse

_README: Final = (ROOT / "README.md").read_text()
_SOURCES: Final = [path for name in ("api", "worker", "shared", "deploy") for path in (ROOT / name).rglob("*.py")]


def test_the_configuration_that_it_shows_is_valid() -> None:
    shown = re.findall(r"```yaml\n(providers:.*?|server:.*?)```", _README, re.DOTALL)
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", "".join(shown)), "sk-0123456789abcdef0123456789")
    keyed = {name: f"{value}{i}" for i, (name, value) in enumerate(variables.items())}
    assert shown
    for text in shown:
        loaded = parse(text, keyed, path=ROOT / "README.md", generation=1)
        assert loaded.config.providers
        assert loaded.warnings == ()


def test_its_variables_are_those_of_the_code() -> None:
    read = {name for path in _SOURCES for name in re.findall(r"PENSTOCK_[A-Z_]+[A-Z]", path.read_text())}
    told = set(re.findall(r"PENSTOCK_[A-Z_]+[A-Z]", _README))
    assert {name for name in told if not name.endswith("_FILE")} == read


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", _README)) <= targets


def test_its_commands_exist() -> None:
    commands = {command.name for command in app.registered_commands}
    assert set(re.findall(r"`penstock ([a-z]+)", _README)) <= commands


def test_its_files_exist() -> None:
    told = set(re.findall(r"`((?:api|worker|shared|deploy|nginx|tests)/[\w./-]+)`", _README))
    missing = {name for name in told if not (ROOT / name).exists()}
    assert missing <= {"deploy/.env", "deploy/config/", "worker/providers/example.py", "tests/providers/example/"}


@pytest.mark.parametrize("heading", re.findall(r"\]\(#([\w-]+)\)", _README))
def test_its_links_lead_to_headings(heading: str) -> None:
    headings = {re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in _headings()}
    assert heading in headings


def _headings() -> list[str]:
    return re.findall(r"^#+ (.*)$", _README, re.MULTILINE)


def test_its_continue_entry_is_yaml() -> None:
    entry = re.search(r"`(\{name: Penstock.*?\})`", _README)
    assert entry
    assert yaml.safe_load(entry[1])["apiBase"].endswith("/v1")
