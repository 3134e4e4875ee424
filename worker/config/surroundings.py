"""What the environment adds to the configuration: client keys, the administration key, providers without a file."""

from collections.abc import Mapping
from typing import Any

from worker.config.problems import Problem, unknown
from worker.providers.contract import Status
from worker.providers.registry import providers


def implied(environ: Mapping[str, str]) -> dict[str, Any]:
    """The configuration without a file: `echo`, and every official provider whose usual variable is set."""
    entries: list[dict[str, Any]] = []
    for name, kind in providers().items():
        variable = kind.environment_variable
        wanted = [field.name for field in kind.credential_fields if field.required]
        if name == "echo":
            entries.append({"name": name, "type": name})
        elif variable and environ.get(variable) and len(wanted) == 1 and kind.status is Status.OFFICIAL:
            entries.append(
                {"name": name, "type": name, "credentials": [{"name": variable, wanted[0]: environ[variable]}]}
            )
    return {"providers": entries}


def for_callers(type_name: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """The configuration of a gateway that passes each caller's own key on to one provider, e.g. dashscope.

    It holds no secret that a browser's page could use, so pages of all origins may call it.
    """
    kind = providers().get(type_name)
    if kind is None:
        return {}, [Problem(("passthrough",), unknown(type_name, providers(), "provider type"))]
    entry: dict[str, Any] = {"name": type_name, "type": type_name}
    address = environ.get(f"{type_name.upper().replace('-', '_')}_BASE_URL")
    if address:
        entry["base_url"] = address
    server = {"cors_origins": ["*"]}
    return {"server": server, "providers": [entry], "passthrough": {"provider": type_name}}, []


def add_keys(data: dict[str, Any], environ: Mapping[str, str]) -> list[Problem]:
    """Adds the client keys of PENSTOCK_KEYS and the administration key of PENSTOCK_MASTER_KEY to raw `data`."""
    texts = [text.strip() for text in environ.get("PENSTOCK_KEYS", "").split(",") if text.strip()]
    present = data.get("keys")
    if texts and isinstance(present, list | None):
        ready = {entry.get("key") for entry in present or () if isinstance(entry, dict)}
        data["keys"] = [*(present or ()), *_entries(texts, ready)]
    admin = data.get("admin")
    master = _master_key(environ, admin)
    if master and isinstance(admin, dict | None) and not (admin or {}).get("key"):
        data["admin"] = {**(admin or {}), "key": master}
    return []


def _entries(texts: list[str], ready: set[Any]) -> list[dict[str, str]]:
    new = [text for text in dict.fromkeys(texts) if text not in ready]
    return [{"name": f"PENSTOCK_KEYS-{i}", "key": text} for i, text in enumerate(new, start=1)]


def _master_key(environ: Mapping[str, str], admin: Any) -> str | None:
    names = ["PENSTOCK_MASTER_KEY"]
    if isinstance(admin, dict) and admin.get("openai_style_api"):
        names += ["ADMIN-TOKEN", "ADMIN_TOKEN"]  # what openai-style-api reads
    return next((environ[name] for name in names if environ.get(name)), None)
