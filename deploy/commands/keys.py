"""The command `penstock keys`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.failures import told


def keys(
    folder: Annotated[
        Path | None,
        typer.Option(help="Make what this folder lacks of client-key, master-key and secret-key, and print the first."),
    ] = None,
) -> None:
    """Make a client key and say where it goes.

    Example: penstock keys

    Example: penstock keys --folder /var/lib/penstock
    """
    from deploy.keys import KeyFileError, make_all, make_client_key

    with told(KeyFileError):
        if folder is not None:
            key = make_all(folder)
            typer.echo(
                "Client keys: those of PENSTOCK_KEYS" if os.environ.get("PENSTOCK_KEYS") else f"Client key: {key}"
            )
            return
        typer.echo(make_client_key())
        typer.echo(
            "\nIn the environment of workers, for every model:\n\n  PENSTOCK_KEYS=<the key>[,<another>...]\n", err=True
        )
        typer.echo(_ENTRY, err=True)


_ENTRY = """Or in penstock.yaml, with the key in the variable TEAM_A_KEY:

keys:
  - {name: team-a, key: "${TEAM_A_KEY}", models: ["*"]}"""
