"""CORS as the catalogue has it at the moment: its origins may change while the front runs."""

from collections.abc import Callable
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_EXPOSED: Final = (
    "x-request-id",
    "x-penstock-provider",
    "x-penstock-attempts",
    "x-penstock-queue-ms",
    "retry-after",
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
)


class Cors:
    """`find_origins` gives the origins that may call, `*` for all. Credentials are never allowed: keys are headers."""

    def __init__(self, app: ASGIApp, find_origins: Callable[[], tuple[str, ...]]) -> None:
        self.app = app
        self._find_origins = find_origins
        self._origins: tuple[str, ...] = ()
        self._middleware: ASGIApp = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What comes from no browser pays nothing.
        if scope["type"] != "http" or not any(name == b"origin" for name, _ in scope["headers"]):
            await self.app(scope, receive, send)
            return
        await self._current()(scope, receive, send)

    def _current(self) -> ASGIApp:
        origins = self._find_origins()
        if origins != self._origins:
            self._origins = origins
            self._middleware = (
                self.app
                if not origins
                else CORSMiddleware(
                    self.app,
                    allow_origins=origins,
                    allow_methods=("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE"),
                    allow_headers=("*",),
                    expose_headers=_EXPOSED,
                )
            )
        return self._middleware
