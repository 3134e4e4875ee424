"""The commands that end by themselves."""

import os
import pty
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.provider_table import as_markdown
from tests.deploy.started import PENSTOCK, Up, penstock
from tests.servers import ROOT

_SECRET = "sk-upstream-5f0c4e1d2b3a"
_CLIENT_SECRET = "sk-client-9a8b7c6d5e4f3a2b"
_CONFIG: dict[str, Any] = {
    "providers": [
        {
            "name": "moon",
            "type": "openai-compatible",
            "base_url": "http://127.0.0.1:9/v1",
            "proxy": f"http://user:{_SECRET}@127.0.0.1:9",
            "models": ["kimi-k2"],
            "credentials": [{"name": "main", "api_key": _SECRET, "limits": {"rpm": 500}}],
        },
        {"name": "echo", "type": "echo"},
    ],
    "models": {"gpt-4-turbo": {"targets": ["moon/kimi-k2", "echo/echo"], "fallbacks": ["kimi-k2"]}},
    "keys": [{"name": "team-a", "key": _CLIENT_SECRET, "models": ["gpt-*"]}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a penstock.yaml in it."""
    (tmp_path / "penstock.yaml").write_text(yaml.safe_dump(_CONFIG))
    return tmp_path


@pytest.mark.parametrize(
    "command", ["up", "api", "worker", "check", "import", "keys", "providers", "accounts", "login", "try"]
)
def test_every_command_is_explained_with_an_example(command: str, tmp_path: Path) -> None:
    told = penstock(command, "--help", folder=tmp_path)
    assert told.returncode == 0
    assert re.search(rf"Example: (\w+=\S+ )?penstock {command}", re.sub(r"\s+", " ", told.stdout))


def test_check_shows_what_a_file_resolves_to_without_its_secrets(folder: Path) -> None:
    checked = penstock("check", folder=folder)
    assert checked.returncode == 0, checked.stderr
    assert "gpt-4-turbo -> weighted: moon/kimi-k2, echo/echo; else kimi-k2" in checked.stdout
    assert "main (rpm 500)" in checked.stdout
    assert "team-a: gpt-*" in checked.stdout
    assert _SECRET not in checked.stdout + checked.stderr
    assert _CLIENT_SECRET not in checked.stdout + checked.stderr


def test_check_warns_of_targets_that_lead_nowhere(folder: Path) -> None:
    models = {"gpt-4-turbo": ["moon/kimi-k3"]}
    (folder / "penstock.yaml").write_text(yaml.safe_dump({**_CONFIG, "models": models}))
    checked = penstock("check", folder=folder)
    assert "kimi-k3" in checked.stdout.partition("warnings")[2]


def test_check_names_line_key_and_nearest_name(folder: Path) -> None:
    (folder / "penstock.yaml").write_text("providers:\n  - name: echo\n    type: ecko\n")
    checked = penstock("check", folder=folder)
    assert checked.returncode == 2
    assert re.search(r"penstock\.yaml:3: providers\[0\]\.type: .*'echo'", checked.stderr)


def test_import_writes_a_file_that_check_accepts(tmp_path: Path) -> None:
    litellm = {
        "model_list": [
            {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "api_key": "sk-litellm-0123456789"}}
        ]
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(litellm))
    imported = penstock("import", "config.yaml", "--output", "penstock.yaml", folder=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert stat.S_IMODE((tmp_path / "penstock.yaml").stat().st_mode) == 0o600
    checked = penstock("check", folder=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "gpt-4" in checked.stdout
    again = penstock("import", "config.yaml", "--output", "penstock.yaml", folder=tmp_path)
    assert again.returncode == 2
    assert "exists" in again.stderr


def test_import_says_which_files_it_knows(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    imported = penstock("import", "notes.txt", folder=tmp_path)
    assert imported.returncode == 2
    assert "LiteLLM" in imported.stderr


def test_keys_are_made_once_for_all_who_share_a_folder(tmp_path: Path) -> None:
    first = penstock("keys", "--folder", "shared", folder=tmp_path)
    second = penstock("keys", "--folder", "shared", folder=tmp_path)
    assert first.stdout == second.stdout
    assert first.stdout.startswith("Client key: sk-penstock-")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "shared").iterdir()}
    assert modes == {"client-key": 0o600, "master-key": 0o600, "secret-key": 0o600}


def test_two_new_keys_differ(tmp_path: Path) -> None:
    made = {penstock("keys", folder=tmp_path).stdout.strip() for _ in range(2)}
    assert len(made) == 2


def test_a_key_file_serves_in_place_of_its_variable(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{_CLIENT_SECRET}\n")
    checked = penstock("check", folder=tmp_path, environ={"PENSTOCK_KEYS_FILE": "key"})
    assert "PENSTOCK_KEYS-1" in checked.stdout
    missing = penstock("check", folder=tmp_path, environ={"PENSTOCK_KEYS_FILE": "other"})
    assert missing.returncode == 2
    assert "PENSTOCK_KEYS_FILE" in missing.stderr


def test_accounts_shows_those_of_the_running_gateway(folder: Path) -> None:
    """It finds the embedded Redis by itself."""
    running = Up(folder)
    shown = penstock("accounts", folder=folder)
    running.close()
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^moon/main +ready", shown.stdout, re.MULTILINE)


def test_accounts_says_that_redis_is_away(folder: Path) -> None:
    shown = penstock("accounts", folder=folder, environ={"PENSTOCK_REDIS_URL": "redis://127.0.0.1:9/0"})
    assert shown.returncode == 2
    assert "Redis does not answer" in shown.stderr


def test_try_says_what_failed(tmp_path: Path) -> None:
    tried = penstock("try", "--url", "http://127.0.0.1:9", folder=tmp_path)
    assert tried.returncode == 1
    assert "cannot be reached" in tried.stdout


def test_try_asks_a_person_for_a_missing_key(tmp_path: Path) -> None:
    running = Up(tmp_path, environ={"PENSTOCK_KEYS": _CLIENT_SECRET})
    ours, theirs = pty.openpty()
    asking = subprocess.Popen(
        [*PENSTOCK, "try", "--url", f"http://127.0.0.1:{running.port}"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={**os.environ, "PENSTOCK_STATE_DIR": str(tmp_path / "none")},
        start_new_session=True,
    )
    os.close(theirs)
    shown = _read_until(ours, b"Client key: ")
    os.write(ours, f"{_CLIENT_SECRET}\n".encode())
    shown += _read_until(ours, b"Everything works.")
    os.close(ours)
    asking.wait(10)
    running.close()
    assert _CLIENT_SECRET.encode() not in shown


def _read_until(descriptor: int, end: bytes) -> bytes:
    """The tests' own time limit ends it where `end` does not come."""
    shown = b""
    while end not in shown:
        shown += os.read(descriptor, 4096)
    return shown


def test_the_table_of_the_readme_is_that_of_the_code() -> None:
    """To renew it: paste what `penstock providers --markdown` prints between the two marks."""
    _, begin, rest = (ROOT / "README.md").read_text().partition("<!-- providers: begin -->\n")
    table, end, _ = rest.partition("\n<!-- providers: end -->")
    assert begin
    assert end
    assert table.strip() == as_markdown()
