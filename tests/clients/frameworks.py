"""One call through LangChain or LlamaIndex, named by the first argument; prints what came of it as JSON.

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


def langchain_tool() -> Any:
    messages = importlib.import_module("langchain_core.messages")
    tool = importlib.import_module("langchain_core.tools").tool(note)
    model = langchain("echo-tool").bind_tools([tool])
    asked: list[Any] = [messages.HumanMessage(SAID)]
    call = model.invoke(asked)
    asked += [call, tool.invoke(call.tool_calls[0])]
    return {"call": call.tool_calls[0]["args"], "content": model.invoke(asked).content}


def langchain_structured() -> Any:
    return langchain("echo-tool").with_structured_output(Note, method="function_calling").invoke(SAID).model_dump()


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


def llama_tool() -> Any:
    tool = importlib.import_module("llama_index.core.tools").FunctionTool.from_defaults(note)
    answer = llama("echo-tool").predict_and_call([tool], SAID)
    return {"content": str(answer)}


def llama_structured() -> Any:
    prompt = importlib.import_module("llama_index.core.prompts").PromptTemplate("{said}")
    return llama("echo-tool").structured_predict(Note, prompt, said=SAID).model_dump()


sys.stdout.write(json.dumps(globals()[sys.argv[1]]()))
