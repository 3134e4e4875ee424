"""An OpenAI request as the body of Anthropic's `POST /v1/messages`.

Two decisions. `response_format` json_object becomes an instruction at the end of the system prompt: the API enforces
schemas only, and none says "any object". `max_tokens`, which the API demands, is the option `max_tokens` where the
client sets no limit, plus what it may think.

Source: MessageCreateParams, OutputConfigParam and ThinkingConfigParam of the anthropic package 2.11; the keywords of
schemas are those of its `transform_schema`; platform.claude.com, "Thinking", "Effort", "Structured outputs". Adaptive
thinking, unlike thinking with a budget, goes together with a tool that must be called. API version 2026-10-21 took the
sampling parameters away for every model: with it, as with models since Opus 4.7, they are refused.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from shared.errors import InvalidRequest
from worker.providers.anthropic_messages import UPSTREAM, Dialogue, cache_control
from worker.providers.anthropic_models import BUDGETS, Traits, traits
from worker.providers.contract import ChatCall, JsonObject, Options
from worker.providers.fields import refusal, wishes
from worker.providers.old_functions import asks_old_form
from worker.providers.schema_subset import Subset, fit
from worker.providers.toolbox import TOOL_FIELDS, Tool, Toolbox, read_tools

_FIELDS: Final = frozenset(
    {
        "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "response_format",
        "reasoning_effort", "thinking", "cache_control", "prompt_cache_options", "user", "safety_identifier",
        "service_tier", *TOOL_FIELDS,
    }
)  # fmt: skip
_OLD_VERSION: Final = "2023-06-01"
_SAMPLING: Final = ("temperature", "top_p", "top_k")
_TIERS: Final[Mapping[str, str]] = {"auto": "auto", "priority": "auto", "default": "standard_only"}
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}
_LEAST_THOUGHT: Final = 1024
_LEAST_TOP_P: Final = 0.95
_ONLY_JSON: Final = "Answer with one JSON object and nothing else: no other words and no code fence around it."
_SUBSET: Final = Subset(
    UPSTREAM,
    frozenset(
        {
            "$defs", "$ref", "type", "anyOf", "allOf", "enum", "const", "description", "title", "properties",
            "required", "items", "format", "minItems",
        }
    ),
    formats=frozenset(
        {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
    ),
    most_min_items=1,
    closed=True,
)  # fmt: skip


class AnthropicOptions(Options):
    """`version`: the API version; `beta`: names for the header anthropic-beta; `max_tokens`: for requests without a
    limit of their own.
    """

    version: str = _OLD_VERSION
    beta: tuple[str, ...] = ()
    max_tokens: int = Field(default=16_000, ge=1)


def build_body(chat: ChatCall) -> JsonObject:
    """Raises InvalidRequest naming what the model cannot do."""
    drop = chat.settings.drop_params
    wanted = wishes(chat.body, _FIELDS, upstream=UPSTREAM, drop=drop)
    dialogue = Dialogue(chat)
    body: JsonObject = {"model": chat.model, "max_tokens": _limit(chat, wanted), "messages": dialogue.turns}
    system = dialogue.system
    box = read_tools(wanted, UPSTREAM, drop=drop)
    _set_thinking(body, wanted, chat, lost=dialogue.thought_lost)
    _set_sampling(body, wanted, chat)
    _set_tools(body, box, dialogue, chat)
    system = _set_format(body, wanted.get("response_format"), system, drop=drop)
    if system:
        body["system"] = system
    if "stop" in wanted:
        body["stop_sequences"] = _stops(wanted["stop"], drop=drop)
    user = wanted.get("safety_identifier") or wanted.get("user")
    if user:
        body["metadata"] = {"user_id": user}
    tier = wanted.get("service_tier", "")
    if tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
    elif tier and not drop:
        raise refusal("service_tier", UPSTREAM, f"it has no tier {tier!r}")
    if "cache_control" in wanted:
        body["cache_control"] = wanted["cache_control"]
    elif wanted.get("prompt_cache_options", {}).get("mode") == "implicit":
        body["cache_control"] = cache_control(wanted["prompt_cache_options"])
    return body


def _limit(chat: ChatCall, wanted: Mapping[str, Any]) -> int:
    limit = wanted.get("max_completion_tokens", wanted.get("max_tokens"))
    if limit is not None:
        if limit < 1:
            field = "max_completion_tokens" if "max_completion_tokens" in wanted else "max_tokens"
            raise InvalidRequest(f"'{field}' must be at least 1.", param=field)
        return int(limit)
    options = chat.settings.options
    default = options.max_tokens if isinstance(options, AnthropicOptions) else 16_000
    return min(default, traits(chat.model).most_output)


def _set_thinking(body: JsonObject, wanted: Mapping[str, Any], chat: ChatCall, *, lost: bool) -> None:
    """Anthropic's own `thinking` wins over `reasoning_effort`."""
    effort, model = wanted.get("reasoning_effort"), traits(chat.model)
    if "thinking" in wanted:
        thinking = wanted["thinking"]
        if not isinstance(thinking, dict) or not isinstance(thinking.get("type"), str):
            raise InvalidRequest("'thinking' must be an object with a 'type', as Anthropic has it.", param="thinking")
        body["thinking"] = thinking
        if effort and effort != "none":
            body["output_config"] = {"effort": _level(effort, model, drop=chat.settings.drop_params)}
    elif effort == "none":
        if model.off:
            body["thinking"] = {"type": model.off}
        elif not chat.settings.drop_params:
            raise refusal("reasoning_effort", UPSTREAM, f"{chat.model} always thinks")
    elif effort and model.adaptive:
        # Since Opus 4.7 the thinking's text is left out unless it is asked for.
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        body["output_config"] = {"effort": _level(effort, model, drop=chat.settings.drop_params)}
    elif effort and not lost:
        _set_budget(body, effort, chat, limited=bool({"max_tokens", "max_completion_tokens"} & set(wanted)))


