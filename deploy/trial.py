"""The test client: asks a gateway what a user would ask, and says what it saw."""

import getpass
import json
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_TIMEOUT_S: Final = 120
_UNAUTHENTICATED: Final = 401
_MOST_SHOWN: Final = 8


class Failed(Exception):
    """One step did not work; the message is the gateway's own where it sent one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Trial:
    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.key = key

    def health(self) -> str:
        answer = self._json("/health")
        return str(answer.get("status", answer))

    def models(self) -> list[str]:
        """The models that the key may use; asks for a key where the gateway wants another."""
        try:
            answer = self._json("/v1/models")
        except Failed as failure:
            if failure.status != _UNAUTHENTICATED or not sys.stdin.isatty():
                raise
            self.key = getpass.getpass("Client key: ").strip()
            answer = self._json("/v1/models")
        return [str(model["id"]) for model in answer["data"]]

    def chat(self, model: str, prompt: str) -> str:
        answer = self._json("/v1/chat/completions", _question(model, prompt))
        return str(answer["choices"][0]["message"]["content"])

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        """The pieces of a streamed answer. Raises Failed where it ends without `[DONE]`."""
        with self._open("/v1/chat/completions", _question(model, prompt) | {"stream": True}) as response:
            for line in response:
                data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                if data == b"[DONE]":
                    return
                if data:
                    yield from _pieces(json.loads(data))
        raise Failed("the stream ended before it was complete")

    def _json(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._open(path, body) as response:
            try:
                answer = json.load(response)
            except ValueError:
                answer = None
        if not isinstance(answer, dict):
            raise Failed(f"{self.url}{path} does not answer with JSON: is this Penstock?")
        return answer

    def _open(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        data = json.dumps(body).encode() if body is not None else None
        try:
            return urlopen(Request(self.url + path, data, headers), timeout=_TIMEOUT_S)  # noqa: S310  the user's own URL
        except HTTPError as error:
            raise Failed(_message(error), error.code) from None
        except (HTTPException, OSError, ValueError) as error:
            raise Failed(f"{self.url} cannot be reached: {error}") from None


def run(url: str, key: str | None, model: str | None, prompt: str) -> int:
    """The exit status: 0 where everything worked."""
    trial = Trial(url, key)
    try:
        _say("health", trial.health())
        names = trial.models()
        _say("models", f"{len(names)}: {', '.join(names[:_MOST_SHOWN])}{', ...' if len(names) > _MOST_SHOWN else ''}")
        chosen = model or _pick(names)
        _say("chat", f"{chosen}: {trial.chat(chosen, prompt)}")
        _stream(trial, chosen, prompt)
    except Failed as failure:
        sys.stdout.write(f"failed   {failure}\n")
        return 1
    sys.stdout.write(_examples(trial, chosen))
    return 0


def _pick(names: list[str]) -> str:
    """`echo` costs nothing."""
    if not names:
        raise Failed("there is no model; add a provider to penstock.yaml, or set a variable such as OPENAI_API_KEY")
    return "echo" if "echo" in names else names[0]


def _stream(trial: Trial, model: str, prompt: str) -> None:
    started_s = time.monotonic()
    sys.stdout.write(f"stream   {model}: ")
    first_s = None
    for piece in trial.stream(model, prompt):
        first_s = first_s or time.monotonic() - started_s
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write(f"\n         first token after {(first_s or 0) * 1000:.0f} ms\n")


def _say(step: str, text: str) -> None:
    sys.stdout.write(f"{step:8} {text}\n")
    sys.stdout.flush()


def _question(model: str, prompt: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}]}


def _pieces(chunk: dict[str, Any]) -> Iterator[str]:
    if "error" in chunk:
        raise Failed(str(chunk["error"].get("message", chunk["error"])))
    for choice in chunk.get("choices", ()):
        piece = choice.get("delta", {}).get("content")
        if piece:
            yield piece


def _message(error: HTTPError) -> str:
    try:
        return f"{error.code}: {json.load(error)['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"


def _examples(trial: Trial, model: str) -> str:
    base, body = f"{trial.url}/v1", json.dumps(_question(model, "Hello") | {"stream": True})
    return f"""
Everything works. From elsewhere, with your key in PENSTOCK_KEY:

curl -N {base}/chat/completions -H "Authorization: Bearer $PENSTOCK_KEY" -H "Content-Type: application/json" -d '{body}'

export OPENAI_BASE_URL={base} OPENAI_API_KEY=$PENSTOCK_KEY
python -c 'from openai import OpenAI
messages = [{{"role": "user", "content": "Hello"}}]
for chunk in OpenAI().chat.completions.create(model="{model}", messages=messages, stream=True):
    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="")'
"""
