"""LiteLLM's proxy: `config.yaml`. Settings: docs.litellm.ai/docs/proxy/config_settings."""

from collections.abc import Mapping
from typing import Any

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.litellm_models import Deployments, literal
from worker.config.importers.source import Source

_STRATEGIES = {
    "simple-shuffle": "weighted",
    "least-busy": "least-busy",
    "usage-based-routing": "least-busy",
    "usage-based-routing-v2": "least-busy",
    "latency-based-routing": "least-busy",
    "cost-based-routing": "weighted",
}
_EXACT = ("simple-shuffle", "least-busy")
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks")
_SETTINGS = ("drop_params", "num_retries", "request_timeout", "timeout", *_FALLBACKS)
_ROUTER = (*_SETTINGS, "routing_strategy", "model_group_alias")
# These tell LiteLLM where its Redis is; ours stands under redis.
_REDIS = ("redis_host", "redis_port", "redis_password", "redis_url")


def recognises(source: Source) -> bool:
    data = source.yaml or {}
    return isinstance(data.get("model_list"), list) or bool({"litellm_settings", "router_settings"} & data.keys())


def convert(source: Source) -> Imported:
    data: Mapping[str, Any] = source.yaml or {}
    draft = Draft("0.0.0.0", 4000)  # noqa: S104  its own default
    router, library = data.get("router_settings") or {}, data.get("litellm_settings") or {}
    general = data.get("general_settings") or {}
    draft.left_over(
        data,
        ("model_list", "router_settings", "litellm_settings", "general_settings"),
        "config.yaml",
        "has no counterpart",
    )
    draft.left_over(router, (*_ROUTER, *_REDIS), "router_settings", "has no counterpart")
    draft.left_over(library, _SETTINGS, "litellm_settings", "has no counterpart")
    draft.left_over(general, ("master_key",), "general_settings", "has no counterpart")
    settings = {**library, **router}
    deployments = Deployments(draft, settings)
    for entry in data.get("model_list") or []:
        deployments.add(entry)
    deployments.write_routes()
    _aliases(draft, settings)
    _fallbacks(draft, settings)
    draft.more["routing"] = _routing(draft, settings)
    if general.get("master_key"):
        draft.keys.append({"name": "master", "key": literal(general["master_key"])})
        draft.note("general_settings.master_key: is a client key for every model; set admin.key for administration")
    return draft.done()


def _routing(draft: Draft, settings: Mapping[str, Any]) -> dict[str, Any]:
    wanted = settings.get("routing_strategy", "simple-shuffle")
    strategy = _STRATEGIES.get(wanted, "weighted")
    if wanted not in _EXACT:
        draft.note(f"router_settings.routing_strategy: {wanted} has no exact counterpart; {strategy} is used")
    routing: dict[str, Any] = {"mode": "prefix", "strategy": strategy}
    if isinstance(settings.get("num_retries"), int):
        routing["retries"] = {"attempts": settings["num_retries"] + 1}
    return routing


def _aliases(draft: Draft, settings: Mapping[str, Any]) -> None:
    for alias, model in (settings.get("model_group_alias") or {}).items():
        draft.models[alias] = model.get("model") if isinstance(model, dict) else model


def _fallbacks(draft: Draft, settings: Mapping[str, Any]) -> None:
    """All kinds of fallbacks are one list here; which causes lead to it is `routing.retries.fallback`."""
    for kind in _FALLBACKS[:3]:
        for pairs in settings.get(kind) or []:
            for model, names in pairs.items():
                _add_fallbacks(draft, model, names, kind)
    for model in list(draft.models) if settings.get("default_fallbacks") else []:
        _add_fallbacks(draft, model, settings["default_fallbacks"], "default_fallbacks")


def _add_fallbacks(draft: Draft, model: str, names: list[str], kind: str) -> None:
    route = draft.models.get(model)
    if not isinstance(route, dict):
        draft.note(f"{kind}: {model} is no model of the list, and its fallbacks were left out")
        return
    present = route.setdefault("fallbacks", [])
    present += [name for name in names if name not in present and name != model]


IMPORTER = Importer("LiteLLM", recognises, convert)
