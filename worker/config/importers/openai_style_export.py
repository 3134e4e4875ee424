"""The way back: providers, routes and keys that came from a model-config.json as its entries again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.config.overlay import Data, Section, listed

Entry = dict[str, Any]
_NAME: Final = re.compile(r"(.+)-(\d+)")
_ROUTER, _NAMES = "router", "model-name-router"


@dataclass(frozen=True, slots=True)
class _Form:
    """Where the type's config has what the provider has. `model` is the config's key of the one model, `renames` the
    keys of options with another name here, and `spark_scale` says that its temperature is half of OpenAI's.
    """

    account: tuple[str, ...] = ("api_key",)
    address: str | None = None
    model: str | None = "model"
    options: tuple[str, ...] = ()
    proxy: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    spark_scale: bool = False


_OPENAI = _Form(address="api_base")
_FORMS: Final[Mapping[str, _Form]] = {
    "openai": _OPENAI,
    "proxy": _OPENAI,
    "azure": _Form(address="api_base", model="deployment_id", options=("api_version",)),
    "claude": _Form(renames={"version": "anthropic-version"}),
    "claude-web": _Form(
        ("cookie",), model=None, options=("prompt", "single_conversation", "conversation_id"), proxy="proxies"
    ),
    "zhipu-api": _Form(),
    "xunfei-spark-api": _Form(
        ("app_id", "api_key", "api_secret"),
        model="api_model_version",
        options=("prompt", "uid", "chat_id"),
        spark_scale=True,
    ),
    "gemini": _Form(model=None, proxy="proxies"),
    "bing-sydney": _Form(("cookie",), model=None, options=("style",), proxy="proxy"),
    "qwen": _Form(),
    "skylark": _Form(),
}


def entries_of(data: Data) -> dict[int, Entry]:
    """`{"token", "type", "config"}` by its number in the list, from 1."""
    tokens: dict[str, str] = {}
    named: dict[int, tuple[str, Entry]] = {}
    for name, key in listed(data, "keys"):
        found, target = _NAME.fullmatch(name), (key.get("model_map") or {}).get("*")
        if found and target and found[1] in {*_FORMS, _ROUTER, _NAMES}:
            tokens[target] = key["key"]
            named[int(found[2])] = (target, {"token": key["key"], "type": found[1]})
    providers = dict(listed(data, "providers"))
    routes = dict(listed(data, "models"))
    for target, entry in named.values():
        entry["config"] = _config(entry["type"], target, providers, routes, tokens)
    return {number: named[number][1] for number in sorted(named)}


def next_number(data: Data) -> int:
    """One that no name ends in."""
    sections: tuple[Section, ...] = ("providers", "keys", "models")
    names = [name for section in sections for name, _ in listed(data, section)]
    return 1 + max((int(found[2]) for name in names if (found := _NAME.fullmatch(name.partition("/")[0]))), default=0)


def _config(
    type_name: str, target: str, providers: Mapping[str, Any], routes: Mapping[str, Any], tokens: Mapping[str, str]
) -> Entry:
    name = target.partition("/")[0]
    if type_name == _ROUTER:
        route = routes.get(target) or {}
        pool = [tokens[found] for found in map(_model, route.get("targets") or ()) if found in tokens]
        return {"router_strategy": route.get("strategy", "round-robin"), "token_pool": pool}
    if type_name == _NAMES:
        return {"model-2-token": _name_map(name, routes, tokens)}
    return _of_provider(_FORMS[type_name], providers.get(name) or {})


def _name_map(name: str, routes: Mapping[str, Any], tokens: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, route in routes.items():
        owner, _, model = place.partition("/")
        if owner != name or model == "*":
            continue
        used = _model(route["targets"][0])
        token = next((token for target, token in tokens.items() if target.replace("*", model) == used), None)
        if token is not None:
            found[model] = token
    return found


def _model(target: Any) -> str:
    return str(target["model"] if isinstance(target, dict) else target)


def _of_provider(form: _Form, provider: Mapping[str, Any]) -> Entry:
    account = (provider.get("credentials") or [{}])[0]
    config: Entry = {field: account[field] for field in form.account if field in account}
    if form.address:
        config[form.address] = f"{provider.get('base_url', '')}/"
    model = (provider.get("models") or ["*"])[0]
    if form.model and model != "*":
        config[form.model] = model
    config |= {option: provider[option] for option in form.options if option in provider}
    config |= {old: provider[new] for new, old in form.renames.items() if new in provider}
    if form.proxy and provider.get("proxy"):
        config[form.proxy] = {"https": provider["proxy"]} if form.proxy == "proxies" else provider["proxy"]
    defaults = dict(provider.get("defaults") or {})
    if "max_tokens" in defaults:
        defaults["max_length"] = defaults.pop("max_tokens")
    overrides = dict(provider.get("overrides") or {})
    if form.spark_scale and "temperature" in overrides:
        overrides["temperature"] /= 2
    return config | defaults | overrides
