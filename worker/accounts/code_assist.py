"""What follows a sign-in for `gemini-cli`: learning the account's project, and making the account known. No I/O.

Source: `packages/core/src/code_assist/{setup,types}.ts` of google-gemini/gemini-cli.
"""

from collections.abc import Generator
from http import HTTPStatus
from typing import Any, Final

import orjson

from worker.accounts.oauth import Wait
from worker.faults import Fault, UpstreamError
from worker.providers.contract import Ask, JsonObject, UpstreamRequest, UpstreamResponse

_POLL_S: Final = 5.0
_MOST_POLLS: Final = 24
_FREE: Final = "free-tier"
_LEGACY: Final = "legacy-tier"
_STANDARD: Final = "standard-tier"
_UNSUPPORTED: Final = "UNSUPPORTED_CLIENT"
_METADATA: Final = {"ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI"}

Steps = Generator[Ask | Wait, UpstreamResponse | None, Any]


def find_project(
    base_url: str, access_token: str, project: str = ""
) -> Generator[Ask | Wait, UpstreamResponse | None, str]:
    """Returns the project id to use; `project` is the operator's own, which licensed tiers need.

    Raises UpstreamError: DISCONTINUED for personal accounts, PERMISSION_DENIED where a project or a tier is missing.
    """
    metadata = {**_METADATA, **({"duetProject": project} if project else {})}
    own = {"cloudaicompanionProject": project} if project else {}
    calls = _Calls(base_url, access_token)
    account = yield from calls.post("loadCodeAssist", {**own, "metadata": metadata})
    if account.get("currentTier"):
        return str(account.get("cloudaicompanionProject") or project or _refuse(account))
    tier = next((tier["id"] for tier in account.get("allowedTiers") or () if tier.get("isDefault")), _LEGACY)
    # The free tier has a project of Google's, and naming another one is an error.
    onboarding = (
        {"tierId": tier, "metadata": _METADATA} if tier == _FREE else {"tierId": tier, "metadata": metadata, **own}
    )
    operation = yield from calls.post("onboardUser", onboarding)
    for _ in range(_MOST_POLLS):
        if operation.get("done") or not operation.get("name"):
            break
        yield Wait(_POLL_S)
        operation = yield from calls.get(operation["name"])
    made = (operation.get("response") or {}).get("cloudaicompanionProject") or {}
    return str(made.get("id") or project or _refuse(account))


class _Calls:
    def __init__(self, base_url: str, access_token: str) -> None:
        self._base_url = base_url
        self._headers = (("content-type", "application/json"), ("authorization", f"Bearer {access_token}"))

    def post(self, method: str, body: JsonObject) -> Steps:
        request = UpstreamRequest("POST", f"{self._base_url}:{method}", self._headers, orjson.dumps(body))
        return (yield from _ask(request))

    def get(self, name: str) -> Steps:
        return (yield from _ask(UpstreamRequest("GET", f"{self._base_url}/{name}", self._headers)))


def _ask(request: UpstreamRequest) -> Steps:
    response = yield Ask(request)
    assert response is not None
    try:
        data = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        data = None
    if response.status == HTTPStatus.FORBIDDEN and b"SECURITY_POLICY_VIOLATED" in response.body:
        return {"currentTier": {"id": _STANDARD}}  # behind VPC service controls only licensed accounts get this far
    if response.status != HTTPStatus.OK or not isinstance(data, dict):
        raise UpstreamError(Fault.UPSTREAM_FAULT, f"Code Assist answered the set-up with HTTP {response.status}.")
    return data


def _refuse(account: JsonObject) -> str:
    tiers = [tier for tier in account.get("ineligibleTiers") or () if isinstance(tier, dict)]
    reasons = " ".join(str(tier.get("reasonMessage") or tier.get("reasonCode")) for tier in tiers)
    if any(tier.get("reasonCode") == _UNSUPPORTED for tier in tiers):
        text = f"Google no longer serves this account here: {reasons} Use type gemini with an API key."
        raise UpstreamError(Fault.DISCONTINUED, text)
    text = reasons or "This account needs a Google Cloud project: set project_id."
    raise UpstreamError(Fault.PERMISSION_DENIED, text)
