"""The command `penstock check`."""

import os
from pathlib import Path

import typer

from deploy.commands.failures import told
from deploy.commands.options import Config


def check(config: Config = None) -> None:
    """Check the configuration and print what it offers, without secrets. Asks nothing of any upstream.

    Example: penstock check --config penstock.yaml
    """
    from deploy.catalogue_text import describe
    from deploy.keys import KeyFileError, read_key_files
    from worker.config.loading import find_config, load
    from worker.config.problems import ConfigError

    with told(ConfigError, KeyFileError):
        read_key_files(os.environ)
        loaded = load(find_config(config, os.environ, Path.cwd()), os.environ)
        typer.echo(describe(loaded))
