"""LiteLLM's `model_list`: deployments become providers, one for each account, and targets of routes."""

from collections.abc import Mapping
from typing import Any

from worker.config.importers.contract import Draft, Variable
from worker.providers.registry import providers

# LiteLLM's prefix -> our type, and the variable that LiteLLM reads where the entry has no key.
_PREFIXES = {
    "openai": ("openai", "OPENAI_API_KEY"),
    "text-completion-openai": ("openai", "OPENAI_API_KEY"),
    "azure": ("azure-openai", "AZURE_API_KEY"),
    "anthropic": ("anthropic", "ANTHROPIC_API_KEY"),
    "gemini": ("gemini", "GEMINI_API_KEY"),
    "dashscope": ("dashscope", "DASHSCOPE_API_KEY"),
    "deepseek": ("deepseek", "DEEPSEEK_API_KEY"),
    "groq": ("groq", "GROQ_API_KEY"),
    "mistral": ("mistral", "MISTRAL_API_KEY"),
    "moonshot": ("moonshot", "MOONSHOT_API_KEY"),
    "openrouter": ("openrouter", "OPENROUTER_API_KEY"),
    "together_ai": ("together", "TOGETHERAI_API_KEY"),
    "xai": ("xai", "XAI_API_KEY"),
    "fireworks_ai": ("fireworks", "FIREWORKS_API_KEY"),
    "cerebras": ("cerebras", "CEREBRAS_API_KEY"),
    "deepinfra": ("deepinfra", "DEEPINFRA_API_KEY"),
    "nvidia_nim": ("nvidia", "NVIDIA_NIM_API_KEY"),
    "volcengine": ("ark", "VOLCENGINE_API_KEY"),
    "zai": ("zhipu", "ZAI_API_KEY"),
    "ollama": ("ollama", None),
    "ollama_chat": ("ollama", None),
    "hosted_vllm": ("vllm", None),
    "lm_studio": ("lm-studio", None),
}
_ACCOUNT = ("model", "api_key", "api_base", "base_url", "api_version", "rpm", "tpm", "max_parallel_requests")
_SPENT = (*_ACCOUNT, "weight", "timeout", "stream_timeout", "request_timeout", "custom_llm_provider", "organization")
# LiteLLM's addresses of these end before the version.
_ENDINGS = {"anthropic": "/v1", "ollama": "/v1", "gemini": "/v1beta"}
# Settings of LiteLLM itself, which are no fields of a request.
_FOREIGN = (
    "mock_response",
    "input_cost_per_token",
    "output_cost_per_token",
    "max_retries",
    "num_retries",
    "order",
    "tags",
)


class Deployments:
    """Entries with the same account, address and limits share a provider."""

    def __init__(self, draft: Draft, settings: Mapping[str, Any]) -> None:
        self._draft = draft
        self._settings = settings
        self._providers: dict[str, str] = {}
        self._models: dict[str, list[str]] = {}
        self._targets: dict[str, list[dict[str, Any]]] = {}

    def add(self, entry: Mapping[str, Any]) -> None:
        name, params = str(entry.get("model_name")), dict(entry.get("litellm_params") or {})
        kind, model = _split(params)
        if kind is None:
            self._draft.note(f"{name}: {params.get('model')} is of a provider that has no counterpart; it was left out")
            return
        type_name, variable = kind
        for foreign in _FOREIGN:
            if foreign in params:
                self._draft.note(f"{name}: litellm_params.{foreign} has no counterpart and was left out")
        provider = self._provider(type_name, variable, params)
        if model not in self._models.setdefault(provider, []):
            self._models[provider].append(model)
        target: dict[str, Any] = {"model": f"{provider}/{model}"}
        if "weight" in params:
            target["weight"] = params["weight"]
        self._targets.setdefault(name, []).append(target)

    def write_routes(self) -> None:
        for name, targets in self._targets.items():
            self._draft.models[name] = {"targets": targets}
        for entry in self._draft.providers:
            entry["models"] = self._models[entry["name"]]

    def _provider(self, type_name: str, variable: str | None, params: Mapping[str, Any]) -> str:
        more = self._entry(params)
        if isinstance(more["base_url"], str) and type(more["base_url"]) is not Variable:
            more["base_url"] = _with_version(type_name, more["base_url"])
        account = _account(type_name, variable, params)
        identity = repr((type_name, more, account))
        if identity not in self._providers:
            self._providers[identity] = self._draft.provider(type_name, type_name, [account], **more)
        return self._providers[identity]

    def _entry(self, params: Mapping[str, Any]) -> dict[str, Any]:
        timeout_s = params.get("timeout") or self._settings.get("timeout") or self._settings.get("request_timeout")
        total = {"total_s": timeout_s} if isinstance(timeout_s, int | float) else {}
        silence_s = params.get("stream_timeout")
        first = {"first_token_s": silence_s} if isinstance(silence_s, int | float) else {}
        return {
            "base_url": literal(params.get("api_base") or params.get("base_url")),
            "api_version": literal(params.get("api_version")),
            "timeouts": {**first, **total},
            "defaults": {key: value for key, value in params.items() if key not in (*_SPENT, *_FOREIGN)},
            "drop_params": True if self._settings.get("drop_params") else None,
        }


def _split(params: Mapping[str, Any]) -> tuple[tuple[str, str | None] | None, str]:
    """Our type with the key's variable (None where there is none), and the upstream's own model id."""
    text = str(params.get("model") or "")
    prefix, slash, rest = text.partition("/")
    if params.get("custom_llm_provider"):
        prefix, slash, rest = params["custom_llm_provider"], "/", text
    found = _PREFIXES.get(prefix) if slash else _PREFIXES["anthropic" if text.startswith("claude") else "openai"]
    if found is None or found[0] not in providers():
        return None, text
    if found[0] == "openai" and (params.get("api_base") or params.get("base_url")):
        found = ("openai-compatible", found[1])
    return found, rest if slash else text


def _with_version(type_name: str, address: str) -> str:
    ending = _ENDINGS.get(type_name, "")
    return address if address.rstrip("/").endswith(ending) else address.rstrip("/") + ending


def _account(type_name: str, variable: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    names = {"rpm": "rpm", "tpm": "tpm", "max_parallel_requests": "concurrency"}
    limits = {ours: params[theirs] for theirs, ours in names.items() if params.get(theirs)}
    optional = ":-" if type_name == "openai-compatible" else ""
    key = literal(params.get("api_key")) or (Variable(variable + optional) if variable else None)
    account: dict[str, Any] = {"name": "main", "api_key": key}
    if limits:
        account["limits"] = limits
    if type_name == "openai" and params.get("organization"):
        account["organization"] = literal(params["organization"])
    return account


def literal(value: Any) -> Any:
    """A value of LiteLLM's file, in which `os.environ/NAME` is a variable."""
    if isinstance(value, str) and value.startswith("os.environ/"):
        return Variable(value.removeprefix("os.environ/"))
    return value
