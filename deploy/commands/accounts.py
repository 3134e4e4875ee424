"""The command `penstock accounts`."""

import asyncio
import os
from pathlib import Path

import typer

from deploy.commands.failures import told
from deploy.commands.options import Config


def accounts(config: Config = None) -> None:
    """Show every account's state: ready, cooling, exhausted, needs_renewal or disabled, why and until when.

    Asks the Redis of the running workers: redis.url, or PENSTOCK_REDIS_URL. Exits with 1 where one is not ready.

    Example: PENSTOCK_REDIS_URL=redis://127.0.0.1:6379/0 penstock accounts
    """
    from deploy.account_table import RedisAway, show
    from deploy.keys import KeyFileError, read_key_files
    from worker.config.loading import find_config, load
    from worker.config.problems import ConfigError
    from worker.secrets import SecretsError

    with told(ConfigError, KeyFileError, RedisAway, SecretsError):
        read_key_files(os.environ)
        loaded = load(find_config(config, os.environ, Path.cwd()), os.environ)
        text, all_ready = asyncio.run(show(loaded, os.environ))
    typer.echo(text)
    raise typer.Exit(0 if all_ready else 1)
