"""The list of openai-style-api as its own administration reads and writes it. Pure."""

import json
from typing import Any, Final

from shared.errors import GatewayError
from worker.administration.masks import Masks
from worker.administration.objects import Maker
from worker.config.importers.openai_style_api import CIRCLE, IMPORTER
from worker.config.importers.openai_style_export import Entry, entries_of, next_number
from worker.config.importers.source import Source
from worker.config.loading import Loaded
from worker.config.overlay import Data, Overlay, Section, listed, patch_between

_SECTIONS: Final[tuple[Section, ...]] = ("providers", "models", "keys")


class StyleList:
    """`data` is the configuration in use, `known` the same with the keys of the environment."""

    def __init__(self, data: Data, masks: Masks, known: Data) -> None:
        self._data = data
        self._masks = masks
        self._known = known

    def shown(self) -> list[Entry]:
        """Masked, tokens too: they are client keys."""
        return list(entries_of(self._masks.hide(self._data)).values())

    def upsert(self, body: Any) -> Maker:
        """Each entry of `body` replaces the one of its token, or is new. Raises GatewayError 422."""
        wanted = [_checked(entry, number) for number, entry in enumerate(_list(body))]
        before = entries_of(self._data)
        after, new = dict(before), next_number(self._data)
        for entry in self._masks.reveal(wanted, self._known):
            number = _number(after, entry["token"]) or new
            new = max(new, number + 1)
            after[number] = entry
        return _maker(before, after)

    def delete(self, body: Any) -> Maker:
        """The entry of `{"token": ...}`. Raises GatewayError 422 or 404."""
        token = body.get("token") if isinstance(body, dict) else None
        if not isinstance(token, str):
            raise _wrong("token is missing")
        before = entries_of(self._data)
        number = _number(before, self._masks.reveal(token, self._known))
        if number is None:
            raise GatewayError("No entry has this token.", status=404, type="invalid_request_error", code="not_found")
        return _maker(before, {other: entry for other, entry in before.items() if other != number})


def _maker(before: dict[int, Entry], after: dict[int, Entry]) -> Maker:
    old, new = _converted(before), _converted(after)

    def edit(overlay: Overlay, file: Loaded) -> Overlay:
        for section in _SECTIONS:
            was, now = dict(listed(old, section)), dict(listed(new, section))
            for name in was.keys() - now.keys():
                overlay = overlay.remove(section, name, file.data)
            for name, fields in now.items():
                if name not in was:
                    overlay = overlay.put(section, name, fields)
                elif patch := patch_between(was[name], fields):
                    overlay = overlay.merge(section, name, patch, file.data)
        return overlay

    return edit


def _converted(entries: dict[int, Entry]) -> Data:
    """As importing such a file does; an entry that it would leave out is refused."""
    rows = [entries.get(number) for number in range(1, max(entries, default=0) + 1)]
    try:
        found = IMPORTER.read(Source(json.dumps(rows)))
    except ValueError as error:
        raise _wrong(str(error)) from None
    circles = [note for note in found.notes if CIRCLE in note]
    if circles:
        raise _wrong("; ".join(circles))
    carried = {key["key"] for key in found.data.get("keys", ())}
    for number, entry in entries.items():
        if entry["token"] not in carried:
            name = f"{entry['type']}-{number}"
            why = [note for note in found.notes if note.startswith(f"{name}:")]
            raise _wrong("; ".join(why) or f"{name} cannot be carried over")
    return found.data


def _list(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise _wrong("the body must be a list of entries")
    return body


def _checked(entry: Any, number: int) -> Entry:
    shape = {"token": str, "type": str, "config": dict}
    for field, kind in shape.items():
        if not isinstance(entry, dict) or not isinstance(entry.get(field), kind) or not entry.get("token"):
            raise _wrong(f"entry {number + 1} needs token and type, which are texts, and config, which is an object")
    return {field: entry[field] for field in shape}


def _number(entries: dict[int, Entry], token: str) -> int | None:
    return next((number for number, entry in entries.items() if entry["token"] == token), None)


def _wrong(message: str) -> GatewayError:
    return GatewayError(message, status=422, type="invalid_request_error", code="invalid_entry")
