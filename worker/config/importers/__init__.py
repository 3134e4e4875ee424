"""Predecessors' configuration files, recognised by their content and carried over."""

from worker.config.importers.contract import Importer

__all__ = ["recognise"]

IMPORTERS: tuple[Importer, ...] = ()


def recognise(text: str) -> Importer | None:
    """Whose file this is; None for penstock.yaml and for what is nobody's."""
    return next((importer for importer in IMPORTERS if importer.recognises(text)), None)
