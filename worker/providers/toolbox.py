"""The tools of a request and how they may be chosen, read once for every dialect that does not speak OpenAI's.

`functions` and `function_call`, the deprecated names, mean the same as `tools` and `tool_choice`, but for one call at a
time: `old_functions` turns the answer into their form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shared.errors import InvalidRequest
from worker.providers.contract import JsonObject
from worker.providers.fields import refusal

TOOL_FIELDS: Final = ("tools", "tool_choice", "functions", "function_call", "parallel_tool_calls")


@dataclass(frozen=True, slots=True)
class Tool:
    """One function. `path` is where the request has it, for error messages."""

    name: str
    description: str
    parameters: JsonObject
    strict: bool
    path: str
    extras: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """`mode` is "auto", "none", "required" or "" where the request does not choose; `only` names the one function that
    must be called. Tools that the choice does not allow are left out already. `choice_path` is where the request has
    its choice, for error messages.
    """

    tools: tuple[Tool, ...] = ()
    mode: str = ""
    only: str | None = None
    parallel: bool = True
    choice_path: str = "tool_choice"


def read_tools(wanted: Mapping[str, Any], upstream: str, *, drop: bool) -> Toolbox:
    """Raises InvalidRequest for custom tools, which no other dialect has, unless `drop` leaves them out."""
    tools = []
    for index, entry in enumerate(wanted.get("tools") or ()):
        if entry["type"] == "function":
            tools.append(_tool(entry["function"], f"tools[{index}].function", entry))
        elif not drop:
            raise refusal(f"tools[{index}]", upstream, "it has functions, no custom tools")
    for index, function in enumerate(wanted.get("functions") or ()):
        tools.append(_tool(function, f"functions[{index}]", {}))
    parallel = wanted.get("parallel_tool_calls") is not False
    choice = wanted.get("tool_choice", wanted.get("function_call"))
    match choice:
        case None:
            return Toolbox(tuple(tools), parallel=parallel)
        case str():
            return Toolbox(tuple(tools), choice, parallel=parallel)
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}:
            names = [_name(entry) for entry in allowed]
            return Toolbox(tuple(tool for tool in tools if tool.name in names), mode, parallel=parallel)
        case {"function": {"name": name}} | {"name": name}:
            path = "tool_choice" if "tool_choice" in wanted else "function_call"
            return Toolbox(tuple(tools), "required", name, parallel=parallel, choice_path=path)
    if not drop:
        raise refusal("tool_choice", upstream, "it has functions, no custom tools")
    return Toolbox(tuple(tools), parallel=parallel)


def read_arguments(text: str, path: str) -> JsonObject:
    """The arguments of an earlier call, which other dialects want as an object. Raises InvalidRequest."""
    try:
        value = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest(f"'{path}' must be a JSON object in a string.", param=path)
    return value


def _name(entry: Mapping[str, Any]) -> Any:
    match entry:
        case {"function": {"name": name}} | {"name": name}:
            return name
    return None


def _tool(function: Mapping[str, Any], path: str, entry: Mapping[str, Any]) -> Tool:
    return Tool(
        name=function["name"],
        description=function.get("description") or "",
        parameters=function.get("parameters") or {},
        strict=bool(function.get("strict")),
        path=path,
        extras={**entry, **function},
    )
