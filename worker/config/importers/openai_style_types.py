"""The provider types of openai-style-api. Each function adds a provider and returns the target that reaches it.

A target ends in `*` where the entry fixes no model: the client's own is passed on.
"""

from collections.abc import Callable, Mapping
from typing import Any

from worker.config.importers.contract import Draft
from worker.config.importers.retired import current
from worker.providers.registry import providers

Config = Mapping[str, Any]
Convert = Callable[[Draft, str, Config], str | None]
_SPARK_OPTIONS = ("prompt", "uid", "chat_id")
_STYLES = ("creative", "balanced", "precise")
# What its adapter let through of a request and of the entry's own fields.
_AZURE_FIELDS = (
    *("temperature", "n", "stop", "max_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "user"),
    *("function_call", "functions"),
)
_ZHIPU_FIELDS = ("temperature", "top_p")
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "azure": ("api_base", "api_key"),
    "claude-web": ("cookie",),
    "bing-sydney": ("cookie",),
    "xunfei-spark-api": ("app_id", "api_key", "api_secret"),
}
_ARK_MODEL = "doubao-seed-1-6-251015"


def missing(type_name: str, config: Config) -> list[str]:
    """The fields without which an entry could not answer."""
    return [field for field in _NEEDED.get(type_name, ("api_key",)) if not config.get(field)]


def compatible_type(address: str) -> str:
    """The type whose own address this is, else openai-compatible."""
    known = (kind.type_name for kind in providers().values() if (kind.default_base_url or "") == address)
    return next(known, "openai-compatible")


def _openai(draft: Draft, name: str, config: Config) -> str:
    address = str(config.get("api_base") or "https://api.openai.com/v1").rstrip("/")
    overrides = _rest(config, "api_key", "api_base", "model")
    account = {"name": "main", "api_key": config.get("api_key")}
    model = config.get("model")
    type_name = compatible_type(address)
    where = draft.provider(name, type_name, [account], base_url=address, models=[model or "*"], overrides=overrides)
    return f"{where}/{model or '*'}"


def _azure(draft: Draft, name: str, config: Config) -> str:
    model = config.get("deployment_id") or "*"
    own = ("api_key", "api_base", "api_version", "deployment_id")
    draft.left_over(config, (*own, *_AZURE_FIELDS), name, "had no effect there")
    where = draft.provider(
        name,
        "azure-openai",
        [{"name": "main", "api_key": config.get("api_key")}],
        base_url=str(config.get("api_base") or "").rstrip("/"),
        api_version=config.get("api_version"),
        models=[model],
        overrides=_only(config, *_AZURE_FIELDS),
    )
    return f"{where}/{model}"


def _claude(draft: Draft, name: str, config: Config) -> str:
    draft.note(f"{name}: its adapter did not work there; it is an anthropic provider here")
    draft.left_over(config, ("api_key", "anthropic-version", "model"), name)
    account, version = {"api_key": config.get("api_key")}, config.get("anthropic-version")
    return _plain(draft, name, "anthropic", account, config.get("model"), version=version)


def _claude_web(draft: Draft, name: str, config: Config) -> str:
    single = bool(config.get("single_conversation"))
    options = {"prompt": config.get("prompt"), "single_conversation": single or None}
    if single:
        options["conversation_id"] = config.get("conversation_id")
    draft.left_over(
        config, ("cookie", "proxies", "prompt", "single_conversation", "conversation_id"), name, "had no effect"
    )
    account = {"cookie": config.get("cookie")}
    return _plain(draft, name, "claude-web", account, "default", proxy=_proxy(config), **options)


def _zhipu(draft: Draft, name: str, config: Config) -> str:
    if config.get("prompt"):
        draft.note(f"{name}: prompt was left out, because the model takes system messages now")
    draft.left_over(config, ("api_key", "model", "prompt", *_ZHIPU_FIELDS), name, "had no effect there")
    account, overrides = {"api_key": config.get("api_key")}, _only(config, *_ZHIPU_FIELDS)
    return _plain(draft, name, "zhipu", account, config.get("model"), overrides=overrides)


