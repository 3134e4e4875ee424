"""The commands `penstock api` and `penstock worker`: the parts, for production."""

import os
import sys
from typing import Annotated

import typer

from deploy.commands.failures import told
from deploy.commands.options import Config, Host, Level, LogLevel, Port


def api(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    fd: Annotated[int | None, typer.Option(help="An inherited listening socket, instead of host and port.")] = None,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Run one front, which serves clients. It needs a Redis, and learns everything else from the workers.

    PENSTOCK_REDIS_URL names the Redis (default: redis://127.0.0.1:6379/0), PENSTOCK_FORWARDED_ALLOW_IPS the proxies
    whose X-Forwarded-* headers are believed.

    Example: PENSTOCK_REDIS_URL=redis://10.0.0.5:6379/0 penstock api --host 0.0.0.0 --port 8080
    """
    _become("api", log_level, *(["--fd", str(fd)] if fd is not None else ["--host", host, "--port", str(port)]))


def worker(config: Config = None, log_level: Level = LogLevel.INFO) -> None:
    """Run one worker, which calls the providers. Only workers read penstock.yaml.

    Example: PENSTOCK_REDIS_URL=redis://10.0.0.5:6379/0 penstock worker --config /etc/penstock/penstock.yaml
    """
    _become("worker", log_level, *(["--config", str(config)] if config else []))


def _become(module: str, log_level: LogLevel, *arguments: str) -> None:
    """Replaces this process, so that a server does not keep the command line's memory.

    With `-P` no folder of the user's that is called `api` stands in for ours.
    """
    from deploy.keys import KeyFileError, read_key_files

    with told(KeyFileError):
        read_key_files(os.environ)
    os.environ["PENSTOCK_LOG_LEVEL"] = log_level.value
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606  our own modules
