"""one-api: its channels as JSON, from its administration API or a dump of its table.

Channel types: `relay/channeltype/define.go` of songquanpeng/one-api.
"""

import json
from collections.abc import Mapping
from typing import Any

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.source import Source
from worker.providers.registry import providers

_ENABLED = 1
# one-api adds the version itself, so its addresses end before it.
_TYPES = {
    1: ("openai", "/v1"),
    3: ("azure-openai", ""),
    8: ("openai-compatible", "/v1"),
    14: ("anthropic", "/v1"),
    15: ("qianfan", ""),
    16: ("zhipu", "/api/paas/v4"),
    17: ("dashscope", ""),
    18: ("spark", ""),
    20: ("openrouter", "/v1"),
    24: ("gemini", "/v1beta"),
    25: ("moonshot", "/v1"),
    28: ("mistral", "/v1"),
    29: ("groq", "/v1"),
    30: ("ollama", "/v1"),
    36: ("deepseek", "/v1"),
    39: ("together", "/v1"),
    40: ("ark", "/api/v3"),
}
_KNOWN_ADDRESSES = {
    19: "https://ai.360.cn/v1",
    26: "https://api.baichuan-ai.com/v1",
    31: "https://api.lingyiwanwu.com/v1",
    32: "https://api.stepfun.com/v1",
    41: "https://api.novita.ai/v3/openai",
}


def _channels(source: Source) -> list[dict[str, Any]]:
    data = source.json
    for step in ("data", "items"):
        data = data.get(step, data) if isinstance(data, dict) else data
    found = data if isinstance(data, list) else []
    return [entry for entry in found if isinstance(entry, dict) and {"type", "models"} <= entry.keys()]


def recognises(source: Source) -> bool:
    return any(isinstance(channel["type"], int) for channel in _channels(source))


def convert(source: Source) -> Imported:
    draft = Draft("0.0.0.0", 3000)  # noqa: S104  its own default
    ranks: dict[str, list[tuple[int, str, int]]] = {}
    for channel in _channels(source):
        _channel(draft, channel, ranks)
    for model, places in ranks.items():
        _by_priority(draft, model, places)
    draft.note("its users, tokens, quotas and groups are not part of a channel export; add client keys under keys")
    return draft.done()


def _channel(draft: Draft, channel: Mapping[str, Any], ranks: dict[str, list[tuple[int, str, int]]]) -> None:
    name = str(channel.get("name") or f"channel-{channel.get('id')}")
    number = channel["type"]
    type_name, ending = _TYPES.get(number, ("openai-compatible", ""))
    address = str(channel.get("base_url") or "").rstrip("/")
    address = address + ending if address else _KNOWN_ADDRESSES.get(number, "")
    accounts = _accounts(draft, name, type_name, str(channel.get("key") or ""))
    if not accounts or (providers()[type_name].default_base_url is None and not address):
        draft.note(f"channel {name}: type {number} has no counterpart, or it has no key or address; it was left out")
        return
    models = [model.strip() for model in str(channel["models"]).split(",") if model.strip()]
    weight = channel.get("weight") or 1
    unique = draft.provider(
        name,
        type_name,
        accounts,
        base_url=address,
        models=models,
        model_map=_mapping(draft, name, channel.get("model_mapping")),
        weight=None if weight == 1 else weight,
        disabled=channel.get("status", _ENABLED) != _ENABLED or None,
        api_version=channel.get("other") if type_name == "azure-openai" else None,
    )
    if channel.get("group") not in (None, "", "default"):
        draft.note(f"channel {name}: its group was left out; say under keys which models a key may use")
    for model in models:
        ranks.setdefault(model, []).append((channel.get("priority") or 0, f"{unique}/{model}", weight))


def _accounts(draft: Draft, name: str, type_name: str, key: str) -> list[dict[str, Any]]:
    """Several keys stand in several lines; Spark's and the old ERNIE's are joined with `|`."""
    accounts: list[dict[str, Any]] = []
    for number, line in enumerate((line.strip() for line in key.splitlines() if line.strip()), start=1):
        parts = line.split("|")
        if type_name == "spark" and len(parts) == len(("app_id", "api_secret", "api_key")):
            values = dict(zip(("app_id", "api_secret", "api_key"), parts, strict=True))
        elif type_name == "qianfan" and len(parts) > 1:
            draft.note(f"channel {name}: an API key with its secret key works no more; make a bearer key and add it")
            continue
        else:
            values = {"api_key": line}
        accounts.append({"name": str(number), **values})
    return accounts


def _mapping(draft: Draft, name: str, text: Any) -> dict[str, str]:
    try:
        found = json.loads(text) if isinstance(text, str) and text.strip() else text or {}
    except ValueError:
        found = None
    if isinstance(found, dict):
        return {str(asked): str(used) for asked, used in found.items()}
    draft.note(f"channel {name}: its model_mapping is no JSON object and was left out")
    return {}


def _by_priority(draft: Draft, model: str, places: list[tuple[int, str, int]]) -> None:
    """Equal priorities share by weight, as merged models do without a route; else the higher one goes first."""
    if len({priority for priority, _, _ in places}) == 1:
        return
    groups: dict[int, list[dict[str, Any]]] = {}
    for priority, target, weight in places:
        groups.setdefault(priority, []).append({"model": target, "weight": weight})
    order = sorted(groups, reverse=True)
    for rank in order:
        if len(groups[rank]) > 1:
            draft.models[f"{model}@priority-{rank}"] = {"targets": groups[rank]}
    targets = [groups[rank][0]["model"] if len(groups[rank]) == 1 else f"{model}@priority-{rank}" for rank in order]
    draft.models[model] = {"strategy": "priority", "targets": targets}


IMPORTER = Importer("one-api", recognises, convert)
