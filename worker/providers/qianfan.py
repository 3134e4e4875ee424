"""Baidu Qianfan (ERNIE), interface V2: OpenAI's dialect with content flags, web search and its own thinking switches.

Sources: cloud.baidu.com/doc/qianfan-api, pages 3m7of64lb (chat), Dmba8k71y (models) and Om9b4yj3w (error codes). V1
(access tokens, model in the URL) was shut down in August 2026. Refused content is of type `unsafe_request`. The codes
of the Coding and Token plans, whose base URLs are /v2/coding and /v2/tokenplan/personal, are those that clients of
these plans in public repositories handle. A 403 has no code for an empty account, nor a 500 for high load: their texts
tell. The short-lived tokens that IAM gives for an AK/SK pair (`BCE-BEARER/token`) are not offered: the console gives an
API key instead.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from worker.faults import Fault, UpstreamError
from worker.providers.compatible import CompatibleProvider
from worker.providers.compatible_row import Row, first_match
from worker.providers.compatible_stream import ChunkMapper, Classify
from worker.providers.compatible_tools import functions_alone
from worker.providers.contract import (
    ChatCall,
    Credential,
    CredentialField,
    JsonObject,
    Settings,
)
from worker.providers.fields import bounded, check_search, refusal, told_messages, wishes, without_refused

_OWN_FIELDS: Final = frozenset(
    {"enable_thinking", "thinking_budget", "thinking_strategy", "web_search", "penalty_score", "repetition_penalty"}
    | {"top_k", "safety"}
)
_SAME_FIELDS: Final = frozenset(
    {"top_p", "frequency_penalty", "presence_penalty", "tools", "tool_choice", "parallel_tool_calls"}
    | {"response_format", "metadata", "user", "max_tokens"}
)
_FIELDS: Final = _OWN_FIELDS | _SAME_FIELDS
_FIELDS_TRANSLATED: Final = frozenset(
    {"temperature", "seed", "stop", "max_completion_tokens", "reasoning_effort", "web_search_options"}
)
_PARTS: Final = frozenset({"text", "image_url", "video_url"})
_EFFORTS: Final = {"minimal": "low", "xhigh": "high", "max": "high"}
_LONGEST_STOP, _MOST_STOPS = 20, 4
_LARGEST_SEED: Final = 2_147_483_646
_FLAGGED: Final = 2  # 1 is a low risk; from 2 on the conversation is not to be continued
_WITHHELD: Final = frozenset({3, 4})

_MODELS: Final = (
    "ernie-4.5-turbo-128k",
    "ernie-4.5-turbo-32k",
    "ernie-4.5-turbo-vl-32k",
    "ernie-x1-turbo-32k",
    "ernie-4.0-turbo-128k",
    "ernie-4.0-8k",
    "ernie-3.5-8k",
    "ernie-3.5-128k",
    "ernie-speed-128k",
    "ernie-lite-8k",
)
_BUSY: Final = re.compile(r"high load|busy", re.IGNORECASE)
_PLANS: Final = ("coding_plan", "token_plan_person")
_CODES: Final = {
    "invalid_iam_token": Fault.CREDENTIAL_REJECTED,
    "no_parameter_permission": Fault.CREDENTIAL_REJECTED,
    "401 invalid_model": Fault.MODEL_NOT_FOUND,
    "403 invalid_model": Fault.MODEL_NOT_FOUND,
    "404 invalid_model": Fault.MODEL_NOT_FOUND,
    "characters_too_long": Fault.CONTEXT_TOO_LONG,
    "tokens_too_long": Fault.CONTEXT_TOO_LONG,
    "rpm_rate_limit_exceeded": Fault.RATE_LIMITED,
    "tpm_rate_limit_exceeded": Fault.RATE_LIMITED,
    "internal_error": Fault.UPSTREAM_FAULT,
    **{f"coding_plan_{window}_quota_exceeded": Fault.QUOTA_EXHAUSTED for window in ("hour", "week", "month")},
    "coding_plan_rate_limit_exceeded": Fault.RATE_LIMITED,
    "coding_plan_cluster_rate_limited": Fault.OVERLOADED,
    **{f"{plan}_api_key_{why}": Fault.PERMISSION_DENIED for plan in _PLANS for why in ("required", "not_allowed")},
    **{
        f"{plan}_{why}": Fault.PERMISSION_DENIED
        for plan in _PLANS
        for why in ("not_subscribed", "subscription_expired")
    },
    **{f"{plan}_model_not_supported": Fault.MODEL_NOT_FOUND for plan in _PLANS},
}


class FlaggedMapper(ChunkMapper):
    """Ends a choice with content_filter at its first content flag, and skips the news of a web search."""

    def __init__(self, chat: ChatCall, classify: Classify, *, model: str | None, completion_id: str | None) -> None:
        super().__init__(chat, classify, model=model, completion_id=completion_id)
        self._flagged: set[int] = set()

    def _tidy_choice(self, choice: Any, chunk: JsonObject) -> bool:
        if not isinstance(choice, dict):
            return super()._tidy_choice(choice, chunk)
        delta = choice.get("delta") or {}
        if "search_status" in {chunk.get("delta_tag"), choice.get("delta_tag"), delta.get("delta_tag")}:
            choice.clear()
            return True
        flag, index = choice.get("flag") or 0, choice.get("index", 0)
        if index in self._flagged:
            choice.clear()
            return True
        if not flag:
            return super()._tidy_choice(choice, chunk)
        self._flagged.add(index)
        choice["finish_reason"] = "content_filter"
        if flag in _WITHHELD:
            choice["delta"] = {**delta, "content": ""}
        super()._tidy_choice(choice, chunk)
        return True


class Qianfan(CompatibleProvider):
    mapper_type = FlaggedMapper

    def __init__(self) -> None:
        super().__init__(
            Row(
                type_name="qianfan",
                title="Baidu Qianfan (ERNIE)",
                base_url="https://qianfan.baidubce.com/v2",
                variable="QIANFAN_API_KEY",
                key_page="console.bce.baidu.com/iam, API keys (bce-v3/ALTAK-...); old AK/SK pairs do not work",
                refuses={"ernie-x1-turbo*": "seed stop response_format"},
                codes=_CODES,
            )
        )
        self.static_models = _MODELS
        self.credential_fields += (CredentialField("app_id", secret=False, required=False, help="sent as appid"),)

    def headers(self, settings: Settings, credential: Credential) -> tuple[tuple[str, str], ...]:
        app_id = credential.values.get("app_id")
        return super().headers(settings, credential) + ((("appid", app_id),) if app_id else ())

    def body(self, chat: ChatCall) -> JsonObject:
        drop = chat.settings.drop_params
        lacking = (first_match(self.row.refuses, chat.model) or "").split()
        asked = without_refused(
            chat.body, dict.fromkeys(lacking, f"{chat.model} has no such field"), upstream=self.title, drop=drop
        )
        wanted = wishes(asked, _FIELDS | _FIELDS_TRANSLATED, upstream=self.title, drop=drop)
        body: JsonObject = {
            "model": chat.model,
            "messages": told_messages(chat.body["messages"], _PARTS, upstream=self.title, drop=drop),
            **{name: value for name, value in wanted.items() if name in _FIELDS},
        }
        if chat.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if "max_completion_tokens" in wanted:
            body["max_tokens"] = wanted["max_completion_tokens"]
        if "seed" in wanted:
            body["seed"] = int(bounded(wanted["seed"], 1, _LARGEST_SEED, "seed", upstream=self.title, drop=drop))
        if "temperature" in wanted:
            body["temperature"] = self._temperature(wanted["temperature"], chat.model, drop=drop)
        if "stop" in wanted:
            body["stop"] = self._stops(wanted["stop"], drop=drop)
        if "web_search_options" in wanted:
            check_search(wanted["web_search_options"], upstream=self.title, drop=drop)
            body.setdefault("web_search", {"enable": True})
        functions_alone(body, self.title, drop=drop)
        _set_reasoning(body, wanted.get("reasoning_effort"))
        return body

    def _temperature(self, value: float, model: str, *, drop: bool) -> float:
        """ERNIE models take (0, 1]: 0.01 stands for 0."""
        if not fnmatchcase(model, "ernie-*"):
            return value
        return max(0.01, bounded(value, 0, 1, "temperature", upstream=self.title, drop=drop))

    def _stops(self, stop: str | Sequence[str], *, drop: bool) -> list[str]:
        stops = [stop] if isinstance(stop, str) else list(stop)
        fitting = [text for text in stops if len(text) <= _LONGEST_STOP][:_MOST_STOPS]
        if fitting != stops and not drop:
            raise refusal("stop", self.title, f"at most {_MOST_STOPS} texts of {_LONGEST_STOP} characters")
        return fitting

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        error = super().parse_error(status, headers, body)
        if error.fault is Fault.UPSTREAM_FAULT and _BUSY.search(error.message):
            error.fault = Fault.OVERLOADED
        return error

    def tidy_completion(self, data: JsonObject, chat: ChatCall) -> JsonObject:
        for choice in data["choices"]:
            flag = choice.get("flag") or 0
            if flag >= _FLAGGED and isinstance(choice.get("message"), dict):
                choice["finish_reason"] = "content_filter"
                if flag in _WITHHELD:
                    choice["message"]["content"] = ""
        return super().tidy_completion(data, chat)


def _set_reasoning(body: JsonObject, effort: str | None) -> None:
    if effort == "none":
        body.setdefault("enable_thinking", False)
    elif effort is not None:
        body["reasoning_effort"] = _EFFORTS.get(effort, effort)
        body.setdefault("enable_thinking", True)


PROVIDERS: Final = (Qianfan(),)
