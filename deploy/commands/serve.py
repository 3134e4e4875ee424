"""The commands `penstock api` and `penstock worker`: the parts, for production."""

import os
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
    from api.__main__ import main
    from deploy.keys import KeyFileError, read_key_files

    with told(KeyFileError):
        read_key_files(os.environ)
        where = ["--fd", str(fd)] if fd is not None else ["--host", host, "--port", str(port)]
        raise typer.Exit(main([*where, "--log-level", log_level.value]))


def worker(config: Config = None, log_level: Level = LogLevel.INFO) -> None:
    """Run one worker, which calls the providers. Only workers read penstock.yaml.

    Example: PENSTOCK_REDIS_URL=redis://10.0.0.5:6379/0 penstock worker --config /etc/penstock/penstock.yaml
    """
    from deploy.keys import KeyFileError, read_key_files
    from worker.__main__ import main

    with told(KeyFileError):
        read_key_files(os.environ)
        os.environ["PENSTOCK_LOG_LEVEL"] = log_level.value
        raise typer.Exit(main(["--config", str(config)] if config else []))
