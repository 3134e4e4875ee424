"""`penstock up` on the file of a predecessor, as it is."""

from pathlib import Path

import httpx
import pytest

from deploy.plan import Wishes, make_plan
from tests.deploy.started import Up
from tests.servers import free_port
from tests.worker.config.predecessors import ENVIRON, TITLES, text_of


@pytest.mark.parametrize(
    ("name", "address", "who"),
    [
        ("openai-compatible-go.config.json", "0.0.0.0:8080", "a made key"),
        ("openai-style-api.model-config.json", "0.0.0.0:8090", "keys of the file"),
        ("go-oai-gateway.config.yaml", "127.0.0.1:8080", "everybody"),
        ("gptomni-2api.env", "0.0.0.0:8088", "keys of the file"),
        ("dashscope-gateway.env", "0.0.0.0:8000", "callers with keys of their own"),
        ("litellm.config.yaml", "0.0.0.0:4000", "keys of the file"),
        ("one-api.channels.json", "0.0.0.0:3000", "a made key"),
    ],
)
def test_where_it_listens_and_who_may_call(tmp_path: Path, name: str, address: str, who: str) -> None:
    """As there, but that whoever asked for no key on an address that others reach now has one, and is shown it."""
    (tmp_path / name).write_text(text_of(name))
    plan = make_plan(Wishes(config=tmp_path / name), {**ENVIRON, "PENSTOCK_STATE_DIR": str(tmp_path / "state")})
    assert f"{plan.host}:{plan.port}" == address
    found = {
        "a made key": plan.shown_key,
        "keys of the file": plan.asking_key and not plan.shown_key,
        "everybody": plan.open_to_all,
        "callers with keys of their own": plan.passthrough,
    }
    assert [one for one, is_so in found.items() if is_so] == [who]
    assert plan.environ["PENSTOCK_CONFIG"] == str(tmp_path / name)
    assert f"read as a file of {TITLES[name]}" in plan.warnings


def test_a_file_of_another_gateway_starts_as_it_is(tmp_path: Path) -> None:
    """On loopback, and so without a key, as it was there."""
    text = text_of("go-oai-gateway.config.yaml")
    for number in (1, 2):
        text = text.replace(f"https://api.your-provider-{number}.com", f"http://127.0.0.1:{free_port()}")
    (tmp_path / "config.yaml").write_text(text)
    running = Up(tmp_path, "--config", "config.yaml")
    try:
        listed = httpx.get(f"http://127.0.0.1:{running.port}/v1/models").json()["data"]
    finally:
        running.close()
    assert {"gpt-4-turbo", "claude-3-opus"} <= {model["id"] for model in listed}
    assert "read as a file of Go OAI Gateway" in running.printed
