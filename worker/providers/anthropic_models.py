"""What each generation of Claude takes and refuses, read from the model's name.

Sources, November 2026: platform.claude.com, "Thinking" (which `thinking.type` a model takes), "Effort" (levels per
model), "Claude API errors"; `ThinkingTypes` and `EffortCapability` of the anthropic package 2.11. Sampling parameters
other than their defaults are a 400 since Opus 4.7, Sonnet 5 and Haiku 5.5, and for every Fable and Mythos. Unlike what
is often said, thinking can be switched off on Opus 4.7 and later; it cannot on Fable and Mythos.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_ALWAYS_THINKING: Final = re.compile(r"fable|mythos")

BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000,
}  # fmt: skip
"""Thinking tokens for models that want a budget, 1,024 at least."""


@dataclass(frozen=True, slots=True)
class Traits:
    """`efforts` is empty for models that take a thinking budget instead of adaptive thinking."""

    samples: bool  # takes temperature, top_p and top_k
    samples_both: bool  # takes temperature and top_p together
    switches_off: bool  # takes thinking {"type": "disabled"}
    efforts: tuple[str, ...]
    most_output: int  # tokens that a request may ask for without a beta

    @property
    def adaptive(self) -> bool:
        return bool(self.efforts)


@lru_cache(maxsize=256)
def traits(model: str) -> Traits:
    """The traits of a model id, with a prefix or a date or not. What is not known is taken for new, but may sample."""
    found = _VERSION.search(model)
    always = bool(_ALWAYS_THINKING.search(model))
    version = (int(found[1]), int(found[2] or 0)) if found else (4, 7)
    efforts: tuple[str, ...] = ("low", "medium", "high", "max")
    if "mythos-preview" not in model and version >= (4, 7):
        efforts = ("low", "medium", "high", "xhigh", "max")
    return Traits(
        samples=not always and (not found or version < (4, 7)),
        samples_both=version < (4, 1),
        switches_off=not always,
        efforts=efforts if always or version >= (4, 6) else (),
        most_output=4096 if version < (3, 5) else 8192 if version < (3, 7) else 32_000 if version < (4, 5) else 64_000,
    )
