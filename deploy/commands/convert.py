"""The command `penstock import`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.failures import told


def import_(
    file: Annotated[Path, typer.Argument(help="The other gateway's file.", exists=True, dir_okay=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here (0600) instead of printing; never over a file.")
    ] = None,
) -> None:
    """Turn another gateway's configuration into a penstock.yaml.

    Recognised: OpenAICompatible (config.json), openai-style-api (model-config.json), Go OAI Gateway (config.yaml),
    gptomni-2api and DashScope gateway (.env), LiteLLM (config.yaml) and one-api (channel export). What could not be
    carried over stands in comments at the top. `penstock up --config` also takes such a file as it is.

    Example: penstock import config.json --output penstock.yaml
    """
    from deploy.conversion import ConversionError, convert, write_new

    with told(ConversionError):
        text = convert(file)
        if output is None:
            sys.stdout.write(text)
        else:
            write_new(output, text)
            typer.echo(f"{output} was written; check it with: penstock check --config {output}")
