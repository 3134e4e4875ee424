"""The objects of the configuration that can be listed, added, changed and removed: edits of the overlay. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.errors import InvalidRequest
from worker.administration.current import Edit
from worker.administration.masks import Masks
from worker.administration.refusals import not_there, of_the_environment, taken
from worker.config.loading import Loaded
from worker.config.overlay import Data, Fields, Overlay, Section, find, listed, merge, patch_between
from worker.config.surroundings import add_keys

NOUNS: Final[Mapping[str, str]] = {
    "providers": "provider",
    "credentials": "credential",
    "models": "model",
    "keys": "key",
}
_LONGEST_NAME: Final = 512
_OFF: Final[Mapping[str, str]] = {"keys": "revoked"}


@dataclass(frozen=True, slots=True)
class Place:
    """One object; credentials are named `provider/credential`."""

    section: Section
    name: str

    @property
    def own_name(self) -> str:
        return self.name.partition("/")[2] if self.section == "credentials" else self.name


@dataclass(frozen=True, slots=True)
class Objects:
    """The configuration in use, as the operator sees and changes it."""

    loaded: Loaded
    masks: Masks
    environ: Mapping[str, str] = field(repr=False)

    @property
    def data(self) -> Data:
        """With the keys of the environment."""
        data = dict(self.loaded.data)
        add_keys(data, self.environ)
        return data

    def list(self, section: Section, owner: str) -> "list[Fields]":
        """Masked. `owner` is the provider whose credentials are asked for, else empty. Raises NotFound."""
        if section == "credentials":
            self.require(Place("providers", owner))
        shown = listed(self.masks.hide(self.data), section)
        mine = f"{owner}/" if section == "credentials" else ""
        return [_named(Place(section, name), fields) for name, fields in shown if name.startswith(mine)]

    def read(self, place: Place) -> Fields:
        """Masked. Raises NotFound."""
        self.require(place)
        return _named(place, find(self.masks.hide(self.data), place.section, place.name) or {})

    def require(self, place: Place) -> Fields:
        found = find(self.data, place.section, place.name)
        if found is None:
            raise not_there(NOUNS[place.section], place.name, [name for name, _ in listed(self.data, place.section)])
        return found

    def _require_own(self, place: Place) -> Fields:
        """One that is not the environment's."""
        found = self.require(place)
        if find(self.loaded.data, place.section, place.name) is None:
            raise of_the_environment(place.name)
        return found

    def create(self, place: Place, body: Fields) -> "Maker":
        self._require_owner(place)
        if find(self.data, place.section, place.name) is not None:
            raise taken(NOUNS[place.section], place.name)
        return self.replace(place, body)

    def replace(self, place: Place, body: Fields) -> "Maker":
        self._require_owner(place)
        fields = self._fields(place, body)
        current = find(self.data, place.section, place.name)
        if current is not None:
            current = self._require_own(place)
        if current == _stored(place, fields):
            return lambda overlay, _: overlay
        return lambda overlay, _: overlay.put(place.section, place.name, fields)

    def merge(self, place: Place, body: Fields) -> "Maker":
        current = self._require_own(place)
        patch = patch_between(current, merge(current, self._fields(place, body)))
        if not patch:
            return lambda overlay, _: overlay
        return lambda overlay, file: overlay.merge(place.section, place.name, patch, file.data)

    def switch(self, place: Place, *, on: bool) -> "Maker":
        return self.merge(place, {_OFF.get(place.section, "disabled"): None if on else True})

    def remove(self, place: Place) -> "Maker":
        self._require_own(place)
        return lambda overlay, file: overlay.remove(place.section, place.name, file.data)

    def _require_owner(self, place: Place) -> None:
        if place.section == "credentials":
            self.require(Place("providers", place.name.partition("/")[0]))

    def _fields(self, place: Place, body: Fields) -> Fields:
        """With the secrets that its masks stand for. Raises InvalidRequest."""
        if body.get("name", place.own_name) != place.own_name:
            raise InvalidRequest("name differs from that of the path, and cannot be changed.", param="name")
        fields: Fields = self.masks.reveal(body, self.data)
        return {key: value for key, value in fields.items() if key != "name"}


Maker = Callable[[Overlay, Loaded], Overlay]
"""(overlay, the file's configuration) -> the overlay that is wanted."""


def _stored(place: Place, fields: Fields) -> Fields:
    return fields if place.section == "models" else {**fields, "name": place.own_name}


def _named(place: Place, fields: Fields) -> Fields:
    return {"name": place.own_name, **fields}


def edit_of(choose: Callable[[Loaded], Maker]) -> Edit:
    """An edit that looks anew at the configuration in use each time."""
    return lambda overlay, file, used: choose(used)(overlay, file)


def require_name(body: Any) -> None:
    """In the body of what is added. Raises InvalidRequest."""
    name = body.get("name")
    if not isinstance(name, str) or not name or len(name) > _LONGEST_NAME:
        raise InvalidRequest("name is missing: give the new object a name.", param="name")
