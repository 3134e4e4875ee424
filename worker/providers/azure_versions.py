"""What each dated api-version of Azure OpenAI knows of a chat completion request.

An api-version answers 400 to members that came after it. The date alone decides: of the members below none is listed
by a preview and missing in a later general release (2024-02-01, 2024-06-01, 2024-10-21). What no dated version lists
(`verbosity`, `prompt_cache_key`) goes on as it came, and everything does to a version that is no date.

Source: createChatCompletionRequest in `data-plane/AzureOpenAI/inference/{stable,preview}/<version>` of
Azure/azure-rest-api-specs. For `store` and `metadata` it has 2024-12-01-preview, and learn.microsoft.com ("Stored
completions") the version here; whether 2024-10-21 takes them is not written anywhere.
"""

from collections.abc import Mapping
from typing import Any, Final

from worker.providers.compatible_history import without_developers
from worker.providers.contract import JsonObject
from worker.providers.fields import refusal, without_refused

_TITLE: Final = "Azure OpenAI"
_SINCE: Final[Mapping[str, str]] = {
    "functions": "2023-07-01-preview",
    "function_call": "2023-07-01-preview",
    "tools": "2023-12-01-preview",
    "tool_choice": "2023-12-01-preview",
    "response_format": "2023-12-01-preview",
    "seed": "2023-12-01-preview",
    "data_sources": "2024-02-01",
    "logprobs": "2024-02-15-preview",
    "top_logprobs": "2024-02-15-preview",
    "max_completion_tokens": "2024-09-01-preview",
    "parallel_tool_calls": "2024-09-01-preview",
    "stream_options": "2024-09-01-preview",
    "store": "2024-10-01-preview",
    "metadata": "2024-10-01-preview",
    "reasoning_effort": "2024-12-01-preview",
    "audio": "2025-01-01-preview",
    "modalities": "2025-01-01-preview",
    "prediction": "2025-01-01-preview",
}
_VALUES_SINCE: Final[Mapping[tuple[str, str], str]] = {
    ("tool_choice", "required"): "2024-07-01-preview",
    ("response_format", "json_schema"): "2024-08-01-preview",
}
_DEVELOPERS_SINCE: Final = "2024-12-01-preview"
_DATE: Final = len("2024-10-21")


def as_known(body: JsonObject, version: str, *, drop: bool) -> JsonObject:
    """`body` as this api-version takes it: limits and roles under their older names, streams without usage.

    Raises InvalidRequest naming the first field that came later, unless `drop` (drop_params) leaves it out.
    """
    known = dict(body)
    if _lacks(version, _DEVELOPERS_SINCE):
        known["messages"] = without_developers(known["messages"])
    if _lacks(version, _SINCE["stream_options"]):
        known.pop("stream_options", None)
    if "max_completion_tokens" in known and _lacks(version, _SINCE["max_completion_tokens"]):
        limit = known.pop("max_completion_tokens")
        if known.get("max_tokens") is None:
            known["max_tokens"] = limit
    newer = {name: _why(since, version) for name, since in _SINCE.items() if _lacks(version, since)}
    known = without_refused(known, newer, upstream=_TITLE, drop=drop)
    for (name, value), since in _VALUES_SINCE.items():
        if _word(known.get(name)) == value and _lacks(version, since):
            if not drop:
                raise refusal(name, _TITLE, f"{value!r} {_why(since, version)}")
            del known[name]
    return known


def _lacks(version: str, since: str) -> bool:
    return version[:_DATE] < since[:_DATE]


def _why(since: str, version: str) -> str:
    return f"came with api-version {since}, and this provider asks with {version}"


def _word(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else value
