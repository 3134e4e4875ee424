"""How each generation of Gemini is told to think, read from the model's name.

Source: ai.google.dev, "Thinking" (budgets and levels per model) and "OpenAI compatibility" (which budget or level an
effort is); ThinkingConfig of the google-genai package 3.4.
"""

import re
from collections.abc import Mapping
from typing import Final

from worker.providers.contract import JsonObject
from worker.providers.fields import refusal

UPSTREAM: Final = "Gemini"
_VERSION: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_BUDGETS: Final[Mapping[str, int]] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
_LEAST_PRO: Final = 128
_MOST_PRO: Final = 32_768
_MOST_FLASH: Final = 24_576
_LEVELS: Final = ("minimal", "low", "medium", "high")


def signs_thoughts(model: str) -> bool:
    """True for models that refuse earlier function calls without a thought signature: Gemini 3 and later."""
    return "gemma" not in model and _version(model) >= (3, 0)


def thinking_config(model: str, effort: str, *, drop: bool) -> JsonObject | None:
    """The `thinkingConfig` of a reasoning effort. "minimal" is a model's least, "max" its most.

    Raises InvalidRequest for a level that the model lacks; with `drop` the nearest is taken.
    """
    if "gemma" in model or _version(model) < (2, 5):
        if drop or effort == "none":
            return None
        raise refusal("reasoning_effort", UPSTREAM, f"{model} does not think")
    if _version(model) >= (3, 0):
        return _level(model, effort, drop=drop)
    return _budget(model, effort, drop=drop)


def _version(model: str) -> tuple[int, int]:
    """Names without a version ("gemini-flash-latest") follow the newest."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (3, 8)


def _budget(model: str, effort: str, *, drop: bool) -> JsonObject:
    pro = "pro" in model
    if effort == "none":
        if not pro:
            return {"thinkingBudget": 0}
        if not drop:
            raise refusal("reasoning_effort", UPSTREAM, f"{model} always thinks")
        return {"thinkingBudget": _LEAST_PRO}
    if effort == "xhigh" and not drop:
        raise refusal("reasoning_effort", UPSTREAM, f"{model} has nothing between 'high' and 'max'")
    if effort == "max":
        return {"thinkingBudget": _MOST_PRO if pro else _MOST_FLASH, "includeThoughts": True}
    return {"thinkingBudget": _BUDGETS.get(effort, _MOST_FLASH), "includeThoughts": True}


def _level(model: str, effort: str, *, drop: bool) -> JsonObject:
    levels: tuple[str, ...] = _LEVELS
    if "pro" in model:
        levels = ("low", "high") if _version(model) == (3, 0) else _LEVELS[1:]
    elif "lite" not in model and _version(model) >= (3, 7):
        levels = _LEVELS[1:]
    if effort == "minimal" or (effort == "none" and drop):
        level = levels[0]
    elif effort == "max" or (drop and effort not in levels):
        level = levels[-1]
    elif effort in levels:
        level = effort
    else:
        why = f"{model} always thinks" if effort == "none" else f"{model} takes {', '.join(levels)}, not {effort!r}"
        raise refusal("reasoning_effort", UPSTREAM, why)
    return {"thinkingLevel": level.upper(), "includeThoughts": True}
