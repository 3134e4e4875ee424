"""An upstream with three dialects that does what it is asked: `python -m tests.clients.dialects PORT`.

It calls the first tool it is offered, reports a tool's result, and fills the schema it is given; each value is the
text "cold", or 3.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

JSON = dict[str, Any]
MODELS = {"openai-compatible": "gpt-like", "anthropic": "claude-opus-4-8", "gemini": "gemini-2.5-flash"}


@dataclass(frozen=True)
class Turn:
    """What to say: a text, or the call of a tool."""

    text: str = ""
    tool: str = ""
    arguments: Mapping[str, Any] | None = None


def decide(result: Any, tools: list[JSON], schema: JSON | None, parameters: str) -> Turn:
    """`result` is that of a tool if one was the last to speak; `parameters` names a tool's schema in the dialect."""
    if result:
        return Turn(f"The tool says: {result}")
    if tools:
        return Turn(tool=tools[0]["name"], arguments=_fill(tools[0][parameters]))
    return Turn(json.dumps(_fill(schema))) if schema else Turn("cold")


def _fill(schema: JSON) -> JSON:
    kinds = {name: field.get("type", "string") for name, field in schema["properties"].items()}
    return {name: 3 if str(kind).lower() == "integer" else "cold" for name, kind in kinds.items()}


async def speak_openai(request: web.Request) -> web.Response:
    asked = await request.json()
    last = asked["messages"][-1]
    turn = decide(
        last["content"] if last["role"] == "tool" else None,
        [tool["function"] for tool in asked.get("tools", ())],
        asked.get("response_format", {}).get("json_schema", {}).get("schema"),
        "parameters",
    )
    function = {"name": turn.tool, "arguments": json.dumps(turn.arguments)}
    calls = [{"id": "call_1", "type": "function", "function": function}] if turn.tool else None
    message = {"role": "assistant", "content": turn.text or None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    about = {"id": "c1", "object": "chat.completion", "created": 1, "model": asked["model"]}
    return web.json_response({**about, "choices": [choice], "usage": usage})


async def speak_anthropic(request: web.Request) -> web.Response:
    asked = await request.json()
    part = asked["messages"][-1]["content"][-1]
    turn = decide(
        part.get("content") if part["type"] == "tool_result" else None,
        asked.get("tools", []),
        asked.get("output_config", {}).get("format", {}).get("schema"),
        "input_schema",
    )
    text = {"type": "text", "text": turn.text}
    call = {"type": "tool_use", "id": "toolu_1", "name": turn.tool, "input": turn.arguments}
    about = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "stop_sequence": None}
    reason = "tool_use" if turn.tool else "end_turn"
    usage = {"input_tokens": 7, "output_tokens": 5}
    return web.json_response({**about, "content": [call if turn.tool else text], "stop_reason": reason, "usage": usage})


async def speak_gemini(request: web.Request) -> web.Response:
    asked = await request.json()
    part = asked["contents"][-1]["parts"][-1]
    tools = [tool for group in asked.get("tools", ()) for tool in group["functionDeclarations"]]
    config = asked.get("generationConfig", {})
    turn = decide(
        part.get("functionResponse", {}).get("response", {}).get("output"),
        tools,
        config.get("responseJsonSchema") or config.get("responseSchema"),
        "parametersJsonSchema" if tools and "parametersJsonSchema" in tools[0] else "parameters",
    )
    call = {"functionCall": {"name": turn.tool, "args": turn.arguments}}
    content = {"role": "model", "parts": [call if turn.tool else {"text": turn.text}]}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}
    return web.json_response(
        {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
    )


def main() -> None:
    app = web.Application()
    app.router.add_post("/openai/v1/chat/completions", speak_openai)
    app.router.add_post("/v1/messages", speak_anthropic)
    app.router.add_post("/v1beta/models/{model}:generateContent", speak_gemini)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=_say_ready,
        access_log=None,
    )


def _say_ready(_: str) -> None:
    sys.stderr.write("upstream ready\n")


if __name__ == "__main__":
    main()
