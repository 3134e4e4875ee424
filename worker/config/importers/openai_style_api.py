"""openai-style-api: `model-config.json`, a list of entries whose token is at once client key and choice of model.

Each entry becomes a provider or a route of its own, and a client key that leads every model name there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.openai_style_types import TYPES, missing
from worker.config.importers.source import Source

_DEFAULT_MODEL = "gpt-3.5-turbo"
_ROUTER, _NAMES = "router", "model-name-router"
CIRCLE = "leads back to itself"
_STRATEGIES = ("round-robin", "random")


@dataclass(frozen=True, slots=True)
class _Entry:
    """`name` is the type with the entry's position: the token is a secret."""

    name: str
    type: str
    token: str = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)


def recognises(source: Source) -> bool:
    data = source.json
    return isinstance(data, list) and any(
        isinstance(entry, dict) and {"token", "type"} <= entry.keys() for entry in data
    )


def convert(source: Source) -> Imported:
    draft = Draft("0.0.0.0", 8090, cors_origins=["*"])  # noqa: S104  its own default
    entries = _without_circles(draft, _entries(draft, source.json))
    targets: dict[str, str] = {}
    for token, entry in entries.items():
        target = _target(draft, entry)
        if target is not None:
            targets[token] = target
    for token in _usable(draft, entries, targets):
        entry = entries[token]
        if entry.type == _ROUTER:
            _router(draft, entry, targets)
        elif entry.type == _NAMES:
            _name_router(draft, entry, targets)
        target = targets[token]
        draft.keys.append(
            {
                "name": entry.name,
                "key": token,
                "models": [],
                "default_model": _DEFAULT_MODEL,
                "model_map": {"*": target},
            }
        )
    draft.more["routing"] = {"mode": "prefix"}
    draft.more["admin"] = {"openai_style_api": True}
    draft.note("its administration page is not offered; what the page called is, with the token that it asked for")
    draft.note(
        "fields that it dropped from requests in silence (max_tokens, tools, ...) now reach upstreams that know them"
    )
    return draft.done()


def _entries(draft: Draft, data: list[Any]) -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    for number, raw in enumerate(data, start=1):
        if not isinstance(raw, dict) or not isinstance(raw.get("token"), str) or not isinstance(raw.get("type"), str):
            draft.note(f"entry {number}: has no token or no type and was left out, as it was there")
            continue
        if raw["token"] in found:
            draft.note(f"entry {number}: replaces {found[raw['token']].name}, which has the same token")
        name = f"{raw['type']}-{number}"
        found[raw["token"]] = _Entry(name, raw["type"], raw["token"], raw.get("config") or {})
    return found


def _without_circles(draft: Draft, entries: Mapping[str, _Entry]) -> dict[str, _Entry]:
    """There a request that came back to a router that it had passed never ended."""
    open_: dict[str, _Entry] = {}

    def follow(token: str, passed: tuple[str, ...]) -> None:
        if token in open_ or token not in entries:
            return
        passed, entry = (*passed, token), entries[token]
        for other in _links(entry):
            if other in passed:
                draft.note(f"{entry.name}: {CIRCLE}, by way of {entries[other].name}: that token was left out")
                entry = _unlinked(entry, other)
            else:
                follow(other, passed)
        open_[token] = entry

    for token in entries:
        follow(token, ())
    return {token: open_[token] for token in entries}


def _links(entry: _Entry) -> list[str]:
    """The tokens that a router leads to."""
    if entry.type == _ROUTER:
        return list(entry.config.get("token_pool") or ())
    return list((entry.config.get("model-2-token") or {}).values()) if entry.type == _NAMES else []


def _unlinked(entry: _Entry, token: str) -> _Entry:
    if entry.type == _ROUTER:
        changed: dict[str, Any] = {"token_pool": [one for one in entry.config["token_pool"] if one != token]}
    else:
        left = {model: one for model, one in entry.config["model-2-token"].items() if one != token}
        changed = {"model-2-token": left}
    return replace(entry, config={**entry.config, **changed})


def _target(draft: Draft, entry: _Entry) -> str | None:
    """The name under which routes reach the entry; a `*` in it takes the model that the client asked for."""
    if entry.type in {_ROUTER, _NAMES}:
        return f"{entry.name}/*"
    make = TYPES.get(entry.type)
    if make is None:
        draft.note(f"{entry.name}: its type is not known and it was left out")
        return None
    if lacks := missing(entry.type, entry.config):
        draft.note(f"{entry.name}: needs {', '.join(lacks)} and was left out, as it was there")
        return None
    return make(draft, entry.name, entry.config)


def _usable(draft: Draft, entries: Mapping[str, _Entry], targets: dict[str, str]) -> list[str]:
    """Tokens in file order, without routers that lead nowhere, which are also taken out of `targets`."""
    while True:
        empty = [token for token in targets if not _leads_somewhere(entries[token], targets)]
        if not empty:
            return list(targets)
        for token in empty:
            draft.note(f"{entries[token].name}: leads to no entry that could be carried over and was left out")
            del targets[token]


def _leads_somewhere(entry: _Entry, targets: Mapping[str, str]) -> bool:
    return entry.type not in {_ROUTER, _NAMES} or any(token in targets for token in _links(entry))


def _router(draft: Draft, entry: _Entry, targets: Mapping[str, str]) -> None:
    pool = entry.config.get("token_pool") or []
    strategy = entry.config.get("router_strategy")
    if strategy not in _STRATEGIES:
        draft.note(f"{entry.name}: its strategy was not known there either; round-robin is used")
        strategy = "round-robin"
    found = [targets[token] for token in pool if token in targets]
    if len(found) < len(pool):
        draft.note(f"{entry.name}: {len(pool) - len(found)} of its tokens belong to no entry and were left out")
    draft.models[targets[entry.token]] = {"strategy": strategy, "targets": found}


def _name_router(draft: Draft, entry: _Entry, targets: Mapping[str, str]) -> None:
    for model, token in (entry.config.get("model-2-token") or {}).items():
        if token not in targets:
            draft.note(f"{entry.name}: the token for {model} belongs to no entry and was left out")
            continue
        draft.models[f"{entry.name}/{model}"] = targets[token].replace("*", model)
        if model == "default":
            draft.models[targets[entry.token]] = targets[token]


IMPORTER = Importer("openai-style-api", recognises, convert)
