"""What this gateway is and whether it works: /, /health, /livez, /readyz. None of them asks for a key."""

import time
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from api.state import FrontState

router = APIRouter(tags=["service"])
SERVICE: Final = "penstock"
_ENDPOINTS: Final = {
    "chat completions": "POST /v1/chat/completions",
    "models": "GET /v1/models",
    "one model": "GET /v1/models/{id}",
    "health": "GET /health",
    "readiness": "GET /readyz",
    "documentation": "GET /docs",
}


@router.get("/", summary="What this service is")
async def describe_service() -> dict[str, Any]:
    return {
        "message": "Penstock is running",
        "service": SERVICE,
        "version": version("penstock"),
        "description": "An OpenAI-compatible gateway: point an OpenAI SDK's base URL at /v1.",
        "usage": {"endpoint": "/v1/chat/completions", "method": "POST", "auth": "Bearer YOUR_KEY"},
        "endpoints": _ENDPOINTS,
        "docs": "/docs",
    }


@router.get("/health", summary="State of the service, for people and dashboards")
async def report_health(request: Request) -> dict[str, str | int]:
    """`timestamp` is unix time, s."""
    missing = find_missing(request.app.state.front)
    return {"status": missing[0] if missing else "healthy", "timestamp": int(time.time()), "service": SERVICE}


@router.get("/livez", summary="This process runs")
async def report_life() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz", summary="Requests may be sent here; 503 while they should not")
async def report_readiness(request: Request, response: Response) -> dict[str, Any]:
    missing = find_missing(request.app.state.front)
    if missing:
        response.status_code = 503
        response.headers["retry-after"] = "1"
    return {"status": "not ready" if missing else "ok", "missing": missing}


def find_missing(front: FrontState) -> list[str]:
    """Why no new request should come here; empty when all is well."""
    reasons = {
        "draining": front.draining,
        "no redis": not front.bus.connected,
        "no catalogue": front.catalogue.current is None,
    }
    return [reason for reason, applies in reasons.items() if applies]
