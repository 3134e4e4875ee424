"""Predecessors' configuration files, recognised by their content and carried over."""

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
