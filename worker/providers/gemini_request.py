"""An OpenAI request as the body of Gemini's generateContent; the Code Assist envelope holds the same.

Functions with `strict` make the mode VALIDATED, in which calls keep to their schemas. What Gemini's JSON Schema lacks
is said otherwise or refused (see `schema_subset`); the keywords are those that the API's own reference lists for
`responseJsonSchema`. Beside OpenAI's fields, `top_k`, "image" among the `modalities` and the `extra_body` of Google's
OpenAI endpoint are read. Spoken answers are not offered: the models that speak take no conversation and give raw PCM
without a text.

Source: GenerateContentConfig, FunctionDeclaration and FunctionCallingConfig of the google-genai package 3.4;
ai.google.dev, "Structured output", "Function calling", "Image generation", "Priority inference".
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from shared.errors import InvalidRequest
from worker.providers.contract import ChatCall, JsonObject, Options
from worker.providers.fields import refusal, wishes
from worker.providers.gemini_messages import Contents
from worker.providers.gemini_models import UPSTREAM, thinking_config
from worker.providers.schema_subset import Subset, fit
from worker.providers.toolbox import TOOL_FIELDS, Tool, Toolbox, read_tools

_RENAMED: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
FIELDS: Final = frozenset(
    {*_RENAMED, *TOOL_FIELDS, "stop", "response_format", "reasoning_effort", "modalities", "service_tier", "extra_body"}
)  # fmt: skip
# The standard tier is what a request without a word gets.
_TIERS: Final[Mapping[str, str | None]] = {"auto": None, "default": None, "flex": "flex", "priority": "priority"}
_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_MOST_CANDIDATES: Final = 8
_INT32: Final = 2**31
_THINKING: Final[Mapping[str, str]] = {
    "thinking_budget": "thinkingBudget",
    "thinking_level": "thinkingLevel",
    "include_thoughts": "includeThoughts",
}
_SUBSET: Final = Subset(
    UPSTREAM,
    frozenset(
        {
            "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems",
            "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties",
            "required", "propertyOrdering",
        }
    ),
)  # fmt: skip

Category = Literal[
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
]
Threshold = Literal["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"]


class GeminiOptions(Options):
    """`safety`: from which harm on an answer is blocked, per category."""

    safety: Mapping[Category, Threshold] = {}


def build_body(chat: ChatCall, fields: frozenset[str] = FIELDS) -> JsonObject:
    """`fields`: those that the service takes. Raises InvalidRequest naming what it or the model cannot do."""
    drop = chat.settings.drop_params
    wanted = wishes(chat.body, fields, upstream=UPSTREAM, drop=drop)
    contents = Contents(chat)
    body: JsonObject = {"contents": contents.turns}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    _set_tools(body, read_tools(wanted, UPSTREAM, drop=drop), drop=drop)
    options = chat.settings.options
    if isinstance(options, GeminiOptions) and options.safety:
        body["safetySettings"] = [{"category": name, "threshold": level} for name, level in options.safety.items()]
    if "service_tier" in wanted:
        _set_tier(body, wanted["service_tier"], drop=drop)
    config = _generation(wanted, chat.model, drop=drop)
    if contents.resolution:
        config["mediaResolution"] = contents.resolution
    _read_extra(body, config, wanted.get("extra_body"), drop=drop)
    if config:
        body["generationConfig"] = config
    return body


def _generation(wanted: Mapping[str, Any], model: str, *, drop: bool) -> JsonObject:
    config = {new: wanted[old] for old, new in _RENAMED.items() if old in wanted}
    if config.get("candidateCount", 1) > _MOST_CANDIDATES:
        if not drop:
            raise refusal("n", UPSTREAM, f"it gives {_MOST_CANDIDATES} answers at most")
        config["candidateCount"] = _MOST_CANDIDATES
    if not -_INT32 <= config.get("seed", 0) < _INT32:
        raise InvalidRequest(f"{UPSTREAM} takes a 'seed' of 32 bits, from -2147483648 to 2147483647.", param="seed")
    if config.get("maxOutputTokens", 1) < 1:
        field = "max_completion_tokens" if "max_completion_tokens" in wanted else "max_tokens"
        raise InvalidRequest(f"'{field}' must be at least 1.", param=field)
    if wanted.get("stop"):
        config["stopSequences"] = [wanted["stop"]] if isinstance(wanted["stop"], str) else wanted["stop"]
    if "response_format" in wanted:
        config |= _format(wanted["response_format"], drop=drop)
    if "modalities" in wanted:
        config |= _modalities(wanted["modalities"], drop=drop)
    if "reasoning_effort" in wanted:
        thinking = thinking_config(model, wanted["reasoning_effort"], drop=drop)
        if thinking:
            config["thinkingConfig"] = thinking
    return config


def _set_tier(body: JsonObject, tier: str, *, drop: bool) -> None:
    if tier not in _TIERS and not drop:
        raise refusal("service_tier", UPSTREAM, f"it has no tier {tier!r}")
    if _TIERS.get(tier):
        body["serviceTier"] = _TIERS[tier]


def _modalities(wanted: list[str], *, drop: bool) -> JsonObject:
    if "audio" in wanted and not drop:
        raise refusal("modalities", UPSTREAM, "it answers with texts and images here, not with speech")
    return {"responseModalities": [kind.upper() for kind in wanted if kind != "audio"]} if "image" in wanted else {}


def _format(wanted: Mapping[str, Any], *, drop: bool) -> JsonObject:
    config: JsonObject = {"responseMimeType": "application/json"}
    if wanted["type"] == "json_schema":
        asked = wanted["json_schema"]
        path = "response_format.json_schema.schema"
        schema = fit(asked.get("schema") or {}, _SUBSET, path, strict=asked.get("strict") is True, drop=drop)
        if asked.get("description"):
            schema.setdefault("description", asked["description"])
        config["responseJsonSchema"] = schema
    return config


def _set_tools(body: JsonObject, box: Toolbox, *, drop: bool) -> None:
    if not box.tools:
        return
    if not box.parallel and not drop:
        raise refusal("parallel_tool_calls", UPSTREAM, "it may always call several functions at once")
    body["tools"] = [{"functionDeclarations": [_declare(tool, drop=drop) for tool in box.tools]}]
    calling: JsonObject = {}
    if box.mode:
        calling["mode"] = _MODES[box.mode]
    if box.only:
        calling["allowedFunctionNames"] = [box.only]
    if calling.get("mode", "AUTO") == "AUTO" and any(tool.strict for tool in box.tools):
        calling["mode"] = "VALIDATED"
    if calling:
        body["toolConfig"] = {"functionCallingConfig": calling}


def _declare(tool: Tool, *, drop: bool) -> JsonObject:
    declared: JsonObject = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.parameters:
        path = f"{tool.path}.parameters"
        declared["parametersJsonSchema"] = fit(tool.parameters, _SUBSET, path, strict=tool.strict, drop=drop)
    return declared


def _read_extra(body: JsonObject, config: JsonObject, extra: Any, *, drop: bool) -> None:
    """`{"google": {"thinking_config", "cached_content"}}`, which wins over `reasoning_effort`."""
    if extra is None:
        return
    google = extra.get("google") if isinstance(extra, Mapping) else None
    if not isinstance(google, Mapping):
        raise InvalidRequest("'extra_body' must be an object with the member 'google'.", param="extra_body")
    for name, value in google.items():
        path = f"extra_body.google.{name}"
        if name == "cached_content":
            body["cachedContent"] = value
        elif name == "thinking_config" and isinstance(value, Mapping):
            unknown = next((key for key in value if key not in _THINKING), None)
            if unknown and not drop:
                raise refusal(f"{path}.{unknown}", UPSTREAM)
            config["thinkingConfig"] = {_THINKING[key]: setting for key, setting in value.items() if key in _THINKING}
        elif not drop:
            raise refusal(path, UPSTREAM)
