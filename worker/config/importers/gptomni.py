"""gptomni-2api: its `.env`."""

import json
from typing import Any

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.source import Source

_KNOWN = (
    "GPTOMNI_CREDENTIALS",
    "API_MASTER_KEY",
    "NGINX_PORT",
    "API_REQUEST_TIMEOUT",
    "DEFAULT_MODEL",
    "KNOWN_MODELS",
)
_MODEL = "gptomni"


def recognises(source: Source) -> bool:
    return "GPTOMNI_CREDENTIALS" in source.env


def convert(source: Source) -> Imported:
    env = source.env
    draft = Draft("0.0.0.0", _number(env.get("NGINX_PORT"), 8088))  # noqa: S104  its own default
    draft.left_over(env, _KNOWN, ".env")
    cookies = _list(draft, env, "GPTOMNI_CREDENTIALS")
    timeout_s = _number(env.get("API_REQUEST_TIMEOUT"), 0)
    draft.provider(
        _MODEL,
        "gptomni",
        [{"name": str(number), "cookie": cookie} for number, cookie in enumerate(cookies, start=1)],
        models=[_MODEL],
        drop_params=True,
        timeouts={"first_token_s": timeout_s, "between_chunks_s": timeout_s} if timeout_s else {},
    )
    for name in _list(draft, env, "KNOWN_MODELS"):
        if name != _MODEL:
            draft.models[name] = f"{_MODEL}/{_MODEL}"
    draft.models["*"] = f"{_MODEL}/{_MODEL}"
    draft.more["routing"] = {"strategy": "round-robin"}
    key, default = env.get("API_MASTER_KEY", ""), env.get("DEFAULT_MODEL") or _MODEL
    if key not in {"", "1"}:
        draft.keys.append({"name": "master", "key": key, "default_model": default})
    else:
        draft.note(f"requests must name a model, for it had no key to set one for: give yours default_model: {default}")
    draft.note("its fixed limit of two requests a minute for all accounts was left out; set limits.rpm if you want one")
    draft.note("the whole dialogue is sent, not the last message alone; set last_message_only: true for the old way")
    return draft.done()


def _list(draft: Draft, env: dict[str, str], name: str) -> list[str]:
    try:
        found: Any = json.loads(env.get(name) or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list):
        draft.note(f"{name}: is no JSON list and was left out")
        return []
    return [str(item) for item in found]


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.strip().isdecimal() else default


IMPORTER = Importer("gptomni-2api", recognises, convert)
