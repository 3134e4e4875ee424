"""one-api: its channels as JSON, from its administration API or a dump of its table.

Channel types and addresses: `relay/channeltype/{define,url}.go` of songquanpeng/one-api, and what its adaptors add to
an address.
"""

import json
from collections.abc import Mapping
from typing import Any

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.retired import ernie
from worker.config.importers.source import Source
from worker.providers.registry import providers

_ENABLED = 1
# one-api adds the version itself, so its addresses end before it.
_TYPES = {
    1: ("openai", "/v1"),
    3: ("azure-openai", ""),
    8: ("openai-compatible", "/v1"),
    14: ("anthropic", "/v1"),
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
    44: ("siliconflow", "/v1"),
    45: ("xai", "/v1"),
    47: ("qianfan", "/v2"),
    48: ("spark", ""),
    49: ("dashscope", ""),
}
_OLD_ERNIE = 15
_KNOWN_ADDRESSES = {
    19: "https://ai.360.cn/v1",
    26: "https://api.baichuan-ai.com/v1",
    27: "https://api.minimax.chat/v1",
    31: "https://api.lingyiwanwu.com/v1",
    32: "https://api.stepfun.com/v1",
    41: "https://api.novita.ai/v3/openai",
    51: "https://generativelanguage.googleapis.com/v1beta/openai",
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
    if number == _OLD_ERNIE:
        _old_ernie(draft, name, channel)
        return
    type_name, ending = _TYPES.get(number, ("openai-compatible", ""))
    address = str(channel.get("base_url") or "").rstrip("/")
    address = address + ending if address else _KNOWN_ADDRESSES.get(number, "")
    accounts = _accounts(type_name, str(channel.get("key") or ""))
    if not accounts or (providers()[type_name].default_base_url is None and not address):
        draft.note(f"channel {name}: type {number} has no counterpart, or it has no key or address; it was left out")
        return
    models = _models(channel)
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


def _models(channel: Mapping[str, Any]) -> list[str]:
    return [model.strip() for model in str(channel["models"]).split(",") if model.strip()]


def _old_ernie(draft: Draft, name: str, channel: Mapping[str, Any]) -> None:
    """The interface of access tokens, which has ended: its models by the names that clients know, without its keys."""
    mapping = _mapping(draft, name, channel.get("model_mapping"))
    found = {model: ernie(mapping.get(model, model)) for model in _models(channel)}
    ended = ", ".join(model for model, id_ in found.items() if id_ is None)
    if ended:
        draft.note(f"channel {name}: {ended} ended with ERNIE's old interface and were left out")
    map_ = {model: id_ for model, id_ in found.items() if id_ is not None}
    unique = draft.provider(name, "qianfan", [], models=list(map_), model_map=map_, disabled=True)
    draft.note(
        f"channel {name}: an API key with its secret key works no more; {unique} is disabled until you give it a "
        "bearer key (bce-v3/ALTAK-...) under credentials and take disabled away"
    )


def _accounts(type_name: str, key: str) -> list[dict[str, Any]]:
    """Several keys stand in several lines; Spark's are joined with `|`, or are an APIPassword for HTTP."""
    accounts: list[dict[str, Any]] = []
    lines = (line.strip() for line in key.splitlines() if line.strip())
    for number, line in enumerate(lines, start=1):
        parts = line.split("|")
        if type_name == "spark" and len(parts) == len(("app_id", "api_secret", "api_key")):
            values = dict(zip(("app_id", "api_secret", "api_key"), parts, strict=True))
        elif type_name == "spark":
            values = {"api_password": line}
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
