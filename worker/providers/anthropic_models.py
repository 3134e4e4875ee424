"""What each generation of Claude takes and refuses, read from the model's name.

Sources, November 2026: platform.claude.com, "Thinking" (which `thinking.type` a model takes), "Effort" (levels per
model), "What's new" of Opus 5.5, Sonnet 5.5 and Haiku 5.5; `ThinkingTypes` and `EffortCapability` of the anthropic
package 2.11. Sampling parameters other than their defaults are a 400 since Opus 4.7, Sonnet 5 and Haiku 5.5, and for
every Fable and Mythos. Thinking cannot be switched off on Fable, Mythos and Opus 5.5; Sonnet 5.5 has a word of its own
for it. A tool cannot be forced on Opus 5.5, Sonnet 5.5 and Fable 5.1. Since 4.6 ("What's new in Claude 4.6", prefill
removal) no model goes on with an answer that the client began.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_FAMILY: Final = re.compile(r"opus|sonnet|haiku|fable|mythos")
_LARGEST: Final = frozenset({"fable", "mythos"})

BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000,
}  # fmt: skip
"""Thinking tokens for models that want a budget, 1,024 at least."""


@dataclass(frozen=True, slots=True)
class Traits:
    """`efforts` is empty for models that take a thinking budget instead of adaptive thinking."""

    samples: bool  # takes temperature, top_p and top_k
    samples_both: bool  # takes temperature and top_p together
    off: str | None  # the `thinking.type` that switches thinking off
    forces_tools: bool  # takes tool_choice any and tool
    goes_on: bool  # takes a last turn of the assistant's, whose answer it continues
    efforts: tuple[str, ...]
    most_output: int  # tokens that a request may ask for without a beta

    @property
    def adaptive(self) -> bool:
        return bool(self.efforts)


@lru_cache(maxsize=256)
def traits(model: str) -> Traits:
    """The traits of a model id, with a prefix or a date or not. What is not known is taken for new, but may sample."""
    found, named = _VERSION.search(model), _FAMILY.search(model)
    family = named[0] if named else ""
    version = (int(found[1]), int(found[2] or 0)) if found else (4, 7)
    always = family in _LARGEST or (family == "opus" and version >= (5, 5))
    efforts: tuple[str, ...] = ("low", "medium", "high", "max")
    if "mythos-preview" not in model and version >= (4, 7):
        efforts = ("low", "medium", "high", "xhigh", "max")
    return Traits(
        samples=family not in _LARGEST and (not found or version < (4, 7)),
        samples_both=version < (4, 1),
        off=None if always else "between_tools" if family == "sonnet" and version >= (5, 5) else "disabled",
        forces_tools=version < ((5, 1) if family in _LARGEST else (5, 5)) or family == "haiku",
        goes_on=not found or version < (4, 6),
        efforts=efforts if family in _LARGEST or version >= (4, 6) else (),
        most_output=_most_output(version),
    )


def _most_output(version: tuple[int, int]) -> int:
    steps = (((3, 5), 4096), ((3, 7), 8192), ((4, 5), 32_000), ((4, 7), 64_000))
    return next((most for below, most in steps if version < below), 128_000)
