"""The command `penstock up`."""

import os
from typing import Annotated

import typer

from deploy.commands.failures import told
from deploy.commands.options import Config, Level, LogLevel


def up(
    config: Config = None,
    host: Annotated[str | None, typer.Option(envvar="PENSTOCK_HOST", help="In place of server.host.")] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", min=1, max=65535, envvar="PENSTOCK_PORT", help="In place of server.port."),
    ] = None,
    fronts: Annotated[int, typer.Option(min=1, help="Front processes; all serve the one port.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    passthrough: Annotated[
        str | None,
        typer.Option(envvar="PENSTOCK_PASSTHROUGH", help="Serve this provider with callers' own keys, without a file."),
    ] = None,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Start everything on this machine: Redis, fronts and workers.

    Without --config, ./penstock.yaml is used; without that, the built-in model `echo` and every provider whose
    variable is set (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...). Without redis.url or PENSTOCK_REDIS_URL an embedded Redis
    is started. Ctrl-C ends it all.

    Example: penstock up --port 8000 --fronts 2 --workers 2
    """
    from deploy.embedded_redis import NoRedis
    from deploy.keys import KeyFileError, read_key_files
    from deploy.plan import CannotStart, Wishes
    from deploy.up import up as run
    from worker.config.problems import ConfigError

    with told(CannotStart, ConfigError, KeyFileError, NoRedis):
        read_key_files(os.environ)
        wishes = Wishes(config, host, port, fronts, workers, passthrough, log_level.value)
        raise typer.Exit(run(wishes, os.environ))
