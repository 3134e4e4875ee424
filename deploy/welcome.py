"""What `penstock up` prints once it serves: things that work when pasted."""

import json
from typing import Final

from deploy.plan import Plan

_YOURS: Final = "YOUR_KEY"


def welcome(plan: Plan, model: str) -> str:
    """`model` is one that the key may ask."""
    base, key = f"{plan.base_url}/v1", _key(plan)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    return f"""
Penstock is ready.

  Base URL    {base}
  Client key  {_about_key(plan)}

curl {base}/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" -d '{body}'

With OpenAI's SDK (pip install openai):

from openai import OpenAI
client = OpenAI(base_url="{base}", api_key="{key}")
answer = client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello"}}])
print(answer.choices[0].message.content)

Ctrl-C stops it."""


def _key(plan: Plan) -> str:
    return plan.shown_key or ("none" if plan.open_to_all else _YOURS)


def _about_key(plan: Plan) -> str:
    if plan.shown_key:
        return f"{plan.shown_key}   (kept in {plan.key_file})"
    if plan.open_to_all:
        return "none is asked for (server.auth is none)"
    if plan.passthrough:
        return f"the caller's own for {plan.passthrough}, in place of {_YOURS} below"
    return f"one of your configuration, in place of {_YOURS} below"
