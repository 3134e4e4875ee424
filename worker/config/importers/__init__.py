"""Predecessors' configuration files, recognised by their content and carried over."""

from collections.abc import Callable

from worker.config.importers import (
    dashscope_gateway,
    go_oai_gateway,
    gptomni,
    litellm,
    one_api,
    openai_compatible_go,
    openai_style_api,
)
from worker.config.importers.contract import Imported, Importer
from worker.config.importers.rendering import needs_key, render, render_data
from worker.config.importers.source import Source

__all__ = [
    "IMPORTERS",
    "Imported",
    "Importer",
    "Source",
    "import_text",
    "needs_key",
    "recognise",
    "render",
    "render_data",
]

IMPORTERS: tuple[Importer, ...] = (
    openai_compatible_go.IMPORTER,
    openai_style_api.IMPORTER,
    one_api.IMPORTER,
    go_oai_gateway.IMPORTER,
    litellm.IMPORTER,
    gptomni.IMPORTER,
    dashscope_gateway.IMPORTER,
)


def recognise(source: Source) -> Importer | None:
    """Whose file this is; None for penstock.yaml and for what is nobody's."""
    return next((importer for importer in IMPORTERS if importer.recognises(source)), None)


def import_text(text: str, make_key: Callable[[], str]) -> tuple[str, Imported]:
    """A predecessor's file as the text of penstock.yaml, and what was found with its notes.

    `make_key` makes the client key for a file without one. Raises ValueError for a file that is nobody's or broken.
    """
    source = Source(text)
    importer = recognise(source)
    if importer is None:
        titles = ", ".join(importer.title for importer in IMPORTERS)
        raise ValueError(f"is a file of none of these: {titles}")
    imported = importer.read(source)
    return render(imported, importer.title, make_key), imported