def _level(effort: str, model: Traits, *, drop: bool) -> str:
    """The lowest level stands for "minimal". Raises InvalidRequest for one that the model lacks; `drop`: the next."""
    if effort == "minimal" or not model.efforts:
        return "low" if effort == "minimal" else effort
    if effort in model.efforts:
        return effort
    if drop:
        return "high"
    raise refusal("reasoning_effort", UPSTREAM, f"this model takes {', '.join(model.efforts)}, not {effort!r}")


def _set_budget(body: JsonObject, effort: str, chat: ChatCall, *, limited: bool) -> None:
    """What is thought counts as output, as it does at OpenAI; a limit of ours grows by it, the client's is shared."""
    budget = BUDGETS[effort]
    if not limited:
        body["max_tokens"] = min(body["max_tokens"] + budget, traits(chat.model).most_output)
    room = body["max_tokens"]
    if room <= _LEAST_THOUGHT:
        if chat.settings.drop_params:
            return
        raise refusal(
            "reasoning_effort", UPSTREAM, f"this model thinks {_LEAST_THOUGHT} tokens at least, within the limit"
        )
    budget = min(budget, max(_LEAST_THOUGHT, room * 3 // 4))
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _set_sampling(body: JsonObject, wanted: Mapping[str, Any], chat: ChatCall) -> None:
    """What is at its default anyway is left out, as newer models take nothing else."""
    options, drop = chat.settings.options, chat.settings.drop_params
    version = options.version if isinstance(options, AnthropicOptions) else _OLD_VERSION
    chosen = {name: wanted[name] for name in _SAMPLING if name in wanted}
    chosen = {name: value for name, value in chosen.items() if name == "top_k" or value != 1}
    model = traits(chat.model)
    thinks = body.get("thinking", {}).get("type") in {"enabled", "adaptive"}
    for name, value in chosen.items():
        why = ""
        if not model.samples or version != _OLD_VERSION:
            why = f"{chat.model} samples as it sees fit"
        elif thinks and (name != "top_p" or value < _LEAST_TOP_P):
            why = "a model that thinks takes no sampling but a top_p from 0.95"
        elif name == "temperature" and value > 1:
            why = "its temperature goes from 0 to 1"
            if drop:
                body[name] = 1
        elif name == "top_p" and "temperature" in body and not model.samples_both:
            why = "this model takes 'temperature' or 'top_p', not both"
        if not why:
            body[name] = value
        elif not drop:
            raise refusal(name, UPSTREAM, why)


def _set_tools(body: JsonObject, box: Toolbox, dialogue: Dialogue, chat: ChatCall) -> None:
    drop = chat.settings.drop_params
    tools = [_declare(tool, drop=drop) for tool in box.tools]
    choice: JsonObject = {"type": _CHOICES[box.mode]} if box.mode else {}
    if box.only:
        choice = {"type": "tool", "name": box.only}
    if not tools:
        # Earlier calls need their functions declared; nothing can be called any more.
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in dialogue.called]
        choice = {"type": "none"}
    if not tools:
        return
    body["tools"] = tools
    if choice.get("type") in {"any", "tool"}:
        budgeted = body.get("thinking", {}).get("type") == "enabled"
        if budgeted or not traits(chat.model).forces_tools:
            if not drop:
                why = "while it thinks within a budget" if budgeted else "at all"
                raise refusal(box.choice_path, UPSTREAM, f"{chat.model} cannot be made to call a tool {why}")
            choice = {}
    one_call = not box.parallel or asks_old_form(chat)
    if one_call and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    if choice:
        body["tool_choice"] = choice


def _declare(tool: Tool, *, drop: bool) -> JsonObject:
    declared: JsonObject = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    schema = {"type": "object", "properties": {}, **tool.parameters}
    if tool.strict:
        schema = fit(schema, _SUBSET, f"{tool.path}.parameters", strict=True, drop=drop)
        declared["strict"] = True
    declared["input_schema"] = schema
    if tool.extras.get("cache_control"):
        declared["cache_control"] = tool.extras["cache_control"]
    return declared


def _set_format(body: JsonObject, wanted: Mapping[str, Any] | None, system: Any, *, drop: bool) -> Any:
    """The system prompt, with an instruction where the format is "some JSON object"."""
    if wanted is None:
        return system
    if wanted["type"] == "json_object":
        if isinstance(system, str):
            return f"{system}\n\n{_ONLY_JSON}".strip()
        return [*system, {"type": "text", "text": _ONLY_JSON}]
    asked = wanted["json_schema"]
    path = "response_format.json_schema.schema"
    schema = fit(asked.get("schema") or {}, _SUBSET, path, strict=asked.get("strict") is True, drop=drop)
    if asked.get("description"):
        schema.setdefault("description", asked["description"])
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
    return system


def _stops(stop: str | list[str], *, drop: bool) -> list[str]:
    stops = [stop] if isinstance(stop, str) else stop
    told = [text for text in stops if text.strip()]
    if len(told) < len(stops) and not drop:
        raise refusal("stop", UPSTREAM, "it takes no stop sequence of white space alone")
    return told
