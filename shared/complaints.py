"""Turns pydantic's findings about a JSON body into one InvalidRequest in OpenAI's words.

Its `param` is a path such as `messages[0].content[1].type`. No message quotes a value, because it may be a prompt.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from shared.errors import InvalidRequest

# Fields that hold one of several kinds of object, and the field that tells which: pydantic's paths have an extra step
# there, the kind.
_KIND_FIELDS: Final = {
    "messages": "role",
    "content": "type",
    "tool_calls": "type",
    "tools": "type",
    "tool_choice": "type",
    "response_format": "type",
    "format": "type",
}
# Maps whose keys are the caller's own words.
_FREE_MAPS: Final = {"logit_bias", "metadata"}
_TYPES: Final = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "int_type": "an integer",
    "float_type": "a number",
    "list_type": "an array",
    "dict_type": "an object",
    "model_attributes_type": "an object",
    "literal_error": "a string",
}


class _Finding(NamedTuple):
    kind: str  # pydantic's error type
    path: tuple[str | int, ...]
    context: dict[str, Any]
    value: Any

    @property
    def rank(self) -> tuple[int, bool]:
        """Of the alternatives of a union the one that fitted furthest is the one that was meant."""
        return len(self.path), not self.wrong_type

    @property
    def wrong_type(self) -> bool:
        return self.kind in _TYPES and not (self.kind == "literal_error" and isinstance(self.value, str))


def complain(error: ValidationError, body: Any) -> InvalidRequest:
    """The one thing to tell about `body`, the parsed JSON that did not validate."""
    findings = [
        _locate(item["type"], item["loc"], item.get("ctx", {}), body)
        for item in error.errors(include_url=False, include_input=False)
    ]
    best = max(findings, key=lambda finding: finding.rank)
    path = _write_path(best.path)
    if best.wrong_type:
        expected = dict.fromkeys(_TYPES[f.kind] for f in findings if f.path == best.path and f.wrong_type)
        return _wrong_type(path, " or ".join(expected), best.value)
    if best.kind in {"missing", "union_tag_not_found"}:
        return InvalidRequest(f"Missing required parameter: '{path}'.", code="missing_required_parameter", param=path)
    what, code = _describe(best)
    return InvalidRequest(f"Invalid value for '{path}'. {what}", code=code, param=path)


def _wrong_type(path: str, expected: str, value: Any) -> InvalidRequest:
    got = name_type(value)
    if not path:
        return InvalidRequest(f"The request body must be a JSON object, but it is {got}.", code="invalid_type")
    message = f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    return InvalidRequest(message, code="invalid_type", param=path)


def _describe(finding: _Finding) -> tuple[str, str]:
    """(what is expected, OpenAI's error code)."""
    context = finding.context
    match finding.kind:
        case "greater_than_equal":
            return f"It must be at least {context['ge']:g}.", f"{_number(context['ge'])}_below_min_value"
        case "less_than_equal":
            return f"It must be at most {context['le']:g}.", f"{_number(context['le'])}_above_max_value"
        case "too_short":
            return "It must not be an empty array.", "empty_array"
        case "too_long":
            return f"It must have at most {context['max_length']} items.", "array_above_max_length"
        case "literal_error":
            return f"Supported values are: {context['expected']}.", "invalid_value"
        case "union_tag_invalid":
            return f"Supported values are: {context['expected_tags']}.", "invalid_value"
        case _:
            return "See the API reference for what it may be.", "invalid_value"


def _locate(kind: str, steps: Sequence[str | int], context: dict[str, Any], body: Any) -> _Finding:
    """Follows pydantic's steps through the body and leaves out those that name an alternative, not a place."""
    path: list[str | int] = []
    value, field, fresh = body, "", True
    for step in steps:
        if isinstance(value, dict):
            if fresh and step == value.get(_KIND_FIELDS.get(field)):
                fresh = False
            elif field in _FREE_MAPS:
                path.append("*")
                value = value.get(step)
            elif step in value:
                path.append(step)
                value, field, fresh = value[step], str(step), True
        elif isinstance(value, list) and isinstance(step, int):
            path.append(step)
            value, fresh = value[step], True
    if kind == "missing":
        path.append(steps[-1])
    elif kind.startswith("union_tag"):
        path.append(context["discriminator"].strip("'"))
    return _Finding(kind, tuple(path), context, value)


def _write_path(path: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def name_type(value: Any) -> str:
    """A JSON value's type with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _number(bound: float) -> str:
    """The field's type and not the value's, as OpenAI names it: pydantic gives a bound in the type of its field."""
    return "integer" if isinstance(bound, int) else "decimal"
