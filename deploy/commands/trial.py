"""The command `penstock try`."""

import os
from typing import Annotated

import typer


def try_(
    url: Annotated[
        str, typer.Option("--url", "-u", envvar="PENSTOCK_URL", help="Where the gateway is.")
    ] = "http://127.0.0.1:8080",
    key: Annotated[
        str | None, typer.Option("--key", "-k", envvar="PENSTOCK_KEY", help="A client key; asked for where needed.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model to chat with; else one is picked.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="What to say to it.")] = "Say hello in five words.",
) -> None:
    """Try a running gateway: health, models, a plain and a streamed chat. Prints how to use it from elsewhere.

    Exits with 1 where one of these fails.

    Example: penstock try --url https://llm.example.com --key sk-penstock-...
    """
    from deploy.trial import run

    raise typer.Exit(run(url, key or own_key(), model, prompt))


def own_key() -> str | None:
    """The key that `penstock up` made on this machine, if any; a person is asked where the gateway refuses it."""
    from worker.secrets import state_folder

    path = state_folder(os.environ) / "client-key"
    return path.read_text().strip() if path.is_file() else None
