"""What can be told of an OpenAI-shaped upstream as data: see `compatible_rows` for the upstreams themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

from worker.faults import Fault
from worker.providers.contract import Capabilities

T = TypeVar("T")

OPENAI_ONLY: Final = "audio modalities moderation prediction prompt_cache_options verbosity web_search_options"
"""Fields that hardly any clone knows; most would ignore them without a word."""
OLD_FUNCTIONS: Final = "functions function_call"
"""The deprecated form of tools: only OpenAI, Azure, Groq and Fireworks are known to read it. Others are asked with
tools."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a model is told how much to think: `efforts` are the words that go on as `reasoning_effort`, None for any;
    for the others `off` (the effort "none") and `on` are the members that say it instead. What neither can say is
    refused.
    """

    efforts: str | None = None
    off: Mapping[str, Any] | None = None
    on: Mapping[str, Any] | None = None


_THINKING: Final[Mapping[str, Any]] = {"thinking": {"type": "enabled"}}
_NO_THINKING: Final[Mapping[str, Any]] = {"thinking": {"type": "disabled"}}

SWITCH: Final = Reasoning("", off=_NO_THINKING, on=_THINKING)
SWITCH_AND_EFFORT: Final = Reasoning(off=_NO_THINKING)
FLAG: Final = Reasoning("", off={"enable_thinking": False}, on={"enable_thinking": True})
ALWAYS: Final = Reasoning("", on=_THINKING)
NEVER: Final = Reasoning("", off={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Per model pattern, the first that matches counts.

    `base_url` None: the configuration must name it. `variable`: the usual environment variable of its key.
    `models`: offered where the upstream cannot list its own. `lacks`: fields that it does not know, `refuses`: those
    that some models do not take. `tool_choices`: the words and types of `tool_choice` that it knows, where not all.
    `custom_tools`: whether it has these, and a choice among `allowed_tools`.
    `members`: per role, all that a message may have where more is an error;
    `reasoning_back`: where an earlier answer's reasoning goes then, "thinking" being a part of its content.
    """

    type_name: str
    title: str
    base_url: str | None = None
    variable: str | None = None
    key_page: str = ""
    note: str = ""
    key_required: bool = True
    models: tuple[str, ...] | None = None
    developer_role: bool = False
    stream_options: bool = True
    renames: Mapping[str, str] = field(default_factory=dict)
    lacks: str = f"{OPENAI_ONLY} {OLD_FUNCTIONS}"
    refuses: Mapping[str, str] = field(default_factory=dict)
    tool_choices: str = ""
    custom_tools: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    reasoning: Mapping[str, Reasoning] = field(default_factory=dict)
    reasoning_back: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Fault] = field(default_factory=dict)
    capabilities: Capabilities = field(default_factory=Capabilities)


def first_match(table: Mapping[str, T], model: str) -> T | None:
    """The value of the first pattern that fits the model."""
    return next((value for pattern, value in table.items() if fnmatchcase(model, pattern)), None)