def _spark(draft: Draft, name: str, config: Config) -> str:
    account = {key: config.get(key) for key in ("app_id", "api_key", "api_secret")}
    overrides = _rest(config, *account, "api_model_version", *_SPARK_OPTIONS)
    if isinstance(overrides.get("temperature"), int | float):
        overrides["temperature"] *= 2  # it was sent as it stood; here it is OpenAI's, of which half is sent
    options = {key: config.get(key) for key in _SPARK_OPTIONS}
    version = config.get("api_model_version") or "v3.5"
    if "max_tokens" not in config:
        draft.note(
            f"{name}: its limit of 1024 tokens to an answer was left out; set defaults.max_tokens if you want it"
        )
    return _plain(draft, name, "spark", account, version, overrides=overrides, **options)


def _gemini(draft: Draft, name: str, config: Config) -> str:
    draft.left_over(config, ("api_key", "proxies"), name, "had no effect, or has no counterpart,")
    return _plain(draft, name, "gemini", {"api_key": config.get("api_key")}, "gemini-pro", proxy=_proxy(config))


def _bing(draft: Draft, name: str, config: Config) -> str:
    style = config.get("style") or "balanced"
    if style not in _STYLES:
        draft.note(f"{name}: its style is none of {', '.join(_STYLES)}; balanced is used")
        style = "balanced"
    draft.left_over(config, ("cookie", "style", "proxy", "proxies"), name, "had no effect there")
    account = {"cookie": config.get("cookie")}
    return _plain(draft, name, "bing-sydney", account, f"bing-{style}", proxy=_proxy(config), style=style)


def _qwen(draft: Draft, name: str, config: Config) -> str:
    account, overrides = {"api_key": config.get("api_key")}, _rest(config, "api_key", "model")
    if overrides and not {"temperature", "top_p"} <= overrides.keys():
        draft.note(
            f"{name}: its own fields replaced temperature and top_p of requests; now each wins over its like alone"
        )
    return _plain(draft, name, "dashscope", account, config.get("model"), overrides=overrides)


def _skylark(draft: Draft, name: str, config: Config) -> str | None:
    key = str(config.get("api_key") or "")
    if ":" in key or not key:
        draft.note(f"{name}: its API is shut down and AK:SK pairs do not work on Ark: make an Ark API key and add it")
        return None
    draft.left_over(config, ("api_key", "model", "temperature", "max_length"), name, "had no effect there")
    draft.note(f"{name}: {config.get('model')} is retired; {_ARK_MODEL} on Ark answers in its place")
    defaults = {"temperature": config.get("temperature"), "max_tokens": config.get("max_length")}
    filled = {field: value for field, value in defaults.items() if value}
    return _plain(draft, name, "skylark", {"api_key": key}, _ARK_MODEL, defaults=filled)


def _plain(draft: Draft, name: str, type_name: str, account: Mapping[str, Any], model: str | None, **more: Any) -> str:
    """A dialect that drops what it cannot do, as its adapter did there."""
    found = current(draft, type_name, model, name) if model else "*"
    where = draft.provider(name, type_name, [{"name": "main", **account}], models=[found], drop_params=True, **more)
    return f"{where}/{found}"


def _rest(config: Config, *known: str) -> dict[str, Any]:
    """Whatever is no setting of the type wins over the client's request."""
    return {key: value for key, value in config.items() if key not in known}


def _only(config: Config, *wanted: str) -> dict[str, Any]:
    return {key: config[key] for key in wanted if key in config}


def _proxy(config: Config) -> str | None:
    proxies = config.get("proxies") or {}
    found: str | None = config.get("proxy") or proxies.get("https") or proxies.get("http")
    return found


TYPES: Mapping[str, Convert] = {
    "openai": _openai,
    "proxy": _openai,
    "azure": _azure,
    "claude": _claude,
    "claude-web": _claude_web,
    "zhipu-api": _zhipu,
    "xunfei-spark-api": _spark,
    "gemini": _gemini,
    "bing-sydney": _bing,
    "qwen": _qwen,
    "skylark": _skylark,
}
