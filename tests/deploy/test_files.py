"""The files of deploy/ and .github/, as far as they can be checked without an engine that runs them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import ROOT

_DEPLOY = ROOT / "deploy"
_COMPOSE = _DEPLOY / "compose.yaml"
_WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(_COMPOSE.read_text())["services"]
    return services


@pytest.mark.parametrize(
    ("schema", "path"),
    [("compose-spec", _COMPOSE), *(("github-workflows", path) for path in _WORKFLOWS)],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_the_file_follows_its_published_schema(schema: str, path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_nginx_knows_resolve() -> None:
    found = re.fullmatch(r"nginx:1\.(\d+)-alpine", _services()["nginx"]["image"])
    assert found
    assert int(found[1]) >= 28


def test_every_file_that_compose_mounts_is_there() -> None:
    mounts = [mount for service in _services().values() for mount in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(files) > 4
    assert [file for file in files if file != "./config" and not (_DEPLOY / file).exists()] == []


def test_every_setting_of_compose_is_explained() -> None:
    asked = set(re.findall(r"\$\{(\w+)", _COMPOSE.read_text())) - {"PENSTOCK_IMAGE"}
    explained = set(re.findall(r"^#?(\w+)=", (_DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert asked <= explained


def test_only_nginx_is_published_beyond_this_host() -> None:
    published = {name: service["ports"] for name, service in _services().items() if "ports" in service}
    beyond = [name for name, ports in published.items() if not all(port.startswith("127.0.0.1:") for port in ports)]
    assert beyond == ["nginx"]


def test_the_redis_of_compose_keeps_what_it_was_told() -> None:
    command = _services()["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("path", sorted((_DEPLOY / "systemd").iterdir()), ids=lambda path: path.name)
def test_systemd_understands_the_unit(path: Path, tmp_path: Path) -> None:
    """With a program that exists in place of the installed one, and an instance."""
    unit = tmp_path / path.name.replace("@", "@8081")
    unit.write_text(path.read_text().replace("/opt/penstock/.venv/bin/penstock", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    about_us = [line for line in checked.stderr.splitlines() if path.stem.rstrip("@") in line]
    assert checked.returncode == 0, checked.stderr
    assert about_us == []
