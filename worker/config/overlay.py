"""Changes made over HTTP, laid over the plain data of penstock.yaml. Pure.

An object is named by its section and name: ("providers", "moonshot"), ("credentials", "moonshot/main"), ("models",
"gpt-4"), ("keys", "team-a"). A change replaces it, merges fields into it (RFC 7396: null removes one), or removes it;
so an edit of what was not changed over HTTP still comes from the file.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

import msgpack

Section = Literal["providers", "credentials", "models", "keys"]
SECTIONS: Final[tuple[Section, ...]] = ("providers", "credentials", "models", "keys")
Place = tuple[Section, str]
Fields = dict[str, Any]
Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """`fields` is None where the object was removed; `whole` says that they are all it has."""

    fields: Fields | None = field(default=None, repr=False)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Overlay:
    """`generation` grows with each change; 0 is none."""

    generation: int = 0
    changes: Mapping[Place, Change] = field(default_factory=dict, repr=False)

    def put(self, section: Section, name: str, fields: Fields) -> "Overlay":
        """The object is `fields` and nothing else, whatever the file says of it."""
        return self._with((section, name), Change(fields))

    def merge(self, section: Section, name: str, patch: Fields, file: Data) -> "Overlay":
        """What is kept is the difference to `file`, none where the object is as the file has it again."""
        place = (section, name)
        wanted = merge(find(self.apply(file), *place) or {}, patch)
        before = self.changes.get(place)
        if before is not None and before.whole:
            return self.put(section, name, wanted)
        keep_credentials = "credentials" not in patch
        rest = self._with(place, None, keep_credentials=keep_credentials)
        difference = patch_between(find(rest.apply(file), *place) or {}, wanted)
        change = Change(difference, whole=False) if difference else None
        return self._with(place, change, keep_credentials=keep_credentials)

    def remove(self, section: Section, name: str, file: Data) -> "Overlay":
        """A mark stays only where `file`, or another change, would bring the object back."""
        place = (section, name)
        unmarked = self._with(place, None)
        return unmarked if find(unmarked.apply(file), *place) is None else self._with(place, Change())

    def next(self) -> "Overlay":
        return replace(self, generation=self.generation + 1)

    def _with(self, place: Place, change: Change | None, *, keep_credentials: bool = False) -> "Overlay":
        """With this change of the object, or none; those of a provider's credentials go with what they were for."""
        mine = f"{place[1]}/" if place[0] == "providers" and not keep_credentials else None
        kept = {
            other: known
            for other, known in self.changes.items()
            if other != place and not (mine and other[0] == "credentials" and other[1].startswith(mine))
        }
        return replace(self, changes={**kept, place: change} if change else kept)

    def apply(self, data: Data) -> Data:
        """A copy of `data` with all changes. What merges into an object that the file no longer has is left out."""
        result = deepcopy(data)
        for place in sorted(self.changes, key=lambda place: SECTIONS.index(place[0])):
            change = self.changes[place]
            current = find(result, *place)
            if change.whole:
                store(result, *place, deepcopy(change.fields))
            elif current is not None:
                store(result, *place, merge(current, change.fields or {}))
        return result

    def encode(self) -> bytes:
        rows = [(*place, change.whole, change.fields) for place, change in self.changes.items()]
        packed: bytes = msgpack.packb((self.generation, rows))
        return packed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ValueError for what is no overlay."""
        generation, rows = msgpack.unpackb(data)
        return cls(generation, {(section, name): Change(fields, whole) for section, name, whole, fields in rows})


def merge(target: Fields, patch: Fields) -> Fields:
    """RFC 7396, in new objects."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def patch_between(before: Fields, after: Fields) -> Fields:
    """What merged into `before` makes `after`; empty where they are equal."""
    patch: Fields = {key: None for key in before if key not in after}
    for key, value in after.items():
        below = before.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            patch |= {key: deeper} if (deeper := patch_between(below, value)) else {}
        elif key not in before or below != value:
            patch[key] = value
    return patch


# ---- the objects of penstock.yaml's plain data: a change may have given them parts of any shape


def find(data: Data, section: Section, name: str) -> Fields | None:
    """A copy of one object, in its long form."""
    return dict(listed(data, section)).get(name)


def listed(data: Data, section: Section) -> Iterator[tuple[str, Fields]]:
    """(name, copy of the object) of each object of a section."""
    if section == "models":
        for name, route in (data.get("models") or {}).items():
            yield name, _long_form(route)
    elif section == "credentials":
        for provider in data.get("providers") or ():
            accounts = provider.get("credentials")
            for number, entry in enumerate(accounts if isinstance(accounts, list) else (), start=1):
                if not isinstance(entry, dict):
                    continue
                name = entry.get("name", str(number))
                yield f"{provider['name']}/{name}", {**entry, "name": name}
    else:
        for entry in data.get(section) or ():
            yield entry["name"], dict(entry)


def _long_form(route: Any) -> Fields:
    if isinstance(route, dict):
        return dict(route)
    return {"targets": list(route) if isinstance(route, list) else [route]}


def store(data: Data, section: Section, name: str, fields: Fields | None) -> None:
    """Puts one object in place, or takes it out. A credential of a provider that is not there is left out."""
    if section == "models":
        routes = dict(data.get("models") or {})
        routes.pop(name, None) if fields is None else routes.update({name: fields})
        data["models"] = routes
    elif section == "credentials":
        owner, _, own = name.partition("/")
        provider = find(data, "providers", owner)
        if provider is not None:
            accounts = [account for where, account in listed({"providers": [provider]}, section)]
            provider["credentials"] = _placed(accounts, own, fields)
            store(data, "providers", owner, provider)
    else:
        data[section] = _placed([entry for _, entry in listed(data, section)], name, fields)


def _placed(entries: list[Fields], name: str, fields: Fields | None) -> list[Fields]:
    """In the place of the one of that name, else at the end."""
    if fields is None:
        return [entry for entry in entries if entry["name"] != name]
    fields = {**fields, "name": name}
    if not any(entry["name"] == name for entry in entries):
        return [*entries, fields]
    return [fields if entry["name"] == name else entry for entry in entries]
