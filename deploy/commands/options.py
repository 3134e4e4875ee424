"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="PENSTOCK_CONFIG", help="The configuration; ./penstock.yaml where there is one."
    ),
]
Level = Annotated[LogLevel, typer.Option("--log-level", envvar="PENSTOCK_LOG_LEVEL", help="How much is logged.")]
Port = Annotated[int, typer.Option("--port", "-p", min=1, max=65535, envvar="PENSTOCK_PORT", help="Where to listen.")]
Host = Annotated[str, typer.Option("--host", envvar="PENSTOCK_HOST", help="The address to listen on.")]
