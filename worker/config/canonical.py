"""A configuration's parts as text that is equal for equal parts, whatever process wrote it."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr


def canonical(part: Any, *, reveal: bool = False) -> bytes:
    """JSON with sorted keys and sets. Without `reveal` all secrets are alike."""

    def plain(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value.model_dump()
        if isinstance(value, SecretStr):
            return value.get_secret_value() if reveal else "secret"
        if isinstance(value, set | frozenset):
            return sorted(value)
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(f"{type(value).__name__} has no place in a configuration")

    return json.dumps(part, default=plain, sort_keys=True).encode()
