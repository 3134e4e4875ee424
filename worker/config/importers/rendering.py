"""An imported configuration as the text of a penstock.yaml."""

from collections.abc import Callable
from typing import Any

import yaml

from worker.config.importers.contract import Imported, Variable


class _Dumper(yaml.SafeDumper):
    """Indents lists, and repeats equal parts instead of linking them."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002  PyYAML's
        del indentless
        super().increase_indent(flow, indentless=False)


def render(imported: Imported, title: str, make_key: Callable[[], str] | None = None) -> str:
    """The text of penstock.yaml, with the notes as comments. `make_key` makes a client key where the file had none."""
    data, notes = dict(imported.data), list(imported.notes)
    if make_key is not None and needs_key(imported):
        data["keys"] = [{"name": "imported", "key": make_key()}]
        notes.append("the file had no client key, so one was made: the key named imported")
    head = [f"# From a configuration of {title}.", *(f"# - {note}" for note in notes)]
    return "\n".join(head) + "\n" + render_data(data)


def needs_key(imported: Imported) -> bool:
    """Whether nobody could call: no client key, no callers' own keys, and not open."""
    data = imported.data
    return not data.get("keys") and not data.get("passthrough") and data.get("server", {}).get("auth") != "none"


def render_data(data: Any) -> str:
    text: str = yaml.dump(_escape(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _escape(value: Any) -> Any:
    """`$` is doubled, for `${...}` would be a variable; a `Variable` becomes one."""
    match value:
        case Variable():
            return f"${{{value}}}"
        case str():
            return value.replace("$", "$$")
        case dict():
            return {key: _escape(item) for key, item in value.items()}
        case list() | tuple():
            return [_escape(item) for item in value]
        case _:
            return value
