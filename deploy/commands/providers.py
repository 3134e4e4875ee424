"""The command `penstock providers`."""

from typing import Annotated

import typer


def providers(
    *, markdown: Annotated[bool, typer.Option("--markdown", help="As the table of README.md.")] = False
) -> None:
    """List the provider types: status, credential and where it is found, what each supports.

    Example: penstock providers | less
    """
    from deploy.provider_table import as_markdown, as_text

    typer.echo(as_markdown() if markdown else as_text())
