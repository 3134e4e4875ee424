"""Go OAI Gateway: `config.yaml` with weighted endpoints."""

from collections.abc import Mapping
from typing import Any

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.source import Source
from worker.config.service import is_loopback


def recognises(source: Source) -> bool:
    return source.yaml is not None and isinstance(source.yaml.get("endpoints"), list)


def convert(source: Source) -> Imported:
    data: Mapping[str, Any] = source.yaml or {}
    server, routing = data.get("server") or {}, data.get("routing") or {}
    draft = Draft(server.get("host") or "127.0.0.1", server.get("port") or 8080)
    draft.left_over(data, ("server", "endpoints", "routing"), "config.yaml")
    draft.left_over(server, ("host", "port"), "server")
    draft.left_over(routing, ("mode", "model_overrides"), "routing")
    if is_loopback(draft.server["host"]):
        draft.server["auth"] = "none"
        draft.note("no client key is asked for, as before, because only this machine can reach the address")
    names = {str(endpoint.get("name")): _endpoint(draft, endpoint) for endpoint in data["endpoints"]}
    mode = routing.get("mode") or "merge"
    draft.more["routing"] = {"mode": mode, "strategy": "weighted"}
    overrides = routing.get("model_overrides") or {}
    if mode == "prefix" and overrides:
        draft.note("routing.model_overrides: has no effect in prefix mode and was left out")
        return draft.done()
    for model, targets in overrides.items():
        _override(draft, str(model), targets or [], names)
    return draft.done()


def _endpoint(draft: Draft, endpoint: Mapping[str, Any]) -> str:
    name = str(endpoint.get("name") or "endpoint")
    draft.left_over(endpoint, ("name", "base_url", "api_key", "weight"), f"endpoint {name}")
    account = {"name": "main", "api_key": endpoint.get("api_key")}
    unique = draft.provider(
        name, "openai-compatible", [account], base_url=endpoint.get("base_url"), weight=endpoint.get("weight", 1)
    )
    if unique != name:
        draft.note(f"endpoint {name}: is called {unique} here")
    return unique


def _override(draft: Draft, model: str, targets: list[Any], names: Mapping[str, str]) -> None:
    weights = {entry["name"]: entry.get("weight", 1) for entry in draft.providers}
    found: list[dict[str, Any]] = []
    for target in targets:
        endpoint, _, upstream = str(target).partition("/")
        if endpoint not in names:
            draft.note(f"routing.model_overrides.{model}: {target} names no endpoint and was left out")
            continue
        found.append({"model": f"{names[endpoint]}/{upstream}", "weight": weights[names[endpoint]]})
    if found:
        draft.models[model] = {"targets": found}


IMPORTER = Importer("Go OAI Gateway", recognises, convert)
