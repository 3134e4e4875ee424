"""What stands in for a secret wherever configuration is shown. Pure.

A mask is `****` and 12 hex digits of a keyed hash of the secret: equal for equal secrets, it tells nothing of them.
Sent back it means the secret that it stands for.
"""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from hashlib import blake2b
from typing import Any, Final

from shared.errors import InvalidRequest
from worker.config.key import MASK
from worker.config.overlay import Data, Fields
from worker.providers.registry import providers

_OPEN_FIELDS: Final = frozenset({"name", "weight", "disabled", "prefix", "limits"})
_Cover = Callable[[str], str]


class Masks:
    """`key` is a secret of the workers that is published nowhere."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, secret: str) -> str:
        return "****" + blake2b(secret.encode(), key=self._key, digest_size=6).hexdigest()

    def hide(self, data: Data) -> Data:
        """A copy of a configuration's plain data with a mask for each secret."""
        return _covered(data, self.of)

    def reveal(self, value: Any, data: Data) -> Any:
        """A copy of `value`, in which each mask of a secret of `data` is that secret.

        Raises InvalidRequest for a mask that stands for none of them.
        """
        known = self._known(data)

        def uncover(found: re.Match[str]) -> str:
            if found.group() not in known:
                raise InvalidRequest(
                    f"{found.group()} is the mask of no secret that this gateway has now. Send the secret itself.",
                    code="unknown_mask",
                )
            return known[found.group()]

        return _each_text(value, lambda text: MASK.sub(uncover, text))

    def _known(self, data: Data) -> Mapping[str, str]:
        found: dict[str, str] = {}

        def note(secret: str) -> str:
            found[self.of(secret)] = secret
            return secret

        _covered(data, note)
        return found


def _covered(data: Data, cover: _Cover) -> Data:
    result = deepcopy(data)
    for provider in result.get("providers") or ():
        _cover_provider(provider, cover)
    for key in result.get("keys") or ():
        _cover_fields(key, ("key",), cover)
    _cover_fields(result.get("admin"), ("key",), cover)
    _cover_fields(result.get("redis"), ("url",), cover)
    return result


def _cover_provider(provider: Fields, cover: _Cover) -> None:
    """A base_url's query may be a secret, and a proxy holds its password."""
    _cover_fields(provider, ("proxy",), cover)
    address, mark, query = str(provider.get("base_url") or "").partition("?")
    if mark:
        provider["base_url"] = f"{address}?{cover(query)}"
    kind = providers().get(provider["type"])
    open_fields = _OPEN_FIELDS | {wanted.name for wanted in kind.credential_fields if not wanted.secret} if kind else ()
    for account in provider.get("credentials") or ():
        _cover_fields(account, [name for name in account if name not in open_fields], cover)


def _cover_fields(fields: Any, names: Any, cover: _Cover) -> None:
    for name in names if isinstance(fields, dict) else ():
        if fields.get(name) not in (None, ""):
            fields[name] = cover(str(fields[name]))


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {key: _each_text(item, change) for key, item in value.items()}
        case list():
            return [_each_text(item, change) for item in value]
        case _:
            return value
