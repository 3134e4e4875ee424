"""Tools and how to choose among them as a clone of OpenAI's dialect takes them: functions, all of them or one.

Custom tools and `allowed_tools` are OpenAI's alone: the groq, cerebras-cloud-sdk and fireworks-ai packages have no type
for them.
"""

from collections.abc import Mapping
from typing import Any

from worker.providers.contract import JsonObject
from worker.providers.fields import as_function_call, refusal


def functions_alone(body: JsonObject, upstream: str, *, drop: bool) -> None:
    """Leaves of `tools` what may be called, and says a choice among some by leaving out the others. Raises
    InvalidRequest for custom tools, unless `drop` leaves them out.
    """
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    for index, tool in enumerate(tools):
        if tool["type"] != "function" and not drop:
            raise refusal(f"tools[{index}]", upstream, "it has functions, no custom tools")
    kept = [tool for tool in tools if tool["type"] == "function"]
    match choice:
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}:
            names = [(entry.get("function") or {}).get("name") for entry in allowed]
            kept, choice = [tool for tool in kept if tool["function"]["name"] in names], mode
        case {"type": "custom"}:
            if not drop:
                raise refusal("tool_choice", upstream, "it has functions, no custom tools")
            choice = None
    for name, value in (("tools", kept), ("tool_choice", choice if kept or not tools else None)):
        if name in body and value:
            body[name] = value
        elif name in body:
            del body[name]


def called_functions(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message whose calls of custom tools, which another upstream may have made, are calls of functions."""
    calls = message.get("tool_calls") or ()
    if all(call.get("type") != "custom" for call in calls):
        return message
    return {**message, "tool_calls": [as_function_call(call) for call in calls]}
