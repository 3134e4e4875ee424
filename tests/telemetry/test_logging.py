"""What a process that has configured its logging writes, seen from outside."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.telemetry import LogLevelError, configure_logging

ROOT = Path(__file__).parents[2]
SECRET = "sk-canary-5f1d0a"
_PREAMBLE = f"""
import asyncio, logging, structlog
from shared.telemetry import configure_logging
SECRET = {SECRET!r}
log = structlog.get_logger()
"""


def run(code: str, *, level: str = "info", status: int = 0) -> list[dict[str, Any]]:
    """The lines that a process with this code logs."""
    script = f"{_PREAMBLE}\nconfigure_logging({level!r}, service='api')\n{code}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == status, done.stderr.decode()
    assert not done.stdout, "stdout belongs to the commands"
    assert SECRET not in done.stderr.decode()
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_is_json_with_time_level_event_and_process() -> None:
    (line,) = run("log.warning('buried', workers=2, fronts=0)")
    assert line.pop("timestamp").endswith("+00:00")
    assert line.pop("process.pid") > 0
    assert line == {"level": "warning", "event": "buried", "service.name": "penstock-api", "workers": 2, "fronts": 0}


def test_fields_have_their_open_telemetry_names() -> None:
    (line,) = run("log.info('request', model='gpt-4o', provider='eu', http_status=200, input_tokens=3)")
    assert line["gen_ai.request.model"] == "gpt-4o"
    assert line["gen_ai.provider.name"] == "eu"
    assert line["http.response.status_code"] == 200
    assert line["gen_ai.usage.input_tokens"] == 3


def test_a_field_that_is_not_loggable_is_withheld_and_named() -> None:
    (line,) = run("log.info('request', prompt=SECRET, api_key=SECRET, attempts=1)")
    assert line["withheld"] == ["prompt", "api_key"]
    assert line["attempts"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "please repeat: sk-canary-5f1d0a"),
        ("attempts", "sk-canary-5f1d0a"),
        ("names", "sk-canary-5f1d0a"),
        ("provider", {"key": "sk-canary-5f1d0a"}),
        ("reason", ["sk-canary-5f1d0a"]),
    ],
)
def test_a_value_of_another_shape_than_its_field_is_withheld(field: str, value: object) -> None:
    (line,) = run(f"log.info('request', **{{{field!r}: {value!r}}})")
    assert "[withheld]" in line.values()


def test_an_exception_shows_its_types_and_places_but_no_message_and_no_variable() -> None:
    (line,) = run(
        """
def inner(prompt):
    raise KeyError(prompt)
def outer():
    try:
        inner(SECRET)
    except KeyError as error:
        raise ValueError(f"bad input {SECRET}") from error
try:
    outer()
except ValueError:
    log.exception("job failed", request_id="req_1")
"""
    )
    assert line["level"] == "error"
    assert line["request_id"] == "req_1"
    assert line["exception.type"] == "ValueError"
    assert [part.split(":")[0] for part in line["exception.stacktrace"].split("\n")] == [
        "ValueError",
        "  __main__",
        "  __main__",
        "caused by",
        "KeyError",
        "  __main__",
        "  __main__",
    ]
    assert line["exception.stacktrace"].endswith(" inner")


def test_an_exception_group_shows_its_members_and_an_oserror_its_number() -> None:
    (line,) = run(
        """
try:
    raise ExceptionGroup(SECRET, [ConnectionRefusedError(111, SECRET), ValueError(SECRET)])
except ExceptionGroup:
    log.exception("job failed")
"""
    )
    assert line["exception.stacktrace"].split("\n")[2:] == ["ConnectionRefusedError (ECONNREFUSED)", "ValueError"]


def test_messages_of_libraries_keep_their_known_opening_and_lose_the_rest() -> None:
    lines = run(
        """
async def fail():
    raise ValueError(SECRET)
async def main():
    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
asyncio.run(main())
logging.getLogger("aiohttp.client").warning("headers %s", {"authorization": SECRET})
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
logging.getLogger("uvicorn.error").log(45, "Exception in ASGI application of %s", SECRET)
logging.getLogger("uvicorn.access").error(SECRET)
""",
        level="debug",
    )
    assert [(line["level"], line["event"], line["logger"]) for line in lines] == [
        ("error", "Task exception was never retrieved", "asyncio"),
        ("warning", "a library's message, withheld", "aiohttp.client"),
        ("warning", "Invalid HTTP request received", "uvicorn.error"),
        ("error", "Exception in ASGI application", "uvicorn.error"),
    ]
    assert lines[0]["exception.type"] == "ValueError"


def test_debug_lines_of_libraries_are_never_shown() -> None:
    """Websockets and hpack log whole messages and headers there."""
    assert run("logging.getLogger('websockets.client').debug('< %s', SECRET)", level="debug") == []


def test_the_level_decides_what_is_written() -> None:
    code = "log.debug('a'); log.info('b'); log.warning('c')"
    assert [line["event"] for line in run(code, level="debug")] == ["a", "b", "c"]
    assert [line["event"] for line in run(code, level="WARNING")] == ["c"]


def test_an_unknown_level_is_refused_with_the_choices() -> None:
    with pytest.raises(LogLevelError, match="'loud' is no log level; choose one of debug, info"):
        configure_logging("loud", service="api")


def test_an_exception_that_ends_the_process_is_logged_the_same_way() -> None:
    (line,) = run("raise RuntimeError(SECRET)", status=1)
    assert line["event"] == "process failed"
    assert line["exception.type"] == "RuntimeError"


def test_a_reader_that_went_away_does_not_stop_the_process() -> None:
    read, write = os.pipe()
    os.close(read)
    script = f"{_PREAMBLE}\nconfigure_logging('info', service='api')\nlog.info('request'); print('goes on')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=write, check=False)
    os.close(write)
    assert done.stdout == b"goes on\n"


def test_on_a_terminal_lines_are_for_people() -> None:
    script = f"""{_PREAMBLE}
configure_logging('info', service='api')
try:
    raise ValueError(SECRET)
except ValueError:
    log.exception('job failed', request_id='req_1', prompt=SECRET)
"""
    master, terminal = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=terminal, env=environment, check=True)
    os.close(terminal)
    shown = os.read(master, 65536).decode().replace("\r", "")
    os.close(master)
    assert "[error    ] job failed" in shown
    assert "request_id=req_1" in shown
    assert "\nValueError\n  __main__:" in shown
    assert SECRET not in shown
