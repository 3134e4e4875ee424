"""Questions that `up` asks of the gateway that it has started."""

import asyncio
import json
from http.client import HTTPException
from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

from deploy.plan import Plan

_PAUSE_S: Final = 0.03
_TIMEOUT_S: Final = 2.0
_ANY_OWN_KEY: Final = "of-no-caller"  # where callers bring their own, lists are shown to all of them
_direct = build_opener(ProxyHandler({}))  # this machine's own port is never behind the proxy of HTTP_PROXY


async def wait_ready(plan: Plan, *, answers: int) -> None:
    """Returns once /readyz has said yes `answers` times in a row, each on a connection that any front may take."""
    ready = 0
    while ready < answers:
        if await asyncio.to_thread(_get, f"{plan.base_url}/readyz") is None:
            ready = 0
            await asyncio.sleep(_PAUSE_S)
        else:
            ready += 1


async def a_model(plan: Plan) -> str:
    """`echo` where there is one, since it costs nothing; else the first of the list."""
    key = plan.asking_key or (_ANY_OWN_KEY if plan.passthrough else None)
    answer = await asyncio.to_thread(_get, f"{plan.base_url}/v1/models", key) or {}
    names = [str(model["id"]) for model in answer.get("data", ())]
    return next((name for name in names if name in {"echo", "echo/echo"}), names[0] if names else plan.example_model)


def _get(url: str, key: str | None = None) -> dict[str, Any] | None:
    """The JSON of a 200 answer, else None."""
    request = Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310  our own http:// URL
    try:
        with _direct.open(request, timeout=_TIMEOUT_S) as response:
            answer = json.load(response)
    except (HTTPException, OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else {}
