"""Client keys of penstock.yaml and what each may do."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import Field, SecretStr, field_validator

from worker.config.strict import DropParams, Fields, ModelName, Name, Seconds, Strict

# Keys that documentation prints: whoever can read it could use them.
_SAMPLES = frozenset(
    {
        "1", "changeme", "change-me", "change_me", "change-me-master-key", "your-key", "your_key", "your-api-key",
        "your_api_key", "api-key", "apikey", "secret", "password", "test", "example", "sk-xxx", "sk-1234", "sk-test",
        "sk-123456", "none", "null", "key", "token", "xxx", "placeholder", "todo", "replace-me", "dummy",
    }
)  # fmt: skip
_SAMPLE_STARTS = ("your-", "your_", "change-me", "change_me", "changeme", "replace-me", "<")
MASK: Final = re.compile(r"\*{4}[0-9a-f]{12}")
"""What is shown in place of a secret."""
IS_MASK: Final = "is the mask of a secret; put the secret itself here"


def is_sample(key: str) -> bool:
    """Whether `key` is a placeholder out of somebody's documentation rather than a secret."""
    folded = key.strip().lower()
    return (
        folded in _SAMPLES
        or folded.startswith(_SAMPLE_STARTS)
        or "..." in folded
        or "…" in folded
        or set(folded.removeprefix("sk-")) <= {"x", "-", "*"}
    )


def refuse_sample(key: SecretStr) -> SecretStr:
    """`key` itself. Raises ValueError, without the key's text, if it is no secret."""
    text = key.get_secret_value()
    if not text.strip():
        raise ValueError("is empty")
    if MASK.fullmatch(text):
        raise ValueError(IS_MASK)
    if is_sample(text):
        raise ValueError("is a sample key that everybody knows; make one with `penstock keys`")
    if not text.isascii() or not text.isprintable() or " " in text or "," in text:
        raise ValueError("has characters that no HTTP client can send as a bearer key")
    return key


class KeyConfig(Strict):
    """One client key."""

    name: Name
    key: SecretStr
    models: tuple[ModelName, ...] = ("*",)
    """Names and patterns of the models that this key may use."""
    default_model: ModelName | None = None
    """Answers when a request names no model."""
    model_map: Mapping[ModelName, ModelName] = Field(default_factory=dict)
    """Asked name or pattern -> the name used instead, for this key alone. What a key maps to it may use. A `*` on the
    right takes the text of the `*` on the left; exact names win over patterns.
    """
    revoked: bool = False
    """Refused by name, also where `passthrough` takes unknown keys for the caller's own."""
    queue_wait_s: Seconds | None = None
    overrides: Fields = Field(default_factory=dict)
    defaults: Fields = Field(default_factory=dict)
    drop_params: DropParams = False

    _no_sample = field_validator("key")(refuse_sample)
