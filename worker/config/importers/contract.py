"""What an importer is: it knows one predecessor's file and says it in penstock.yaml's words."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.config.importers.source import Source
from worker.providers.contract import Status
from worker.providers.registry import providers
from worker.routing.fields import FRAME


class Variable(str):
    """The name of an environment variable that the value comes from."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """`data` is penstock.yaml as plain data, secrets included; `notes` tell what could not be carried over, and why."""

    data: dict[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Importer:
    title: str
    recognises: Callable[[Source], bool]
    convert: Callable[[Source], Imported]

    def read(self, source: Source) -> Imported:
        """Raises ValueError for a file that is this predecessor's and broken."""
        try:
            return self.convert(source)
        except (AttributeError, TypeError, KeyError, ValueError, IndexError):
            # Nobody has checked the shapes in it, and what it got wrong may be anywhere.
            raise ValueError(f"looks like a file of {self.title}, but some of its parts have other shapes") from None


class Draft:
    """Collects what an importer finds."""

    def __init__(self, host: str, port: int, **server: Any) -> None:
        self.server: dict[str, Any] = {"host": host, "port": port, **server}
        self.providers: list[dict[str, Any]] = []
        self.models: dict[str, Any] = {}
        self.keys: list[dict[str, Any]] = []
        self.more: dict[str, Any] = {}
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def left_over(self, values: Mapping[str, Any], known: Sequence[str], where: str, why: str = "is not known") -> None:
        """Notes every key of `values` that is not in `known`, without its value."""
        for name in values:
            if name not in known:
                self.note(f"{where}: {name} {why} and was left out")

    def provider(self, name: str, type_name: str, credentials: Sequence[Mapping[str, Any]], **more: Any) -> str:
        """Adds a provider and returns its name, which is made unique and plain. Empty values are left out."""
        kind = providers()[type_name]
        unique = self.unique_name(name)
        entry: dict[str, Any] = {"name": unique, "type": type_name}
        if kind.status is Status.UNOFFICIAL:
            entry["accept_unofficial"] = True
            self.note(f"{unique}: accept_unofficial is set, because you used it before")
        elif kind.status is not Status.OFFICIAL and not more.get("base_url"):
            self.note(f"{unique}: is carried over, but answers 410")
        overrides = dict(more.get("overrides") or {})
        for owned in sorted(FRAME & overrides.keys()):
            del overrides[owned]
            self.note(f"{unique}: {owned} is the client's own and was left out")
        more["overrides"] = overrides
        entry.update((key, value) for key, value in more.items() if value not in (None, "", {}, []))
        filled = [{key: value for key, value in account.items() if value not in (None, "")} for account in credentials]
        if filled:
            entry["credentials"] = filled
        self.providers.append(entry)
        return unique

    def unique_name(self, name: str) -> str:
        plain = re.sub(r"[\s/*,]+", "-", name).strip("-") or "provider"
        taken = {entry["name"] for entry in self.providers}
        unique, number = plain, 2
        while unique in taken:
            unique, number = f"{plain}-{number}", number + 1
        return unique

    def done(self) -> Imported:
        sections = {"server": self.server, "providers": self.providers, "models": self.models, "keys": self.keys}
        data = {name: value for name, value in {**sections, **self.more}.items() if value}
        return Imported(data, tuple(self._notes))
