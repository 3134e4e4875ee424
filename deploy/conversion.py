"""Other gateways' files as penstock.yaml."""

import os
from pathlib import Path

from deploy.keys import make_client_key
from worker.config.importers import IMPORTERS, Source, recognise, render


class ConversionError(Exception):
    """The file cannot be converted or written; the message says why."""


def convert(file: Path) -> str:
    """The text of the penstock.yaml that `file` is, with its secrets. Raises ConversionError."""
    try:
        source = Source(file.read_bytes().decode("utf-8-sig"))
        importer = recognise(source)
        if importer is not None:
            return render(importer.read(source), importer.title, make_client_key)
    except (OSError, ValueError) as error:
        raise ConversionError(f"{file}: {error}") from None
    known = ", ".join(importer.title for importer in IMPORTERS)
    raise ConversionError(f"{file} is not a file of {known}. If it is a penstock.yaml already: penstock check")


def write_new(path: Path, text: str) -> None:
    """Raises ConversionError where there is something already."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise ConversionError(f"{path} cannot be written: {error.strerror}") from None
