"""One call through LangChain or LlamaIndex, by the function that the first argument names; prints its result as JSON.

Runs in an environment of its own, of which this project's packages know nothing.
"""

import importlib
import json
import os
import sys
from typing import Any

from pydantic import BaseModel

URL, KEY = os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]
SAID = "It was a bright cold day"


class Note(BaseModel):
    """A note to keep."""

    text: str
    times: int


def note(text: str) -> str:
    """Keeps a note."""
    return f"noted: {text}"


def langchain(model: str = "echo") -> Any:
    chat = importlib.import_module("langchain_openai").ChatOpenAI
    return chat(model=model, base_url=URL, api_key=KEY, max_retries=0)


def langchain_plain() -> Any:
    answer = langchain().invoke(SAID)
    return {"content": answer.content, "tokens": answer.usage_metadata["total_tokens"]}


def langchain_stream() -> Any:
    return {"parts": [part.content for part in langchain().stream(SAID)]}


def langchain_tool(model: str) -> Any:
    messages = importlib.import_module("langchain_core.messages")
    tool = importlib.import_module("langchain_core.tools").tool(note)
    chat = langchain(model).bind_tools([tool])
    asked: list[Any] = [messages.HumanMessage(SAID)]
    call = chat.invoke(asked)
    asked += [call, tool.invoke(call.tool_calls[0])]
    return {"call": call.tool_calls[0]["args"], "content": chat.invoke(asked).content}


def langchain_structured(model: str) -> Any:
    return langchain(model).with_structured_output(Note, method="json_schema").invoke(SAID).model_dump()


def llama(model: str = "echo") -> Any:
    like = importlib.import_module("llama_index.llms.openai_like").OpenAILike
    return like(
        model=model, api_base=URL, api_key=KEY, is_chat_model=True, is_function_calling_model=True, max_retries=0
    )


def _asked() -> list[Any]:
    types = importlib.import_module("llama_index.core.llms")
    return [types.ChatMessage(role="user", content=SAID)]


def llama_plain() -> Any:
    return {"content": llama().chat(_asked()).message.content}


def llama_stream() -> Any:
    return {"parts": [part.delta for part in llama().stream_chat(_asked())]}


def llama_tool(model: str) -> Any:
    types = importlib.import_module("llama_index.core.llms")
    tool = importlib.import_module("llama_index.core.tools").FunctionTool.from_defaults(note)
    chat, asked = llama(model), _asked()
    first = chat.chat_with_tools([tool], chat_history=asked)
    (call,) = chat.get_tool_calls_from_response(first)
    result = types.ChatMessage(
        role="tool", content=str(tool(**call.tool_kwargs)), additional_kwargs={"tool_call_id": call.tool_id}
    )
    second = chat.chat_with_tools([tool], chat_history=[*asked, first.message, result])
    return {"call": call.tool_kwargs, "content": second.message.content}


def llama_structured(model: str) -> Any:
    prompt = importlib.import_module("llama_index.core.prompts").PromptTemplate("{said}")
    return llama(model).structured_predict(Note, prompt, said=SAID).model_dump()


sys.stdout.write(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
