"""The whole product for real client libraries, and an environment of its own for each library."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.clients.dialects import MODELS
from tests.servers import ROOT, Logged, Process, RedisServer, free_port, wait_until
from tests.system import CLIENT_KEY, ECHO, System

HERE = Path(__file__).parent
LIMITED_KEY = "sk-test-limited-7c1e5a9d3b2f4e60"


class Gateway:
    """Models: echo, echo-tool and echo-error are built in, num-... are those of an upstream that can misbehave.

    `impatient` is a route to an account of one request per minute, and does not wait for it.
    """

    def __init__(self, system: System, upstream_port: int) -> None:
        self.url = f"{system.url}/v1"
        self._upstream_port = upstream_port
        self._clients = ExitStack()

    def calls(self, nonce: str) -> dict[str, Any]:
        """What the num upstream knows of the calls whose last word was `nonce`."""
        stats = httpx.get(f"http://127.0.0.1:{self._upstream_port}/stats").json()["calls"]
        row: dict[str, Any] = stats.get(nonce, {})
        return row

    def wait_for_hang_up(self, nonce: str) -> None:
        """Until the upstream has seen the end of that call's connection. Raises AssertionError if it does not."""
        wait_until(f"the upstream saw no hang-up of {nonce}", HungUp(self, nonce))

    def sync_client(self, **options: Any) -> openai.OpenAI:
        """Closed with the gateway."""
        client = openai.OpenAI(**{"base_url": self.url, "api_key": CLIENT_KEY, "max_retries": 0, **options})
        return self._clients.enter_context(client)

    def async_client(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(**{"base_url": self.url, "api_key": CLIENT_KEY, "max_retries": 0, **options})

    def close(self) -> None:
        self._clients.close()


class HungUp:
    def __init__(self, gateway: Gateway, nonce: str) -> None:
        self.gateway, self.nonce = gateway, nonce

    def __call__(self) -> bool:
        return bool(self.gateway.calls(self.nonce).get("hung_up"))


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    port = free_port()
    server = RedisServer(folder)
    upstream = _begin_upstream("tests.chaos.upstream", port, folder)
    dialects_port = free_port()
    dialects = _begin_upstream("tests.clients.dialects", dialects_port, folder)
    numbers = {
        "name": "num",
        "type": "openai-compatible",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "models": ["num-*"],
        "credentials": [{"name": "one", "api_key": "sk-upstream-0123456789"}],
    }
    narrow = {**numbers, "name": "narrow", "models": ["num-n1"], "limits": {"rpm": 1}}
    keys = [{"name": "test", "key": CLIENT_KEY}, {"name": "limited", "key": LIMITED_KEY, "models": ["echo"]}]
    impatient = {"targets": [{"model": "narrow/num-n1"}], "queue_wait_s": 0.2}
    config = {
        "providers": [ECHO, numbers, narrow, *_dialects(f"http://127.0.0.1:{dialects_port}")],
        "keys": keys,
        "models": {"impatient": impatient},
    }
    system = System(folder, config, server)
    try:
        made = Gateway(system.start(), port)
        yield made
        made.close()
    finally:
        system.close()
        upstream.close()
        dialects.close()
        server.close()


def _begin_upstream(module: str, port: int, folder: Path) -> Process:
    upstream = Process([sys.executable, "-m", module, str(port)], ROOT, module, log_folder=folder)
    wait_until(module, Logged(upstream, "upstream ready"), upstream)
    return upstream


def _dialects(url: str) -> list[dict[str, Any]]:
    """One provider of each type that tests.clients.dialects speaks.

    LlamaIndex always sends `temperature` and `parallel_tool_calls`, which not every upstream knows: hence drop_params.
    """
    urls = {"openai-compatible": f"{url}/openai/v1", "anthropic": f"{url}/v1", "gemini": f"{url}/v1beta"}
    return [
        {
            "name": f"speaks-{kind}",
            "type": kind,
            "base_url": urls[kind],
            "models": [model],
            "drop_params": True,
            "credentials": [{"name": "one", "api_key": "test-key-0123456789"}],
        }
        for kind, model in MODELS.items()
    ]


def _folder(name: str, *inputs: Path) -> Path:
    """Where an environment made of these files is kept; other contents are another folder."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:12]
    return ROOT / ".venv" / "clients" / f"{name}-{sys.version_info.major}.{sys.version_info.minor}-{digest}"


def python_with(name: str) -> str:
    """The Python of an environment that holds exactly what `name`.lock names; made once."""
    lock = HERE / f"{name}.lock"
    folder = _folder(name, lock)
    python = str(folder / "bin" / "python")
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", lock], check=True)
        ready.touch()
    return python


def node_folder() -> Path:
    """A folder with the Node SDK as package-lock.json names it; made once."""
    inputs = [HERE / "node" / name for name in ("package.json", "package-lock.json", ".npmrc")]
    folder = _folder("node", *inputs)
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in inputs:
            shutil.copy(path, folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
        ready.touch()
    return folder
