"""The part of a provider's entry that its type decides: options, credential fields, whether it may be used at all."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from worker.config.key import IS_MASK, MASK
from worker.config.problems import Location, failure, problems_of, unknown
from worker.providers.contract import LocalProvider, Options, Provider, Status
from worker.providers.registry import providers

T = TypeVar("T")
_Problems = list[tuple[Location, str]]


def check_provider(data: Any, validate: Callable[[Any], T], *, common: set[str], credential: set[str]) -> T:
    """Sorts a raw provider entry into common keys, options and credential values, and validates all of it.

    Raises ValidationError with every problem of the entry. `common` and `credential` are the keys that all types share.
    """
    if not isinstance(data, Mapping) or isinstance(data.get("options"), Options):
        return validate(data)
    kind = providers().get(data["type"]) if isinstance(data.get("type"), str) else None
    problems: _Problems = []
    plain = {key: value for key, value in data.items() if key in common - {"options"}}
    if kind is None:
        if isinstance(data.get("type"), str):
            problems.append((("type",), unknown(data["type"], providers(), "provider type")))
        plain["credentials"] = ()
    else:
        problems += _permission(kind, data) + _address(kind, data)
        plain["options"] = _options(kind, {k: v for k, v in data.items() if k not in plain}, common, problems)
        plain["credentials"] = _credentials(kind, data.get("credentials"), credential - {"values"}, problems)
        plain["base_url"] = data.get("base_url") or kind.default_base_url or ""
    try:
        entry = validate(plain)
    except ValidationError as error:
        problems += problems_of(error)
    else:
        if not problems:
            return entry
    raise failure(problems, "ProviderConfig")


def _permission(kind: Provider, data: Mapping[str, Any]) -> _Problems:
    if kind.status is Status.UNOFFICIAL and data.get("accept_unofficial") is not True:
        told = (
            f"{kind.title} is unofficial. {kind.note} Set accept_unofficial: true on this provider if you accept that"
        )
        return [(("type",), told)]
    return []


def _address(kind: Provider, data: Mapping[str, Any]) -> _Problems:
    needless = isinstance(kind, LocalProvider) or kind.status in {Status.DISCONTINUED, Status.NOT_OFFERED}
    if kind.default_base_url is None and not data.get("base_url") and not needless:
        return [(("base_url",), f"is missing: type {kind.type_name} has no address of its own")]
    return []


def _options(kind: Provider, rest: Mapping[str, Any], common: set[str], problems: _Problems) -> Options:
    valid = kind.options.model_fields.keys()
    for key in (key for key in rest if key not in valid):
        problems.append(((key,), unknown(key, (common - {"options"}) | valid)))
    try:
        return kind.options.model_validate({key: value for key, value in rest.items() if key in valid})
    except ValidationError as error:
        problems += problems_of(error)
        return Options()


def _credentials(kind: Provider, raw: Any, common: set[str], problems: _Problems) -> Any:
    if raw is None:
        return () if any(wanted.required for wanted in kind.credential_fields) else ({"name": "default"},)
    if not isinstance(raw, list | tuple):
        return raw
    return [
        _credential(kind, item, index, common, problems) if isinstance(item, Mapping) else item
        for index, item in enumerate(raw)
    ]


def _credential(
    kind: Provider, raw: Mapping[str, Any], index: int, common: set[str], problems: _Problems
) -> dict[str, Any]:
    here: Location = ("credentials", index)
    fields = {wanted.name: wanted for wanted in kind.credential_fields}
    values: dict[str, str] = {}
    for key in (key for key in raw if key not in common):
        if key not in fields:
            problems.append(((*here, key), unknown(key, common | fields.keys())))
        elif isinstance(raw[key], str) and MASK.fullmatch(raw[key]):
            problems.append(((*here, key), IS_MASK))
        elif isinstance(raw[key], str | int | float):
            values[key] = str(raw[key]).strip()
            if fields[key].secret and not (values[key].isascii() and values[key].isprintable()):
                problems.append(((*here, key), "has characters that no HTTP header can carry"))
        elif raw[key] is not None:
            problems.append(((*here, key), "must be text"))
    for wanted in kind.credential_fields:
        if wanted.required and not values.get(wanted.name, "").strip():
            problems.append((here, f"needs {wanted.name}{f' ({wanted.help})' if wanted.help else ''}"))
    known = {key: value for key, value in raw.items() if key in common}
    filled = {key: value for key, value in values.items() if value.strip()}
    return {"name": str(index + 1), **known, "values": filled}
