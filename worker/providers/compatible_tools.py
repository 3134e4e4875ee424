"""Tools and how to choose among them as a clone of OpenAI's dialect takes them: functions, all of them or one.

Custom tools and `allowed_tools` are OpenAI's alone: the groq, cerebras-cloud-sdk and fireworks-ai packages have no type
for them.
"""

from collections.abc import Mapping
from typing import Any

from worker.providers.contract import JsonObject
from worker.providers.fields import as_function_call, refusal


def functions_alone(body: JsonObject, upstream: str, *, drop: bool) -> None:
    """As `without_custom_tools`, and says a choice among some tools by leaving out the others."""
    without_custom_tools(body, upstream, drop=drop)
    match body.get("tool_choice"):
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}:
            names = {_name(entry) for entry in allowed}
            body["tools"] = [tool for tool in body.get("tools") or () if _name(tool) in names]
            body["tool_choice"] = mode
            _tidy(body)


def without_custom_tools(body: JsonObject, upstream: str, *, drop: bool) -> None:
    """Raises InvalidRequest for custom tools, unless `drop` leaves them out. Tools of an upstream's own, which an
    operator may have set, stay.
    """
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    for index, tool in enumerate(tools):
        if tool["type"] == "custom" and not drop:
            raise refusal(f"tools[{index}]", upstream, "it has functions, no custom tools")
    if isinstance(choice, dict) and choice.get("type") == "custom":
        if not drop:
            raise refusal("tool_choice", upstream, "it has functions, no custom tools")
        del body["tool_choice"]
    if "tools" in body:
        body["tools"] = [tool for tool in tools if tool["type"] != "custom"]
        _tidy(body)


def _tidy(body: JsonObject) -> None:
    """A choice among no tools is none."""
    if not body["tools"]:
        del body["tools"]
        body.pop("tool_choice", None)


def _name(tool: Mapping[str, Any]) -> str | None:
    name: str | None = (tool.get("function") or {}).get("name")
    return name


def called_functions(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message whose calls of custom tools, which another upstream may have made, are calls of functions."""
    calls = message.get("tool_calls") or ()
    if all(call.get("type") != "custom" for call in calls):
        return message
    return {**message, "tool_calls": [as_function_call(call) for call in calls]}
