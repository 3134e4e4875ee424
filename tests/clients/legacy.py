"""One call of openai 0.28, named by the first argument; prints what the SDK made of the answer as JSON.

Runs in an environment of its own, of which this project's packages know nothing.
"""

import importlib
import json
import os
import sys
from typing import Any

openai: Any = importlib.import_module("openai")  # not the version that the type checker sees
openai.api_base = os.environ["GATEWAY_URL"]
openai.api_key = os.environ["GATEWAY_KEY"]
MESSAGES = [{"role": "user", "content": "It was a bright cold day"}]


def plain() -> Any:
    answer = openai.ChatCompletion.create(model="echo", messages=MESSAGES)
    return {"content": answer.choices[0].message.content, "tokens": answer.usage.total_tokens}


def stream() -> Any:
    chunks = list(openai.ChatCompletion.create(model="echo", messages=MESSAGES, stream=True))
    said = "".join(chunk.choices[0].delta.get("content", "") for chunk in chunks)
    return {"content": said, "finish_reason": chunks[-1].choices[0].finish_reason}


def refused() -> Any:
    try:
        openai.ChatCompletion.create(model="echo", messages=MESSAGES, api_key="sk-wrong")
    except openai.error.OpenAIError as error:
        return {"kind": type(error).__name__, "code": error.json_body["error"]["code"], "status": error.http_status}
    return None


def models() -> Any:
    return sorted(model.id for model in openai.Model.list().data)


sys.stdout.write(json.dumps({"plain": plain, "stream": stream, "refused": refused, "models": models}[sys.argv[1]]()))
