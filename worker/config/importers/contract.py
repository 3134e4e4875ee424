"""What an importer is: it knows one predecessor's file and says it in penstock.yaml's words."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Imported:
    """`data` is penstock.yaml as plain data, secrets included; `notes` tell what could not be carried over, and why."""

    data: dict[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Importer:
    title: str
    recognises: Callable[[str], bool]
    """Whether a text is this predecessor's file. Never raises."""
    convert: Callable[[str], Imported]
    """Raises ConfigError for a file that is this predecessor's and broken."""
