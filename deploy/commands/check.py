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
    with told():
        from deploy.catalogue_text import describe
        from deploy.keys import read_key_files
        from worker.config.loading import find_config, load

        read_key_files(os.environ)
        loaded = load(find_config(config, os.environ, Path.cwd()), os.environ)
        typer.echo(describe(loaded))
