"""What each generation of Claude and Gemini takes, as their documentation had it in November 2026."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from worker.providers.anthropic_models import traits
from worker.providers.gemini_models import signs_thoughts, thinking_config

MAX, ALL = ("low", "medium", "high", "max"), ("low", "medium", "high", "xhigh", "max")


@pytest.mark.parametrize(
    ("model", "samples", "off", "forces", "efforts"),
    [
        ("claude-3-haiku-20240307", True, "disabled", True, ()),
        ("claude-sonnet-4-20250514", True, "disabled", True, ()),
        ("claude-opus-4-5-20251101", True, "disabled", True, ()),
        ("claude-haiku-4-5", True, "disabled", True, ()),
        ("claude-sonnet-4-6", True, "disabled", True, MAX),
        ("anthropic.claude-opus-4.6", True, "disabled", True, MAX),
        ("claude-opus-4-7", False, "disabled", True, ALL),
        ("claude-mythos-preview", False, None, True, MAX),
        ("claude-opus-5", False, "disabled", True, ALL),
        ("claude-sonnet-5", False, "disabled", True, ALL),
        ("claude-fable-5", False, None, True, ALL),
        ("claude-fable-5-1", False, None, False, ALL),
        ("claude-mythos-5-2", False, None, False, ALL),
        ("claude-opus-5-5", False, None, False, ALL),
        ("claude-sonnet-5-5", False, "between_tools", False, ALL),
        ("claude-haiku-5-5", False, "disabled", True, ALL),
        ("somebody-elses-model", True, "disabled", True, ALL),
    ],
)
def test_claude_takes_what_its_generation_takes(
    model: str, *, samples: bool, off: str | None, forces: bool, efforts: tuple[str, ...]
) -> None:
    """Sampling, switching thinking off, forcing a tool, and the levels of effort."""
    found = traits(model)
    assert (found.samples, found.off, found.forces_tools, found.efforts) == (samples, off, forces, efforts)


THINK: dict[str, Any] = {"includeThoughts": True}


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash-lite", "minimal", {"thinkingBudget": 1024} | THINK),
        ("gemini-2.5-pro", "medium", {"thinkingBudget": 8192} | THINK),
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24576} | THINK),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "MINIMAL"} | THINK),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM"} | THINK),
        ("gemini-3.7-flash", "minimal", {"thinkingLevel": "LOW"} | THINK),
        ("gemini-flash-latest", "minimal", {"thinkingLevel": "LOW"} | THINK),
        ("gemini-flash-lite-latest", "minimal", {"thinkingLevel": "MINIMAL"} | THINK),
        ("gemini-3.8-flash", "max", {"thinkingLevel": "HIGH"} | THINK),
    ],
)
def test_gemini_thinks_as_told(model: str, effort: str, config: dict[str, Any]) -> None:
    """Budgets before Gemini 3, levels since."""
    assert thinking_config(model, effort, drop=False) == config


@pytest.mark.parametrize(
    ("model", "effort", "nearest"),
    [
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-pro", "xhigh", {"thinkingBudget": 24576} | THINK),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH"} | THINK),
        ("gemini-3.5-flash", "none", {"thinkingLevel": "MINIMAL"} | THINK),
        ("gemini-3.5-flash", "xhigh", {"thinkingLevel": "HIGH"} | THINK),
        ("gemini-2.0-flash", "low", None),
        ("gemma-4-31b-it", "high", None),
    ],
)
def test_gemini_refuses_what_it_cannot_think(model: str, effort: str, nearest: dict[str, Any] | None) -> None:
    """A 400, or the nearest with drop_params."""
    with pytest.raises(InvalidRequest) as caught:
        thinking_config(model, effort, drop=False)
    assert caught.value.param == "reasoning_effort"
    assert thinking_config(model, effort, drop=True) == nearest


def test_what_does_not_think_need_not_be_told_so() -> None:
    """Asking for no thinking is no wish there."""
    assert thinking_config("gemma-4-31b-it", "none", drop=False) is None


def test_only_gemini_3_wants_signatures() -> None:
    """Earlier generations and Gemma do not look at them."""
    wanted = [model for model in ("gemini-3-flash-preview", "gemini-pro-latest") if signs_thoughts(model)]
    assert len(wanted) == 2
    assert not any(signs_thoughts(model) for model in ("gemini-2.5-pro", "gemma-4-31b-it"))
